"""Where a command's words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO, TypeGuard

import typer

from lakehouse.cli.text import aligned, cell, json_text, visible

__all__ = ["PIPE_CLOSED", "Options", "Screen", "report"]

PIPE_CLOSED: Final = 141
"""What shells report for a program that SIGPIPE ended."""

_NARROWEST = 12  # below so many characters a column of a table cannot be read


@dataclass(frozen=True)
class Options:
    """What holds for every command."""

    instance: str | None = None
    json: bool = False
    verbose: bool = False


class Screen:
    """The two streams, and how this call wants its results."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def is_terminal(self) -> bool:
        """Whether people read standard output directly."""
        return sys.stdout.isatty()

    @property
    def ascii_only(self) -> bool:
        """Whether standard output takes no characters beyond ASCII."""
        return not _is_unicode(sys.stdout)

    @property
    def shows_progress(self) -> bool:
        """Whether there is somebody to see a progress bar."""
        return sys.stderr.isatty() and not self.options.json

    def write(self, text: str) -> None:
        """Write to standard output; a reader that left ends the program quietly."""
        try:
            sys.stdout.write(text)
        except BrokenPipeError:
            silence(sys.stdout)
            raise typer.Exit(PIPE_CLOSED) from None

    def line(self, text: str) -> None:
        """Write a line of a result that is not data; with ``--json`` it is left out."""
        if not self.options.json:
            self.write(visible(text, lines=True) + "\n")

    def note(self, text: str) -> None:
        """Say something beside the result; with ``--json`` it is left out."""
        if not self.options.json:
            sys.stderr.write(visible(text, lines=True) + "\n")

    def document(self, value: Any) -> None:
        """Write the one JSON document of this call."""
        self.write(json_text(value, indent=2, ascii_only=self.ascii_only) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Iterable[str] = ()) -> None:
        """Write a table: fitted to a terminal, else plain and as wide as it needs to be.

        Parameters
        ----------
        columns
            Names.
        rows
            Values, shown through :func:`lakehouse.cli.text.cell`.
        right
            Columns that are set to the right.
        """
        to_right = set(right)
        if self.is_terminal:
            self._fitted(columns, rows, to_right)
        else:
            self.write(aligned(columns, rows, [name in to_right for name in columns]))

    def _fitted(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], right: set[str]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        kept = _kept(len(columns), max(2, console.width // _NARROWEST))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        for i in kept:
            name = "…" if i is None else columns[i]
            table.add_column(Text(visible(name)), justify="right" if name in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text("…" if i is None else cell(row[i])) for i in kept))
        console.print(table)
        if None in kept:
            self.note(f"{len(kept) - 1} of {len(columns)} columns fit this terminal: --json has all of them")


def _kept(count: int, fitting: int) -> list[int | None]:
    """Return the columns that are shown: the first and the last ones, None where some are left out.

    Examples
    --------
    >>> _kept(3, 4), _kept(9, 5)
    ([0, 1, 2], [0, 1, None, 7, 8])
    """
    if count <= fitting:
        return list(range(count))
    last = (fitting - 1) // 2
    return [*range(fitting - 1 - last), None, *range(count - last, count)]


def report(options: Options, kind: str, message: str) -> None:
    """Say on standard error why the command ended; as JSON where JSON was asked for."""
    if options.json:
        text = json_text({"error": {"type": kind, "message": message}}, ascii_only=not _is_unicode(sys.stderr))
    else:
        text = f"error: {visible(message, lines=True)}"
    sys.stderr.write(text + "\n")


class LogLines(logging.Handler):
    """Shows the library's log on standard error, in the manner of errors."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        level, message = record.levelname.lower(), record.getMessage()
        if self._options.json:
            text = json_text({"log": {"level": level, "message": message}}, ascii_only=True)
        else:
            text = f"{level}: {visible(message)}"
        sys.stderr.write(text + "\n")


def silence(stream: TextIO) -> None:
    """Send what is still to come to nowhere, so that flushing at exit does not complain about the closed pipe."""
    if _has_descriptor(stream):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _has_descriptor(stream: TextIO | None) -> TypeGuard[TextIO]:
    try:
        return stream is not None and stream.fileno() >= 0
    except OSError:  # streams that tests put in place have none
        return False


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
