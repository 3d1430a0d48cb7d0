"""A scene for scripted tests, closed in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.catalogs import CatalogFor
from tests.faults.scene import Scene


@pytest.fixture
def make_scene(tmp_path: Path, catalog: CatalogFor) -> Iterator[Callable[[], Scene]]:
    """Return a maker of scenes, each in a folder of its own."""
    made: list[Scene] = []

    def make() -> Scene:
        root = tmp_path / f"lake-{len(made)}"
        made.append(Scene(root, catalog(root)))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


@pytest.fixture
def scene(make_scene: Callable[[], Scene]) -> Scene:
    return make_scene()
