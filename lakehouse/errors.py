"""Errors, grouped by what the one who catches them does next.

::

    LakehouseError
    ├── InputError (ValueError)             mend the call
    │   ├── InvalidName                     a name, label or uid that cannot be stored
    │   ├── InvalidKey                      a key, path or URL that is not admitted
    │   ├── UnknownField (AttributeError)   no such field, look-up or table
    │   ├── UnknownFormat                   no format reads or writes this
    │   ├── InvalidFile                     the bytes are not what the format demands
    │   ├── InvalidData                     values that do not conform to a schema
    │   ├── InvalidQuery                    SQL that cannot run here
    │   └── ConfigurationError              settings that contradict or cannot be met
    ├── NotFound (KeyError)                 look elsewhere
    │   ├── RecordNotFound
    │   └── InstanceNotFound
    ├── MultipleFound (LookupError)         narrow the look-up
    ├── Conflict                            plan again on a newer snapshot
    │   ├── Duplicate                       a key or unique value is taken
    │   ├── ChangedSinceRead                a row is no longer as it was read
    │   ├── ReferenceMissing                a row that is referred to does not exist
    │   ├── StillReferenced                 a row to be deleted is referred to
    │   ├── SchemaChanged                   the table's columns changed since planning
    │   └── Expired                         the snapshot is older than what is retained
    ├── Unavailable (OSError)               try again later
    │   ├── Busy (TimeoutError)             a lock was not free in time
    │   ├── Abandoned                       the maintenance lease was lost to another
    │   ├── Disconnected                    the server closed the connection; nothing was committed
    │   └── OutcomeUnknown                  nor could it be asked whether a commit was made: repeat that one
    ├── IntegrityError                      stop and look at the instance
    │   ├── Diverged                        Delta and catalog do not belong together
    │   ├── DataLoss                        a file that must exist does not
    │   └── NewerFormat                     written by a newer version of this program
    ├── ReadOnly (PermissionError)          open it for writing, or ask someone who may
    │   └── OlderFormat                     made by an older version of this program: migrate it
    ├── Unsupported                         this place or platform cannot do it; the message has the choices
    └── MissingExtra (ImportError)          install the extra that the message names
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self

__all__ = [
    "Abandoned",
    "Busy",
    "ChangedSinceRead",
    "ConfigurationError",
    "Conflict",
    "DataLoss",
    "Disconnected",
    "Diverged",
    "Duplicate",
    "Expired",
    "InputError",
    "InstanceNotFound",
    "IntegrityError",
    "InvalidData",
    "InvalidFile",
    "InvalidKey",
    "InvalidName",
    "InvalidQuery",
    "LakehouseError",
    "MissingExtra",
    "MultipleFound",
    "NewerFormat",
    "NotFound",
    "OlderFormat",
    "OutcomeUnknown",
    "ReadOnly",
    "RecordNotFound",
    "ReferenceMissing",
    "SchemaChanged",
    "StillReferenced",
    "Unavailable",
    "UnknownField",
    "UnknownFormat",
    "Unsupported",
    "did_you_mean",
    "shown",
]


class LakehouseError(Exception):
    """The root of every error that this package raises on purpose."""


class InputError(LakehouseError, ValueError):
    """The call cannot be carried out as it stands: mend it."""


class InvalidName(InputError):
    """A name, label or uid that cannot be stored."""


class InvalidKey(InputError):
    """A key, path or URL that is not admitted."""


class UnknownField(InputError, AttributeError):
    """No such field, look-up or table; the message lists near ones."""


class UnknownFormat(InputError):
    """No format reads or writes this object, suffix or file."""


class InvalidFile(InputError):
    """The bytes are not what the format demands."""


class InvalidData(InputError):
    """Values do not conform to a schema; ``report`` has every fault."""

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class InvalidQuery(InputError):
    """SQL that cannot run here: a syntax error, an unknown table, or an access that is locked."""


class ConfigurationError(InputError):
    """Settings that contradict each other or cannot be met."""


class NotFound(LakehouseError, KeyError):
    """What was asked for does not exist."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        """Return the message itself."""
        return str(self.args[0]) if self.args else ""


class RecordNotFound(NotFound):
    """No record matches."""


class InstanceNotFound(NotFound):
    """No instance at that place, or none is connected."""


class MultipleFound(LakehouseError, LookupError):
    """More than one record matches where one was asked for."""


class Conflict(LakehouseError):
    """A requirement of the transaction no longer holds: plan again on a newer snapshot."""

    transient = True
    """Whether planning again may succeed; false where the requirement failed on the planning snapshot itself."""

    def final(self) -> Self:
        """Return this error marked as one that planning again cannot cure."""
        self.transient = False
        return self


class Duplicate(Conflict):
    """A key or unique value is already taken."""


class ChangedSinceRead(Conflict):
    """A row is no longer as it was when it was read."""


class ReferenceMissing(Conflict):
    """A row that is referred to does not exist."""


class StillReferenced(Conflict):
    """A row that is to be deleted is still referred to."""


class SchemaChanged(Conflict):
    """The columns of a table changed since the transaction was planned."""


class Expired(Conflict):
    """The snapshot is older than what is retained."""


class Unavailable(LakehouseError, OSError):
    """Something needed cannot be had now; the same call may succeed later."""


class Busy(Unavailable, TimeoutError):
    """A lock was not free in time."""


class Abandoned(Unavailable):
    """The maintenance lease was lost to another process, which carries on."""


class Disconnected(Unavailable):
    """The catalog's server closed the connection; what was under way did not happen, and may be begun again."""


class OutcomeUnknown(Unavailable):
    """The connection was lost while committing, and the server cannot be asked what became of it.

    Committing the same transaction again, or one with the same ``client_txn``, is safe: it commits once.
    """


class IntegrityError(LakehouseError):
    """What is stored contradicts itself; nothing was changed."""


class Diverged(IntegrityError):
    """Delta tables and catalog do not belong together."""


class DataLoss(IntegrityError):
    """A file that must exist does not."""


class NewerFormat(IntegrityError):
    """The instance was written by a newer version of this program."""


class ReadOnly(LakehouseError, PermissionError):
    """The instance or storage was opened for reading only."""


class OlderFormat(ReadOnly):
    """The instance was made by an older version of this program: it can be read, and migrated."""


class Unsupported(LakehouseError):
    """This place or platform cannot do what was asked."""


class MissingExtra(LakehouseError, ImportError):
    """An optional dependency is not installed."""


def shown(value: object, limit: int = 120) -> str:
    """Return a value's repr for use in messages; the middle of a long one is left out, so that paths keep their name.

    Examples
    --------
    >>> shown("/data/" + "x" * 200 + "/reads.csv", 24)
    "'/data/xxxxx…/reads.csv'"
    """
    if isinstance(value, str | bytes) and len(value) > 2 * limit:  # do not write a megabyte to cut it afterwards
        ends: tuple[Any, Any] = value[:limit], value[-limit:]
        value = ends[0] + ends[1]
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than 4,300 digits
        text = f"<{type(value).__name__} without a text>"
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return text[: limit - 1 - tail] + "…" + text[-tail:]


def did_you_mean(value: str, choices: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for near choices, else the choices themselves.

    Examples
    --------
    >>> did_you_mean("nme", ["name", "size"])
    "; did you mean 'name'?"
    >>> did_you_mean("zzz", ["name", "size"])
    "; choose one of 'name', 'size'"
    """
    known = sorted(choices)
    near = difflib.get_close_matches(value[:200], known, n=3)
    if near:
        return "; did you mean " + " or ".join(map(repr, near)) + "?"
    listed = ", ".join(map(repr, known[:20])) + (", …" if len(known) > 20 else "")
    return f"; choose one of {listed}" if known else ""
