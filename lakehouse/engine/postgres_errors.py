"""What Postgres says, in our words: by SQLSTATE, and never with a value or a secret in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.engine.postgres_address import PostgresAddress
from lakehouse.errors import (
    Busy,
    ConfigurationError,
    Disconnected,
    InputError,
    IntegrityError,
    LakehouseError,
    ReadOnly,
    Unavailable,
)

if TYPE_CHECKING:
    import psycopg

__all__ = ["is_passing", "translated"]

_NO_SLOT, _STARTING, _LOCKED, _CANCELLED = "53300", "57P03", "55P03", "57014"
_ENDED = ("57P01", "57P02", "57P05", "25P03", "25P04")
_BY_STATE: dict[str, tuple[type[LakehouseError], str]] = {
    _NO_SLOT: (Busy, "the server has no free connection: try again, or raise its max_connections"),
    _STARTING: (Unavailable, "the server is starting up or shutting down: try again in a moment"),
    _LOCKED: (Busy, "the head lock was not free in time, since another client holds it for long: try again"),
    _CANCELLED: (Busy, "the server cancelled a statement that took too long; nothing was committed: try again"),
    "42501": (
        ReadOnly,
        "this role may not do that: the owner of the catalog grants it with `lakehouse grant ROLE`, --write to save and --admin to change tables and to vacuum",
    ),
    "25006": (ReadOnly, "this server or connection takes no changes: connect to one that does"),
    "53100": (Unavailable, "the server's disk is full; nothing was committed: free some space, then try again"),
    "28000": (ConfigurationError, "the server refuses this user or host: look at its pg_hba.conf"),
    "28P01": (ConfigurationError, "the password is missing or wrong: set PGPASSWORD, ~/.pgpass or a service"),
    "3D000": (ConfigurationError, "there is no such database: create it, or name another"),
    "3F000": (IntegrityError, "the schema is gone: restore the database from a backup"),
    "42P01": (IntegrityError, "tables of the catalog are gone: restore the database from a backup"),
    "54000": (InputError, "a text is too long for the catalog: shorten it"),
}
_BY_CLASS: dict[str, tuple[type[LakehouseError], str]] = {
    "08": (Disconnected, "the connection was lost; nothing was committed: try again"),
    "22": (InputError, "a value cannot be stored"),
    "53": (Unavailable, "the server lacks resources; nothing was committed: try again"),
    "58": (Unavailable, "the server's disk fails; nothing was committed: repair it"),
    "XX": (IntegrityError, "the server found its own data damaged: restore the database from a backup"),
}
_NUL = "NUL (0x00)"


def is_passing(error: psycopg.Error, *, known: bool) -> bool:
    """Whether a failure to connect passes by itself.

    Parameters
    ----------
    known
        Whether this process reached the server before: one that does not answer now is being restarted, while one
        that never answered is more likely to have another address.
    """
    state = error.sqlstate
    if state is None:  # the driver passes no code on for what the server says before a session has begun
        text = str(error)
        if "too many clients" in text or "remaining connection slots" in text or "too many connections" in text:
            return True
        if "starting up" in text or "shutting down" in text or "recovery mode" in text or "not yet accepting" in text:
            return True
        refused = ("Connection refused", "No such file", "closed the connection", "reset by peer", "timeout expired")
        return known and any(part in text for part in refused)
    return state in (_NO_SLOT, _STARTING) or (known and state in _ENDED)


def translated(error: psycopg.Error, address: PostgresAddress, *, lost: bool = False) -> LakehouseError:
    """Return our error for one of Postgres's, before or inside a transaction that was not committed.

    Parameters
    ----------
    lost
        Whether the connection was closed with it.
    """
    state = error.sqlstate
    if lost and state is None:
        return Disconnected(f"{address}: the connection was lost; nothing was committed: try again")
    if state is None:
        return _without_state(error, address)
    kind, advice = _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or (Unavailable, "nothing was committed")
    if state in _ENDED:
        kind, advice = Disconnected, "the server ended this session; nothing was committed: try again"
    # the primary message names tables and roles; the details would hold rows
    said = error.diag.message_primary or type(error).__name__
    return kind(f"{address}: {said} ({state}); {advice}")


def _without_state(error: psycopg.Error, address: PostgresAddress) -> LakehouseError:
    text = str(error)
    if _NUL in text:
        return InputError("a text holds a NUL character, which Postgres cannot store: remove it")
    if "password" in text or "authentication" in text or "pg_hba" in text:
        return ConfigurationError(
            f"{address} refuses the login: give the right user, and the password by PGPASSWORD, ~/.pgpass or a service"
        )
    if "database" in text and "does not exist" in text:
        return ConfigurationError(f"{address}: there is no such database: create it, or name another")
    if any(part in text for part in ("too many clients", "connection slots", "too many connections")):
        return Busy(f"{address}: the server has no free connection: try again, or raise its max_connections")
    if "connection" in text:
        return Disconnected(f"{address} cannot be reached or closed the connection; nothing was committed: try again")
    return Unavailable(f"{address} cannot be reached: look at host, port and network, then try again")
