"""Roles of a Postgres catalog: what the server itself refuses, whatever program asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lakehouse.engine import Lake
from lakehouse.engine.grants import Right, grant
from lakehouse.errors import ConfigurationError, InputError, NotFound, ReadOnly, Unsupported
from tests.postgres import PostgresServer
from tests.unit.engine.support import SPECS, add, create, plain, quiet, renames, uids

pytestmark = pytest.mark.faults
PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer(auth="scram-sha-256").start()
    for role in ("ann", "eve"):
        running.rows(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    yield running
    running.remove()


@pytest.fixture
def lake(tmp_path: Path, server: PostgresServer) -> Iterator[Lake]:
    with Lake.create(tmp_path / "lake", SPECS, catalog=server.url(), options=quiet()) as opened:
        add(opened, "a")
        yield opened


def as_role(lake: Lake, server: PostgresServer, role: str, monkeypatch: pytest.MonkeyPatch, *, read_only: bool) -> Lake:
    """Open the lake as somebody else who has the folder, as a later session does: the password is in PGPASSWORD."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    marker = lake.root / "lake.json"
    marker.write_text(marker.read_text().replace("postgres@", f"{role}@"))
    return Lake.open(lake.root, SPECS, options=quiet(reconnect=1.0), read_only=read_only)


def direct(lake: Lake, server: PostgresServer, role: str, sql: str) -> None:
    """Run a statement in the lake's schema with a driver alone."""
    schema = lake.catalog.address.schema  # type: ignore[attr-defined]
    with psycopg.connect(server.url(role), password=PASSWORD, options=f"-c search_path={schema}") as con:
        con.execute(sql)


WRITES = [
    "INSERT INTO commits VALUES (1000, 'u', 't', 0, 'eve', NULL, 'forged', 0, 0)",
    "INSERT INTO change VALUES ('label', 1000, 0, 'insert', 1, '', false)",
    "INSERT INTO unique_value VALUES ('label', 'name', 'forged')",
    "UPDATE meta SET head_json = 0",
    "SELECT * FROM meta FOR UPDATE",
]
HARM = [
    "DELETE FROM commits",
    "UPDATE commits SET message = 'forged'",
    "DELETE FROM change",
    "UPDATE change SET body = ''",
    "DELETE FROM publication",
    "UPDATE meta SET oldest_readable = 1000",
    "UPDATE meta SET schema_commit = 1000",
    "UPDATE file SET path = 'forged'",
    "DROP TABLE commits",
    "ALTER TABLE commits ADD COLUMN x TEXT",
    "TRUNCATE change",
]


@pytest.mark.parametrize("right", [Right.NONE, Right.READ])
def test_a_role_that_may_not_write_is_refused_by_the_server_itself(
    right: Right, lake: Lake, server: PostgresServer
) -> None:
    grant(lake.catalog, "eve", right)
    for sql in WRITES + HARM:
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)):
            direct(lake, server, "eve", sql)
    assert uids(lake) == ["a"]


def test_a_reader_reads_and_its_commits_are_refused(
    lake: Lake, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.flush()
    grant(lake.catalog, "ann", Right.READ)
    with as_role(lake, server, "ann", monkeypatch, read_only=True) as reader:
        assert uids(reader) == ["a"]
        assert reader.catalog.size() > 0
    with as_role(lake, server, "ann", monkeypatch, read_only=False) as reader:
        with pytest.raises(ReadOnly, match="grant"):
            add(reader, "b")
        with pytest.raises(ReadOnly, match="grant"):
            reader.flush()
        assert uids(reader) == ["a"]


def test_a_writer_commits_and_publishes_and_changes_nothing_that_was_committed(
    lake: Lake, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(lake.catalog, "ann", Right.WRITE)
    with as_role(lake, server, "ann", monkeypatch, read_only=False) as writer:
        add(writer, "b")
        writer.run(renames("b", "another name"))
        with writer.pinned():
            assert writer.flush() == writer.head()
        assert [row["uid"] for row in plain(writer)] == ["a", "b"]
        with pytest.raises(ReadOnly, match="--admin"):
            writer.vacuum()
    for sql in HARM:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            direct(lake, server, "ann", sql)


def test_an_admin_vacuums_and_a_right_that_was_taken_back_is_gone(
    lake: Lake, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(lake.catalog, "ann", Right.ADMIN)
    with as_role(lake, server, "ann", monkeypatch, read_only=False) as admin:
        add(admin, "b")
        admin.flush()
        assert admin.vacuum() is not None
    grant(lake.catalog, "ann", Right.READ)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        direct(lake, server, "ann", WRITES[0])
    grant(lake.catalog, "ann", Right.NONE)
    with pytest.raises(ReadOnly, match="grant"):
        as_role(lake, server, "ann", monkeypatch, read_only=True)


def test_roles_are_made_when_asked_for_and_names_are_only_names(lake: Lake, server: PostgresServer) -> None:
    odd = 'ro"le; DROP SCHEMA x --'
    with pytest.raises(NotFound, match="did you mean 'ann'"):
        grant(lake.catalog, "anne", Right.READ)
    grant(lake.catalog, odd, Right.READ, create=True)
    assert server.rows("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", odd) == [(False,)]
    for role in ("", "public", "pg_monitor", "x" * 64, "a\0b", "postgres"):
        with pytest.raises(InputError):
            grant(lake.catalog, role, Right.READ)


def test_a_sqlite_catalog_has_no_roles(tmp_path: Path) -> None:
    with create(tmp_path / "lake") as lake, pytest.raises(Unsupported, match="permissions"):
        grant(lake.catalog, "ann", Right.READ)


def test_a_password_is_used_by_this_process_and_left_nowhere(
    tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.rows("GRANT CREATE ON DATABASE postgres TO ann")
    caplog.set_level("DEBUG")
    with pytest.raises(ConfigurationError, match="PGPASSWORD") as caught:
        Lake.create(tmp_path / "lake", SPECS, catalog=server.url("ann", "SECRET"), options=quiet())
    assert "SECRET" not in f"{caught.value!r} {caught.value.__cause__!r}"
    url = server.url("ann", PASSWORD.replace(" ", "%20"))
    with Lake.create(tmp_path / "lake", SPECS, catalog=url, options=quiet()) as lake:
        add(lake, "a")
        assert "sesame" not in f"{lake!r} {lake.catalog!r} {lake.catalog.name} {vars(lake.catalog)}"
    with Lake.open(tmp_path / "lake") as again:  # this process knows it
        assert uids(again) == ["a"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "lake").rglob("*") if path.is_file())
    assert b"sesame" not in written
    assert "sesame" not in caplog.text
