"""Times and commits as callers give them."""

from __future__ import annotations

import datetime as dt

from lakehouse.engine import CommitInfo
from lakehouse.engine.moments import At, as_time
from lakehouse.errors import InputError, shown
from registries.column import to_utc
from registries.names import check_text

__all__ = ["At", "parse_time", "point"]


def point(at: At) -> int | str | dt.datetime | None:
    """Return a commit's id, a time in UTC, or the name of a tag.

    Examples
    --------
    >>> point(7), point("2026-01-01"), point("paper-v1")
    (7, datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), 'paper-v1')
    """
    if isinstance(at, CommitInfo):
        return at.id
    if isinstance(at, str) and as_time(at) is None:
        return check_text(at, "at")
    return parse_time(at, "at") if isinstance(at, str | dt.date) else at


def parse_time(value: str | dt.date, where: str) -> dt.datetime:
    """Return a time in UTC from a datetime, a date (its first moment) or ISO 8601 text; without a zone UTC is meant.

    Examples
    --------
    >>> parse_time("2026-01-01", "created_at")
    datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    moment: dt.date = value if isinstance(value, dt.date) else _from_text(value, where)
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day, tzinfo=dt.UTC)
    try:
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else to_utc(moment)
    except OverflowError:
        raise InputError(f"{where} = {shown(value)} lies outside the years 1 to 9999 in UTC") from None


def _from_text(text: str, where: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{where} = {shown(text)} is no time: write it like '2026-01-31' or '2026-01-31T12:00:00+00:00' "
            "(years 1 to 9999)"
        ) from None
