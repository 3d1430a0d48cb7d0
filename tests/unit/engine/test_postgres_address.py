"""The URL of a Postgres catalog: what it may say, and that its password goes nowhere."""

from __future__ import annotations

import pytest

from lakehouse.engine.postgres_address import PostgresAddress
from lakehouse.errors import ConfigurationError, InputError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:SECRET@host:5433/lab",
        "postgres://ada:SECRET@host:5433/lab",
        "postgresql://ada@host:5433/lab?password=SECRET",
        "postgresql://ada:SECRET@host:5433/lab?schema=pilot&sslpassword=SECRET",
    ],
)
def test_a_password_is_kept_in_memory_and_shown_nowhere(url: str) -> None:
    address = PostgresAddress.parsed(url, root="/data/lake")
    assert address.url == "postgresql://ada@host:5433/lab"
    assert "SECRET" not in f"{address} {address!r} {vars(address)}"
    assert address.secrets()["password"] == "SECRET"
    assert PostgresAddress.restored(address.url, address.schema).secrets()["password"] == "SECRET"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:SEC@RET@host/lab",
        "postgresql://ada:SEC/RET@host/lab",
        "postgresql://ada:SEC#RET@host/lab",
        "postgresql://ada:SEC?RET@host/lab",
        "postgresql://ada:SECRET@host:port/lab?",
        "postgresql://ada:SEC%ZZ@host%ZZ/lab",
        "postgresql://ada@host/lab?no_such_option=SECRET",
        "postgresql://ada:SECRET@host/lab?schema",
        "postgresql://ada:SECRET@[::1/lab",
        "postgresql://ada:SECRET\0@host/lab",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InputError) as caught:
        PostgresAddress.parsed(url, root="/data/lake")
    assert not any(part in str(caught.value) for part in ("SEC", "RET"))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "schema", ["", "pg_lake", "public", "information_schema", "x" * 64, "é" * 32, "a%00b", "a%0Ab"]
)
def test_a_schema_that_postgres_keeps_or_would_cut_is_refused(schema: str) -> None:
    with pytest.raises(InputError, match="schema"):
        PostgresAddress.parsed(f"postgresql://host/lab?schema={schema}", root="/data/lake")


def test_options_of_the_driver_are_kept() -> None:
    url = "postgresql://one,two:5433/lab?sslmode=require&target_session_attrs=read-write"
    assert PostgresAddress.parsed(url, root="/data/lake").url == url
    assert PostgresAddress.parsed("postgresql:///lab?host=/run/pg", root="/x").url == "postgresql:///lab?host=/run/pg"


def test_each_root_has_a_schema_of_its_own_that_every_process_finds() -> None:
    roots = ["/data/lake", "/data/Lake", "/other/lake", "s3://bucket/lake", "/data/" + "x" * 300, "/"]
    found = [PostgresAddress.parsed("postgresql://host/lab", root=root).schema for root in roots]
    assert len(set(found)) == len(roots)
    assert found == [PostgresAddress.parsed("postgresql://host/lab", root=root).schema for root in roots]
    assert all(len(schema.encode()) < 64 for schema in found)


def test_a_password_in_the_marker_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        PostgresAddress.restored("postgresql://ada:SECRET@host/lab", "pilot")
    assert "SECRET" not in str(caught.value)
