"""How to ingest."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from lakehouse.errors import InputError, shown
from lakehouse.types import Progress

__all__ = ["Options"]

ON_ERROR = ("stop", "skip", "quarantine")


@dataclass(frozen=True)
class Options:
    """How to ingest; see ``lh.ingest``."""

    schema: Any = None
    on_error: str = "stop"
    dry_run: bool = False
    resume: bool = True
    sync: bool = False
    executor: Executor | None = None
    workers: int | None = None
    prefix: str | None = None
    storage: Any = None
    labels: tuple[str, ...] = ()
    create_labels: bool = False
    settle: float = 2.0
    most_vanished: float = 0.5
    progress: Progress | None = None

    def check(self) -> None:
        """Raise InputError for what is not accepted."""
        if self.on_error not in ON_ERROR:
            raise InputError(f"on_error = {shown(self.on_error)}: one of {', '.join(ON_ERROR)} is accepted")
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise InputError(f"executor = {shown(self.executor)}: an executor of concurrent.futures is accepted")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers = {shown(self.workers)}: a number from 1 on is accepted")
        if not 0 <= self.most_vanished <= 1:
            raise InputError(f"most_vanished = {shown(self.most_vanished)}: a share from 0 to 1 is accepted")
