"""Publishing in the background when the tail passes a threshold."""

from __future__ import annotations

import logging
import os
import threading

from lakehouse.engine.catalog import Catalog
from lakehouse.engine.forks import can_publish
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.errors import LakehouseError

__all__ = ["BackgroundPublisher"]

_LOG = logging.getLogger("lakehouse")
_LOOK_EVERY = 32


class BackgroundPublisher:
    """Looks at the tail every so many commits, and publishes in a thread of its own when it grew too long."""

    def __init__(self, catalog: Catalog, publisher: Publisher, options: Options) -> None:
        self._catalog, self._publisher, self._options = catalog, publisher, options
        self._pid, self._commits = os.getpid(), 0
        self._thread: threading.Thread | None = None

    def poke(self) -> None:
        """Be told of a commit."""
        if (
            not self._options.auto_publish or self._pid != os.getpid() or not can_publish()
        ):  # a forked child leaves publishing to others
            return
        self._commits += 1
        if self._commits % _LOOK_EVERY and self._commits > 1:
            return
        try:
            if (self._thread is None or not self._thread.is_alive()) and self._is_due():
                self._thread = threading.Thread(target=self._publish, name="lakehouse-publisher", daemon=False)
                self._thread.start()
        except (LakehouseError, OSError, RuntimeError) as error:
            # the commit before this is durable: nothing that follows may make it look as if it were not
            _LOG.warning("the publisher could not start: %s", error)

    def _is_due(self) -> bool:
        with self._catalog.read() as session:
            commits, rows, size = session.tail_size(session.meta().head_json)
        limits = self._options
        return commits > limits.publish_commits or rows > limits.publish_rows or size > limits.publish_bytes

    def _publish(self) -> None:
        try:
            self._publisher.publish()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            # the commits are safe in the catalog; whoever flushes or checks next meets the same error in the open
            _LOG.warning("publishing failed and will be tried again: %s", error)

    def close(self) -> None:
        """Wait for a round that is under way."""
        if self._thread is not None and self._pid == os.getpid() and self._thread is not threading.current_thread():
            self._thread.join()
