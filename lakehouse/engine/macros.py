"""Table macros that user SQL may call, some of which ask Python."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import duckdb

from lakehouse.engine.forks import HELD

__all__ = ["Function", "Macro", "define"]


@dataclass(frozen=True)
class Function:
    """A Python function for SQL.

    Attributes
    ----------
    name
        What SQL calls it.
    call
        The function; it may run in a thread of DuckDB.
    takes
        The SQL types of its arguments.
    gives
        The SQL type of its result.
    """

    name: str
    call: Callable[..., Any]
    takes: tuple[str, ...]
    gives: str


class Macro(str):
    """The text of a table macro after its name: ``(parameters) AS TABLE SELECT ...``.

    Examples
    --------
    >>> macro = Macro("(word) AS TABLE SELECT * FROM label WHERE name = word")
    >>> macro.functions
    ()
    """

    __slots__ = ("functions",)
    functions: tuple[Function, ...]
    """What it asks of Python."""

    def __new__(cls, text: str, functions: Iterable[Function] = ()) -> Self:
        """Return the text, with what it asks of Python."""
        made = super().__new__(cls, text)
        made.functions = tuple(functions)
        return made


class _Callers:
    """Connections that have Python functions: closed at exit, since DuckDB else complains of them on the screen."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        HELD.add(self)
        atexit.register(self.close)

    def add(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take a connection in."""
        self._made.add(connection)

    def after_fork(self) -> None:
        """Forget the parent's: its threads stayed there, and closing them would end the child."""
        self._made = weakref.WeakSet()

    def close(self) -> None:
        """Close them all."""
        for connection in list(self._made):
            connection.close()


_callers = _Callers()


def define(connection: duckdb.DuckDBPyConnection, name: str, macro: Macro, *, temporary: bool = True) -> None:
    """Make a macro known to a connection, as long as that lives.

    Parameters
    ----------
    name
        A quoted name, with its database where it is not to be ``temporary``.
    """
    for function in macro.functions:
        types = [connection.type(kind) for kind in function.takes]
        connection.create_function(function.name, function.call, types, connection.type(function.gives))  # type: ignore[arg-type]
        _callers.add(connection)
    connection.execute(f"CREATE {'TEMP ' if temporary else ''}MACRO {name}{macro}")
