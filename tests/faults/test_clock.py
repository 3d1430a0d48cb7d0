"""A clock that jumps a day forward or back at any point: nothing is lost, nothing blocks, and time grows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from lakehouse.engine import faults
from tests.faults.scene import TABLES, Scene, as_model, catalog_rows
from tests.faults.test_zombies import go_on

pytestmark = pytest.mark.faults
DAY = 86_400
POINTS = [
    "commit.planned",
    "commit.staged",
    "lock.taken",
    "publish.leased",
    "publish.before_delta",
    "publish.log_synced",
    "publish.before_head",
    "vacuum.leased",
    "vacuum.horizon",
]


class Clock:
    """The wall clock, which can be set; the monotonic one goes on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.offset = 0
        now, now_ns = time.time, time.time_ns
        patch.setattr(time, "time", lambda: now() + self.offset)
        patch.setattr(time, "time_ns", lambda: now_ns() + self.offset * 10**9)

    def jump(self, seconds: int) -> None:
        self.offset += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _grows(scene: Scene) -> None:
    times = [commit.at for commit in scene.a.commits()]
    assert all(later > earlier for later, earlier in itertools.pairwise(times))


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_jump_at_any_point_and_back_again_loses_nothing(jump: int, clock: Clock, scene: Scene) -> None:
    scene.work(times=2)
    scene.a.flush()
    for point in POINTS:
        jumped: list[str] = []

        def hook(name: str, point: str = point, jumped: list[str] = jumped) -> None:
            if name == point and not jumped:
                jumped.append(name)
                clock.jump(jump)

        scene.count += 2 - scene.count % 3  # the next commit inserts in bulk
        faults.install(hook)
        scene.work(scene.a)
        scene.a.publisher.publish()
        scene.a.vacuum()
        faults.install(None)
        assert jumped, point
        scene.settle(scene.b)
        clock.jump(-jump)
        scene.work()
        scene.settle(scene.a)
        _grows(scene)
    go_on(scene)


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_what_is_being_staged_when_the_clock_jumps_is_not_swept_away(jump: int, clock: Clock, scene: Scene) -> None:
    """Another process vacuums with its clock a day away, between the staging of a bulk insert and its commit."""
    careful = scene.actor(grace=3_600.0)
    scene.work()
    scene.a.flush()
    scene.count = 2
    happened: list[int] = []

    def hook(name: str) -> None:
        if name == "commit.staged" and not happened:
            happened.append(jump)
            clock.jump(jump)
            careful.vacuum()
            clock.jump(-jump)

    faults.install(hook)
    scene.work(scene.a)
    faults.install(None)
    assert happened
    scene.settle(scene.b)


def test_a_lease_taken_by_a_clock_that_was_ahead_blocks_nobody(clock: Clock, scene: Scene) -> None:
    patient = scene.actor(lease=30.0)
    scene.work()
    clock.jump(DAY)
    scene.interrupted("publish.leased", patient.publisher.publish)
    with scene.a.catalog.locked() as session:
        session.set_lease("the dead", time.time() + 30.0, new_epoch=True)
    clock.jump(-DAY)
    scene.settle(scene.b)


@pytest.mark.parametrize("act", ["publish", "vacuum"])
def test_the_last_week_stays_readable_when_the_clock_goes_back(act: str, clock: Clock, scene: Scene) -> None:
    keeper = scene.actor(retention=7 * DAY, grace=3_600.0)
    clock.jump(DAY)
    scene.work(times=2)
    keeper.flush()
    clock.jump(-2 * DAY)
    scene.work(times=2)
    keeper.flush()
    acts: dict[str, Callable[[], object]] = {"publish": keeper.publisher.publish, "vacuum": keeper.vacuum}
    acts[act]()
    for commit, rows in scene.states.items():
        if commit >= 2:
            for table in TABLES:
                assert as_model(catalog_rows(scene.actor(), table, commit)) == rows
