"""``kill -9`` at every fault point of the engine; then another process carries on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.engine import faults
from tests.catalogs import CatalogFor
from tests.faults.killed import acknowledged
from tests.faults.scene import TABLES, Scene, as_model, catalog_rows, states

pytestmark = pytest.mark.faults
PASSAGES = (1, 2)


@pytest.mark.parametrize("point", sorted(faults.POINTS))
def test_a_kill_at_any_point_loses_nothing_acknowledged_and_halves_nothing(
    point: str, tmp_path: Path, root: Path, catalog: CatalogFor
) -> None:
    if point.startswith("restore.") and catalog(tmp_path) is not None:
        pytest.skip("a Postgres catalog is restored by its server's own tools")
    lakes = {nth: tmp_path / f"lake-{nth}" for nth in PASSAGES}
    processes = [
        subprocess.Popen([sys.executable, "-m", "tests.faults.killed", *map(str, arguments)], cwd=root)
        for arguments in ([lakes[nth], point, nth, *filter(None, [catalog(lakes[nth])])] for nth in PASSAGES)
    ]
    assert [process.wait(timeout=60) for process in processes] == [-9] * len(PASSAGES), "the point was not reached"
    for folder in lakes.values():
        _carry_on(folder)


def _carry_on(folder: Path) -> None:
    """What was acknowledged is there, what was not is there whole or not at all, and work goes on."""
    acked, began = acknowledged(folder)
    scene = Scene(folder)
    try:
        done = sum(commit.message.startswith("work ") for commit in scene.b.commits())
        assert acked <= done <= began
        expected = states(done)
        for table in TABLES:
            assert as_model(catalog_rows(scene.b, table)) == expected[done], f"{table} is not commit {done}"
        scene.count = done
        scene.states = dict(enumerate(expected[:done], start=-done)) | {scene.b.head(): expected[done]}
        scene.settle(scene.b)
        scene.work(times=3)
        scene.settle(scene.a)
        scene.b.vacuum()
        scene.settle(scene.actor())
    finally:
        scene.close()
