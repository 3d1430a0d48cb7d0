"""Points in the history of a lake as callers give them: a commit, a time, or the name of a tag."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime
from typing import TypeAlias

from lakehouse.engine.catalog import CommitInfo, Session, to_micros
from lakehouse.errors import Expired, InputError, did_you_mean, shown

__all__ = ["At", "as_time", "is_readable", "refuse_expired", "resolved"]

At: TypeAlias = int | str | date | CommitInfo | None
"""A commit (its id, or one of ``snapshots()``), a time (aware; text in ISO 8601; a date is its first moment in UTC), or
the name of a tag; None is the head."""


def as_time(text: str) -> datetime | None:
    """Return the time that a text in ISO 8601 says (in UTC, where it has no zone), or None.

    Examples
    --------
    >>> as_time("2026-01-31"), as_time("paper-v1")
    (datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc), None)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def resolved(session: Session, at: At) -> int:
    """Return the commit that a point in history means; of a time, the newest one at or before it.

    Raises
    ------
    InputError
        When there is no such commit, time or tag.
    """
    head = session.head()
    if at is None:
        return head
    if isinstance(at, CommitInfo):
        at = at.id
    if isinstance(at, str):
        return _named(session, at, head)
    if isinstance(at, date):
        return session.commit_at(to_micros(_moment(at)))
    if not _is_number(at) or not 0 <= at <= head:
        raise InputError(f"no commit {shown(at)}: the newest is {head}")
    return at


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _named(session: Session, text: str, head: int) -> int:
    if (moment := as_time(text)) is not None:
        return session.commit_at(to_micros(moment))
    name = unicodedata.normalize("NFC", text)
    tags = {tag.name: tag.commit for tag in session.tags()}
    if (found := tags.get(name)) is None:
        near = did_you_mean(name, tags) or f"; there are no tags, and the newest commit is {head}"
        raise InputError(f"no commit, time or tag {shown(text)}{near}")
    return found


def _moment(at: date) -> datetime:
    if not isinstance(at, datetime):
        return datetime(at.year, at.month, at.day, tzinfo=UTC)
    if at.tzinfo is None:
        raise InputError(f"{at} has no time zone: use datetime.now(UTC) or add tzinfo")
    return at


def is_readable(session: Session, commit: int) -> bool:
    """Whether a commit is retained: not older than the horizon, or tagged."""
    return commit >= session.meta().oldest_readable or session.is_tagged(commit)


def refuse_expired(session: Session, commit: int) -> None:
    """Raise ``Expired`` for a commit that is no longer retained."""
    if not is_readable(session, commit):
        oldest = session.meta().oldest_readable
        raise Expired(f"commit {commit} is no longer readable, the oldest is {oldest}: begin again on a newer snapshot")
