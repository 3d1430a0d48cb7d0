"""Publishing in the background: when the tail passes a threshold, when it has grown old, and at the end."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref

from lakehouse.engine.catalog import Catalog, Session
from lakehouse.engine.forks import can_publish
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.errors import LakehouseError

__all__ = ["BackgroundPublisher"]

_LOG = logging.getLogger("lakehouse")
_LOOK_EVERY = 32
_LONGEST_DELAY = 600.0
_MANY = 10
"""Times ``publish_commits`` after which a costly round is run all the same: readers go through what waits."""


class BackgroundPublisher:
    """Looks at the tail every so many commits and once it is old; a round runs in a thread of its own.

    There is one timer at most, and none while nothing of this process waits. The timer's thread is a daemon and only
    looks; the rounds are none, so that a process which ends waits for the one that is under way.
    """

    def __init__(self, catalog: Catalog, publisher: Publisher, options: Options) -> None:
        self._catalog, self._publisher, self._options = catalog, publisher, options
        self._pid, self._commits, self._closed = os.getpid(), 0, False
        self._thread: threading.Thread | None = None
        self._timer: threading.Timer | None = None
        self._lock, self._delay = threading.Lock(), options.publish_age
        _OPEN.add(self)

    @property
    def _rests(self) -> bool:
        """Whether this process publishes only when asked to; a forked child leaves it to others."""
        return not self._options.auto_publish or self._closed or self._pid != os.getpid() or not can_publish()

    def poke(self) -> None:
        """Be told of a commit."""
        if self._rests:
            return
        self._commits += 1
        try:
            self._arm()
            if (self._commits == 1 or self._commits % _LOOK_EVERY == 0) and self._is_due():
                self._start()
        except (LakehouseError, OSError, RuntimeError) as error:
            # the commit before this is durable: nothing that follows may make it look as if it were not
            _LOG.warning("the publisher could not start: %s", error)

    # -- by size ---------------------------------------------------------------------------------------------------
    def _is_due(self) -> bool:
        with self._catalog.read() as session:
            due = self._is_long(session)
        return due and self._is_worth_it()

    def _is_worth_it(self) -> bool:
        """Whether what a round rewrites is in proportion to what waits, and for how long.

        Changes all over a large table rewrite most of its files, be they few or many: they are let come together.
        """
        cost, limits = self._publisher.rewriting(), self._options
        if cost.size <= limits.publish_rewrite:
            return True
        with self._catalog.read() as session:
            commits, rows, size = session.tail_size(session.meta().head_json)
            age = self._age(session)
        many = commits > _MANY * limits.publish_commits or size > 4 * limits.publish_bytes or 100 * rows > cost.rows
        return many or age * limits.publish_rewrite > limits.publish_age * cost.size

    def _is_long(self, session: Session) -> bool:
        commits, rows, size = session.tail_size(session.meta().head_json)
        limits = self._options
        return commits > limits.publish_commits or rows > limits.publish_rows or size > limits.publish_bytes

    def _is_at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        if not self._is_at_work():
            self._thread = threading.Thread(target=self._publish, name="lakehouse-publisher", daemon=False)
            self._thread.start()

    def _publish(self) -> None:
        done = None
        try:
            done = self._publisher.publish()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            # the commits are safe in the catalog; whoever flushes or checks next meets the same error in the open
            _LOG.warning("publishing failed and will be tried again: %s", error)
        self._delay = self._options.publish_age if done is not None else min(2 * self._delay, _LONGEST_DELAY)
        if done is None and not self._rests:  # another process was at it, or it failed: look again later
            self._arm()

    # -- by age ----------------------------------------------------------------------------------------------------
    def _arm(self) -> None:
        """Have the tail looked at when it is old: one timer, however many commits follow."""
        with self._lock:
            if self._timer is not None or self._closed:
                return
            timer = threading.Timer(self._delay, self._ripe)
            timer.name, timer.daemon = "lakehouse-timer", True
            timer.start()
            self._timer = timer

    def _ripe(self) -> None:
        """Publish what waits; commits that come from now on arm a timer of their own."""
        with self._lock:
            self._timer = None
        try:
            with self._catalog.read() as session:
                waits = session.head() > session.meta().head_json
            if waits and not self._rests:
                if self._is_at_work() or not self._is_worth_it():  # or it is up to a commit before what waits
                    self._arm()
                else:
                    self._start()
        except (LakehouseError, OSError, RuntimeError) as error:
            _LOG.warning("the publisher could not start: %s", error)

    # -- at the end ------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Wait for a round that is under way; then publish if this process committed and a threshold is passed."""
        if self._pid != os.getpid():
            return
        rests, self._closed = self._rests, True
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for thread in (timer, self._thread):
            if thread is not None and thread is not threading.current_thread():
                thread.join()
        if self._commits and not rests:
            self._publish_last()
        _OPEN.discard(self)

    def _publish_last(self) -> None:
        """Publish a tail that is long or old, unless another process is at it: nobody waits for the end."""
        try:
            with self._catalog.read() as session:
                due = self._is_long(session) or self._age(session) >= self._options.publish_age
            due = due and self._is_worth_it()
        except (LakehouseError, OSError) as error:
            _LOG.warning("the tail was not published at the end: %s", error)
            return
        if due:
            self._publish()

    @staticmethod
    def _age(session: Session) -> float:
        """Return for how many seconds the first of the commits waits that are not published."""
        oldest = session.commit(session.meta().head_json + 1)
        return time.time() - oldest.at.timestamp() if oldest is not None else 0.0


_OPEN: weakref.WeakSet[BackgroundPublisher] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """Do for lakes that nobody closed what closing does; threads that are no daemons have ended by now."""
    for publisher in list(_OPEN):
        publisher.close()
