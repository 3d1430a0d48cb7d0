"""Lakes for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.engine import Lake
from lakehouse.engine.faults import install
from tests.catalogs import CatalogFor
from tests.unit.engine.support import create, quiet


@pytest.fixture
def make(tmp_path: Path, catalog: CatalogFor) -> Iterator[Callable[..., Lake]]:
    """Return a maker of lakes; all are closed at the end."""
    made: list[Lake] = []

    def maker(name: str = "lake", **options: Any) -> Lake:
        made.append(create(tmp_path / name, catalog=catalog(tmp_path / name), **options))
        return made[-1]

    yield maker
    install(None)
    for lake in made:
        lake.close()


@pytest.fixture
def lake(make: Callable[..., Lake]) -> Lake:
    """Return a new lake that publishes only when asked to."""
    return make()


@pytest.fixture
def other(lake: Lake) -> Iterator[Lake]:
    """Return a second handle on the same lake, as another process would have it."""
    second = Lake.open(lake.root, options=quiet(), user="bob")
    yield second
    second.close()
