"""The maintenance lease: one publisher at a time, as a matter of liveness; safety comes from compare-and-set."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from lakehouse.engine.catalog import Catalog
from lakehouse.engine.options import Options
from lakehouse.errors import Abandoned, Busy, DataLoss, Diverged, Expired

__all__ = ["Lease"]

T = TypeVar("T")
_BEAT = 5.0
"""Seconds between renewals at least; a shorter lease is a test's."""


class Lease:
    """Takes, renews and gives up the one lease of a lake."""

    def __init__(self, catalog: Catalog, options: Options) -> None:
        self._catalog, self._options = catalog, options
        self.holder = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.guard: Callable[[], None] | None = None
        """Is asked first, and raises where this process must not maintain the lake."""

    def acquire(self) -> int | None:
        """Take the lease without waiting; every taking has a new epoch. None: another process holds it."""
        with self._catalog.locked() as session:
            meta, now = session.meta(), time.time()
            # an end that lies further ahead than any lease comes from a clock that was set back since
            if now < meta.until <= now + 2 * self._options.lease + 60:
                return None
            return session.set_lease(self.holder, now + self._options.lease, new_epoch=True)

    def under(self, body: Callable[[int], T]) -> T | None:
        """Run maintenance under the lease; None when another process has it, or took it meanwhile.

        Whatever fails after the lease was lost is a loss of the lease and nothing else: a sleeper finds its target
        vacuumed (``Expired``), its files swept (``DataLoss``), or a log that has moved on (``Diverged``).
        """
        if self.guard is not None:
            self.guard()
        if (epoch := self.acquire()) is None:
            return None
        try:
            return body(epoch)
        except Abandoned:
            return None
        except (Expired, Diverged, DataLoss, FileNotFoundError) as error:
            with self._catalog.read() as session:
                lost = session.meta().epoch != epoch
            if lost:
                return None
            if isinstance(error, FileNotFoundError):
                raise DataLoss(f"{error.filename} is gone, though the catalog names it") from error
            raise
        finally:
            self._release(epoch)

    @contextmanager
    def beating(self, epoch: int) -> Iterator[None]:
        """Renew the lease from a thread of its own while the block runs; in vain once it is lost."""
        done = threading.Event()

        def beat() -> None:
            with suppress(Abandoned, Busy):
                while not done.wait(max(self._options.lease / 3, _BEAT)):
                    with self._catalog.locked(epoch) as session:
                        session.set_lease(self.holder, time.time() + self._options.lease, new_epoch=False)

        thread = threading.Thread(target=beat, name="lakehouse-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _release(self, epoch: int) -> None:
        with suppress(Abandoned), self._catalog.locked(epoch) as session:
            session.set_lease(self.holder, 0.0, new_epoch=False)
