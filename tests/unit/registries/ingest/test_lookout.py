"""Looking at files once more in a process beside: what it tells, and that nothing depends on its being there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from registries.ingest import lookout as module
from registries.ingest.lookout import Lookout

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names that are no text are of other systems")


@pytest.fixture
def started(monkeypatch):
    """Ask another process even for few files; returns those that were started."""
    made: list[subprocess.Popen[bytes]] = []

    def popen(*given, own=subprocess.Popen, **named):
        made.append(own(*given, **named))
        return made[-1]

    monkeypatch.setattr(module, "_MANY", 1)
    monkeypatch.setattr(subprocess, "Popen", popen)
    return made


@pytest.fixture
def files(tmp_path):
    """Return paths of files, and their times: what a lookout is asked."""
    names = [
        "same.txt",
        "grown.txt",
        "touched.txt",
        "linked.txt",
        "gone.txt",
        "caf\u00e9.txt",
        os.fsdecode(b"raw\xff.txt"),
    ]
    paths = [str(tmp_path / name) for name in names]
    for path in paths:
        with open(path, "w") as file:
            file.write("x")
    found = [os.stat(path) for path in paths]
    columns = ("st_size", "st_mtime_ns", "st_ctime_ns")
    return paths, *([getattr(one, name) for one in found] for name in columns)


def write(files):
    paths, _, mtimes, _ = files
    with open(paths[1], "a") as file:
        file.write("y")
    os.utime(paths[1], ns=(mtimes[1], mtimes[1]))  # its size alone tells, and the time of its entry
    os.utime(paths[2], ns=(mtimes[2] + 1_000, mtimes[2] + 1_000))
    os.link(paths[3], f"{paths[3]}.link")
    os.unlink(paths[4])
    os.rename(paths[6], f"{paths[6]}.moved")


def test_what_was_written_to_moved_or_removed_is_told_whoever_looks(files, started, monkeypatch):
    with Lookout() as lookout:
        assert lookout.ask(files)() == []
        write(files)
        assert lookout.ask(files)() == [1, 2, 3, 4, 6]
        monkeypatch.setattr(module, "_MANY", 1_000)
        assert lookout.ask(files)() == [1, 2, 3, 4, 6]
    assert len(started) == 1


def test_an_answer_that_nobody_came_back_for_is_not_given_to_the_next_ask(files, started):
    """A plan that was ended by a conflict is run again, and asks anew."""
    with Lookout() as lookout:
        first = lookout.ask(files)
        write(files)
        second = lookout.ask(files)
        assert second() == [1, 2, 3, 4, 6]
        assert first() == second() == [1, 2, 3, 4, 6]  # late, and twice
        assert lookout.ask(files)() == [1, 2, 3, 4, 6]
    assert len(started) == 1


def test_long_answers_that_nobody_reads_do_not_hold_it_up(started):
    count = 50_000  # more than a pipe holds
    gone = [f"/no/such/file{n}" for n in range(count)], [1] * count, [1] * count, [1] * count
    with Lookout() as lookout:
        lookout.ask(gone)
        lookout.ask(gone)
        assert lookout.ask(gone)() == list(range(count))
    assert len(started) == 1


def test_it_ends_with_the_block_whatever_ends_that(files, started):
    with pytest.raises(KeyboardInterrupt), Lookout() as lookout:
        lookout.ask(files)
        raise KeyboardInterrupt
    assert started[0].returncode is not None


@pytest.mark.parametrize("when", ["before it is asked", "before it answers"])
def test_one_that_is_killed_is_done_without(files, started, when):
    write(files)
    with Lookout() as lookout:
        assert lookout.ask(files)() == [1, 2, 3, 4, 6]
        if when == "before it is asked":
            started[0].kill()
            started[0].wait()
        rows = lookout.ask(files)
        started[0].kill()
        assert rows() == [1, 2, 3, 4, 6]
        assert lookout.ask(files)() == [1, 2, 3, 4, 6]
    assert len(started) == 1


def test_times_that_are_too_large_to_be_sent_are_looked_at_here(files, started):
    paths, sizes, mtimes, ctimes = files
    with Lookout() as lookout:
        assert lookout.ask((paths, sizes, [2**63, *mtimes[1:]], ctimes))() == [0]


def test_one_that_cannot_be_started_is_done_without(files, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 1)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    write(files)
    with Lookout() as lookout:
        assert lookout.ask(files)() == [1, 2, 3, 4, 6]


def test_it_ends_when_the_one_who_asks_is_killed(files, started):
    with Lookout() as lookout:
        lookout.ask(files)()
        stdin = started[0].stdin
        assert stdin is not None
        stdin.close()  # as the system does for a process that ends
        assert started[0].wait(30) == 0
