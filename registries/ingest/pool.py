"""Running work on an executor: a bounded number of tasks at a time, and what becomes of workers that die."""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import SimpleQueue
from typing import Any, TypeAlias

from lakehouse.errors import Unavailable
from registries.ingest.entries import picked
from registries.ingest.findings import Columns, Finding
from registries.ingest.plan import Plan
from registries.ingest.reading import read_small
from registries.ingest.work import examine

__all__ = ["IDLE", "Read", "examined"]

_FILES = 512
"""Files of one task, at most; of those that are only to be hashed four times as many."""
_FEW, _FEW_BYTES = 32, 64 << 20
"""Files, and bytes of them, that are read here, as starting a process takes longer."""
_SOON, _SHORT = 20_000, 0.5
"""Files that may be read here within so many seconds, where nothing but their bytes is looked at: starting takes longer."""
_AHEAD = 32
"""Tasks for each worker that wait, are under way or were done: what keeps it busy while a batch is registered."""
_STARTED = 2
"""Tasks for each worker, and one more, that an executor of our own may have begun: they are begun in order."""

Read: TypeAlias = tuple[Sequence[int], Columns]
"""Places of entries, and what is found in each."""
IDLE: Read = (), ((),) * len(Finding._fields)
"""Says that whoever takes what was read would wait, and has time for something else."""
_Task: TypeAlias = Sequence[int]


def examined(
    paths: list[str], places: Sequence[int], plan: Plan, executor: Executor | None, workers: int | None
) -> Iterator[Read]:
    """Yield places with what is found in the files there, in the order in which they are done; ``IDLE`` before a wait.

    Parameters
    ----------
    paths
        Of all entries.
    places
        Of those that are to be read.
    executor
        Of the caller; None for processes of our own.
    workers
        How many of these.

    Raises
    ------
    Unavailable
        When workers of the caller's executor die; those of our own are replaced.
    """
    if not places:
        return
    count = workers or os.cpu_count() or 1
    if executor is not None:
        known: Any = getattr(executor, "_max_workers", None)
        count = known if isinstance(known, int) else 2 * count
        yield from _given(paths, deque(_parts(places, count, plan)), plan, executor, count)
    elif workers is None and _are_few(paths, places):
        yield from _here(paths, deque([places]), plan)  # sooner done than begun
    else:
        if workers is None and plan.is_plain and len(places) <= _SOON:
            places = yield from _soon(paths, places)
        if places:
            yield from _owned(paths, deque(_parts(places, count, plan)), plan, count)


def _parts(places: Sequence[int], workers: int, plan: Plan) -> Iterator[_Task]:
    """Yield tasks: no more files than others may take up meanwhile, and at least one for each worker."""
    step = max(1, min(4 * _FILES if plan.is_plain else _FILES, len(places) // (4 * workers)))
    return (places[at : at + step] for at in range(0, len(places), step))


def _are_few(paths: list[str], places: Sequence[int]) -> bool:
    if len(places) > _FEW:
        return False
    size = 0
    for place in places:
        with suppress(OSError):  # told of by whoever reads it
            found = os.stat(paths[place])  # noqa: PTH116
            size += found.st_size if stat.S_ISREG(found.st_mode) else _FEW_BYTES
    return size < _FEW_BYTES


def _soon(paths: list[str], places: Sequence[int]) -> Generator[Read, None, Sequence[int]]:
    """Read small files without a format while processes would be starting; return the places that are left."""
    began = time.monotonic()
    while places and time.monotonic() - began < _SHORT:
        found, _ = read_small(picked(paths, places[:_FILES]), 0, _FEW_BYTES)
        if not found[0]:
            break
        yield places[: len(found[0])], found
        places = places[len(found[0]) :]
    return places


def _here(paths: list[str], tasks: deque[_Task], plan: Plan) -> Iterator[Read]:
    while tasks:
        task = tasks.popleft()
        found = examine(picked(paths, task), plan)
        _put_back(tasks, task, len(found[0]))
        yield task[: len(found[0])], found


def _put_back(tasks: deque[_Task], task: _Task, done: int) -> None:
    """Share out what a task left, as its files are large."""
    tasks.extendleft(task[at : at + done] for at in reversed(range(done, len(task), done)))


def _owned(paths: list[str], tasks: deque[_Task], plan: Plan, count: int) -> Iterator[Read]:
    suspects: deque[_Task] = deque()
    while tasks or suspects:
        alone = bool(suspects)
        with _own(1 if alone else count) as pool:
            try:
                # what was under way when a worker died is tried alone, to find out which file it was
                yield from _run(paths, suspects or tasks, plan, pool, 1 if alone else count * _AHEAD)
            except _Broken as broken:
                if not alone:
                    begun = _STARTED * count + 1
                    suspects.extend(broken.lost[:begun])
                    tasks.extendleft(reversed(broken.lost[begun:]))
                elif len(task := broken.lost[0]) == 1:
                    yield task, tuple(zip(_killed(paths[task[0]]), strict=True))
                else:
                    suspects.extendleft([place] for place in reversed(task))


class _Broken(Exception):
    """Workers died; what was under way has to be done again."""

    lost: Sequence[_Task] = ()


def _given(paths: list[str], tasks: deque[_Task], plan: Plan, executor: Executor, count: int) -> Iterator[Read]:
    try:
        yield from _run(paths, tasks, plan, executor, count * _AHEAD)
    except _Broken as error:
        raise Unavailable(
            f"workers of the executor died ({type(error.__cause__).__name__}): what is registered stays; run it again "
            "with another executor, and it goes on from there"
        ) from error.__cause__


def _own(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=_Context(), initializer=_follow)


def _follow() -> None:
    """Let a worker end with the one who started it: were that killed, it would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class _Worker(SpawnProcess):
    """A process that does not import the script of the one who started it, which need not be fit for that."""

    def start(self) -> None:
        main: Any = vars(sys.modules["__main__"])
        kept: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
        main["__spec__"] = None
        main.pop("__file__", None)
        try:
            super().start()
        finally:
            main.update(kept)


class _Context(SpawnContext):
    """Starts such processes; spawned, as a forked child inherits threads that are not there."""

    Process = _Worker


def _run(paths: list[str], tasks: deque[_Task], plan: Plan, executor: Executor, ahead: int) -> Iterator[Read]:
    running: dict[Future[Columns], _Task] = {}
    done: SimpleQueue[Future[Columns]] = SimpleQueue()

    def settled(future: Future[Columns]) -> Read:
        found = _result(future)
        task = running.pop(future)
        _put_back(tasks, task, len(found[0]))
        return task[: len(found[0])], found

    try:
        while tasks or running:
            while tasks and len(running) < ahead:
                future = _submitted(executor, picked(paths, tasks[0]), plan)
                running[future] = tasks.popleft()
                future.add_done_callback(done.put)
            if done.empty():
                yield IDLE
            yield settled(done.get())
    except _Broken as broken:
        yield from [settled(future) for future in list(running) if future.done() and _is_whole(future)]
        broken.lost = [*running.values(), *([] if running else [tasks.popleft()])]
        raise
    finally:
        for future in running:
            future.cancel()


def _submitted(executor: Executor, paths: list[str], plan: Plan) -> Future[Columns]:
    try:
        return executor.submit(examine, paths, plan)
    except (BrokenExecutor, RuntimeError) as error:
        raise _Broken from error


def _result(future: Future[Columns]) -> Columns:
    try:
        return future.result()
    except Exception as error:
        if isinstance(error, BrokenExecutor) or _is_loss(error):
            raise _Broken from error
        raise


def _is_whole(future: Future[Columns]) -> bool:
    return not future.cancelled() and future.exception() is None


def _is_loss(error: Exception) -> bool:
    """Tell whether an executor of another package says that a worker was lost."""
    return type(error).__name__ in (
        "KilledWorker",
        "WorkerCrashedError",
        "NodeDiedError",
        "CancelledError",
        "OutOfMemoryError",
    )


def _killed(path: str) -> Finding:
    return Finding(reason="killed", message=f"{path!r} ended the process that read it")
