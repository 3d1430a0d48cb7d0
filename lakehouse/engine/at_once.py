"""Acknowledging only what is published: for lakes in a bucket whose catalog is a local file.

Nobody else can read that catalog, and the machine that holds it may be gone tomorrow. What a ``save`` returned is
therefore in the bucket.
"""

from __future__ import annotations

import time

from lakehouse.engine.catalog import Catalog
from lakehouse.engine.forks import can_publish
from lakehouse.engine.publish import Publisher
from lakehouse.engine.writer_lease import WriterLease
from lakehouse.errors import Busy, IntegrityError, LakehouseError, Unavailable, Unsupported

__all__ = ["AtOnce"]

_PATIENCE = 120.0


class AtOnce:
    """What a commit owes before and after it."""

    def __init__(self, catalog: Catalog, publisher: Publisher, lease: WriterLease, place: str) -> None:
        self._catalog, self._publisher, self._lease, self._place = catalog, publisher, lease, place

    def before(self) -> None:
        """Refuse to commit what could not be published.

        Raises
        ------
        Busy
            When another catalog writes to the bucket.
        Unsupported
            In a forked child of a process that had loaded deltalake.
        """
        if not can_publish():
            raise Unsupported(
                f"a forked process cannot publish to {self._place}, since deltalake's threads stayed in its parent: save "
                "in the parent, or start workers with multiprocessing.get_context('spawn')"
            )
        self._lease.hold()

    def after(self, commit: int) -> None:
        """Publish up to a commit, or say that it is not acknowledged.

        Raises
        ------
        Unavailable, IntegrityError
            The commit is in the catalog, and not in the bucket.
        """
        deadline = time.monotonic() + _PATIENCE
        try:
            while not self._is_published(commit):
                if self._publisher.publish() is not None:
                    continue  # a round of another thread may have begun before this commit
                if time.monotonic() > deadline:
                    raise Busy(f"another process has been publishing for {_PATIENCE:g} s")
                time.sleep(0.02)
        except IntegrityError as error:
            error.add_note(f"Commit {commit} is in the local catalog and was not published to {self._place}.")
            raise
        except (LakehouseError, OSError) as error:
            raise Unavailable(
                f"commit {commit} is in the local catalog, but could not be published to {self._place}, so it is not "
                f"acknowledged ({error}): the next save or flush() publishes it too"
            ) from error

    def _is_published(self, commit: int) -> bool:
        with self._catalog.read() as session:
            return session.meta().head_json >= commit
