"""The holder of the lease sleeps at a point; others publish, vacuum, commit and evolve; then it wakes and goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.engine import faults
from tests.catalogs import CatalogFor
from tests.faults.scene import Scene

pytestmark = pytest.mark.faults
POINTS = sorted(
    p for p in faults.POINTS if p.startswith(("publish.", "recover.", "vacuum.")) or p == "file.before_fsync"
)
SCRIPTS = ("pvw", "v", "wpwpvw", "wpevp")
"""p: publish, v: vacuum, w: commit, e: add a column."""
CASES = [(1, script) for script in SCRIPTS] + [(2, "ewpv")]


def prepare(scene: Scene, point: str) -> None:
    """Commit rows and a schema change, and leave what lets the point be reached."""
    scene.work(times=2)
    scene.evolve(scene.a)
    scene.work(times=2)
    if point.startswith(("recover.", "vacuum.")):
        scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    if point.startswith("vacuum."):
        scene.work()
        scene.interrupted("publish.before_delta", scene.a.publisher.publish)
        scene.a.flush()
        scene.work()
        scene.a.flush()


def sleep_at(scene: Scene, point: str, nth: int, script: str) -> Callable[[], bool]:
    """Install a hook that lets others act at the nth passage; returns whether that happened."""
    left, acts = nth, {"p": scene.b.publisher.publish, "v": scene.b.vacuum, "w": scene.work, "e": scene.evolve}

    def hook(name: str) -> None:
        nonlocal left
        left -= name == point
        if name == point and left == 0:
            faults.install(None)
            for act in script:
                time.sleep(0.0005)  # the sleeper's lease is over
                acts[act]()
            scene.agree(scene.b)

    faults.install(hook)
    return lambda: left <= 0


@pytest.mark.parametrize("point", POINTS)
def test_a_publisher_that_lost_its_lease_harms_nothing(
    point: str, make_scene: Callable[[], Scene], catalog: CatalogFor, tmp_path: Path
) -> None:
    reached = 0
    cases = CASES if catalog(tmp_path) is None else CASES[:1]  # what decides is SQL that both catalogs share
    for nth, script in cases:
        scene = make_scene()
        prepare(scene, point)
        happened = sleep_at(scene, point, nth, script)
        (scene.a.vacuum if point.startswith("vacuum.") else scene.a.publisher.publish)()
        faults.install(None)
        reached += happened()
        try:
            go_on(scene)
        except Exception as error:
            error.add_note(f"{point}, passage {nth}, script {script}")
            raise
    assert reached >= min(len(SCRIPTS), len(cases)), "the point was not reached"


def go_on(scene: Scene) -> None:
    """Both actors publish, vacuum and commit further; in the end all are one."""
    scene.agree(scene.a)
    scene.work(scene.a)
    scene.b.publisher.publish()
    scene.agree(scene.b)
    scene.a.vacuum()
    scene.agree(scene.a)
    scene.work()
    scene.settle(scene.a)
