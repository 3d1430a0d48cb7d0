"""The catalogs that tests run on, behind one fixture: ``catalog(root)`` is what ``Lake.create`` takes for a root."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgres import PostgresServer

__all__ = ["CATALOGS", "CatalogFor", "catalog", "postgres_url", "pytest_generate_tests"]

CatalogFor = Callable[[Path], str | None]
"""Gives each root a catalog of its own: None is the SQLite file in the root."""

# Read on import: no test sees the settings of the one who runs it
_RUNNING = os.environ.get("LAKEHOUSE_TEST_POSTGRES")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a server that the tests of this process share."""
    if _RUNNING is not None:
        yield _RUNNING
        return
    server = PostgresServer().start()
    yield server.url()
    server.remove()


def _sqlite(request: pytest.FixtureRequest) -> CatalogFor:
    return lambda root: None


def _postgres(request: pytest.FixtureRequest) -> CatalogFor:
    url = request.getfixturevalue("postgres_url")
    schemas: dict[Path, str] = {}

    def catalog_for(root: Path) -> str:
        schema = schemas.setdefault(root, f"test_{uuid.uuid4().hex}")
        return f"{url}{'&' if '?' in url else '?'}schema={schema}"

    def drop() -> None:
        with psycopg.connect(url, autocommit=True) as con:
            for schema in schemas.values():
                con.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    if _RUNNING is not None:  # one of our own goes as a whole
        request.addfinalizer(drop)
    return catalog_for


CATALOGS = {"sqlite": _sqlite, "postgres": _postgres}


@pytest.fixture
def catalog(request: pytest.FixtureRequest) -> CatalogFor:
    """Each catalog in turn, or those that ``@pytest.mark.catalogs("sqlite")`` names."""
    return CATALOGS[request.param](request)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a catalog on each of them."""
    taken = any("catalog" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "catalog" in metafunc.fixturenames and not taken:
        marker = metafunc.definition.get_closest_marker("catalogs")
        metafunc.parametrize("catalog", marker.args if marker else list(CATALOGS), indirect=True)
