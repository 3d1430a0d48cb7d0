"""Running work on an executor: a bounded number of tasks at a time, and what becomes of workers that die."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from lakehouse.errors import Unavailable
from registries.ingest.manifest import Entry
from registries.ingest.work import Finding, Plan, examine

__all__ = ["examined"]

_FILES = 256
_BYTES = 64 << 20
"""Files and bytes of one task, at most."""
_FEW = 32
"""Files that are read here, as starting a process takes longer."""
_AHEAD = 4
"""Tasks for each worker that wait or are under way."""


def examined(
    entries: Sequence[Entry], plan: Plan, executor: Executor | None, workers: int | None
) -> Iterator[tuple[Entry, Finding]]:
    """Yield entries with what is found in them, in the order in which they are done.

    Parameters
    ----------
    executor
        Of the caller; None for processes of our own.
    workers
        How many of these.

    Raises
    ------
    Unavailable
        When workers of the caller's executor die; those of our own are replaced.
    """
    tasks = deque(_tasks(entries))
    if executor is not None:
        yield from _given(tasks, plan, executor)
        return
    if (
        workers is None
        and len(entries) <= _FEW
        and sum(one.stat[0] if one.stat else _BYTES for one in entries) <= _BYTES
    ):
        yield from zip(entries, examine([one.path for one in entries], plan), strict=True)  # sooner done than begun
        return
    count = workers or os.cpu_count() or 1
    suspects: deque[list[Entry]] = deque()
    while tasks or suspects:
        with _own(count if not suspects else 1) as pool:
            try:
                # what was under way when a worker died is tried alone, to find out which file it was
                running = suspects or tasks
                ahead = 1 if suspects else count * _AHEAD
                yield from _run(running, plan, pool, ahead)
            except _Broken as broken:
                if len(broken.lost) == 1 and len(broken.lost[0]) == 1:
                    yield broken.lost[0][0], _killed(broken.lost[0][0])
                else:
                    suspects.extend([entry] for task in broken.lost for entry in task)


class _Broken(Exception):
    """Workers died; what was under way has to be done again."""

    def __init__(self, lost: list[list[Entry]]) -> None:
        super().__init__("workers died")
        self.lost = lost


def _given(tasks: deque[list[Entry]], plan: Plan, executor: Executor) -> Iterator[tuple[Entry, Finding]]:
    count: Any = getattr(executor, "_max_workers", None)
    ahead = (count if isinstance(count, int) else 2 * (os.cpu_count() or 1)) * _AHEAD
    try:
        yield from _run(tasks, plan, executor, ahead)
    except _Broken as error:
        raise Unavailable(
            f"workers of the executor died ({type(error.__cause__).__name__}): what is registered stays; run it again "
            "with another executor, and it goes on from there"
        ) from error.__cause__


def _own(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=_Context())


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


def _run(tasks: deque[list[Entry]], plan: Plan, executor: Executor, ahead: int) -> Iterator[tuple[Entry, Finding]]:
    running: dict[Future[list[Finding]], list[Entry]] = {}
    try:
        while tasks or running:
            while tasks and len(running) < ahead:
                task = tasks.popleft()
                running[_submitted(executor, task, plan, running)] = task
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running[future]
                found = _result(future, running)
                del running[future]
                yield from zip(task, found, strict=True)
    finally:
        for future in running:
            future.cancel()


def _submitted(
    executor: Executor, task: list[Entry], plan: Plan, running: dict[Future[list[Finding]], list[Entry]]
) -> Future[list[Finding]]:
    try:
        return executor.submit(examine, [entry.path for entry in task], plan)
    except (BrokenExecutor, RuntimeError) as error:
        raise _Broken([*running.values(), task]) from error


def _result(future: Future[list[Finding]], running: dict[Future[list[Finding]], list[Entry]]) -> list[Finding]:
    try:
        return future.result()
    except Exception as error:
        if isinstance(error, BrokenExecutor) or _is_loss(error):
            raise _Broken(list(running.values())) from error
        raise


def _is_loss(error: Exception) -> bool:
    """Tell whether an executor of another package says that a worker was lost."""
    return type(error).__name__ in (
        "KilledWorker",
        "WorkerCrashedError",
        "NodeDiedError",
        "CancelledError",
        "OutOfMemoryError",
    )


def _killed(entry: Entry) -> Finding:
    return Finding(reason="killed", message=f"{entry.path!r} ended the process that read it")


def _tasks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    task: list[Entry] = []
    size = 0
    for entry in entries:
        own = entry.stat[0] if entry.stat else 0
        if task and (len(task) >= _FILES or size + own > _BYTES):
            yield task
            task, size = [], 0
        task.append(entry)
        size += own
    if task:
        yield task
