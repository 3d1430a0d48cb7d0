"""Where a command's words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO, TypeGuard

import typer

from lakehouse.cli.speech import spoken
from lakehouse.cli.text import aligned, cell, json_text, visible

__all__ = ["PIPE_CLOSED", "Options", "Screen", "report"]

PIPE_CLOSED: Final = 141
"""What shells report for a program that SIGPIPE ended."""

_WIDEST = 24  # what a column claims at most of a narrow terminal: longer values are folded
_GAP = 2


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

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        right: Iterable[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """Write a table: fitted to a terminal, else plain and as wide as it needs to be.

        Parameters
        ----------
        columns
            Names.
        rows
            Values, shown through :func:`lakehouse.cli.text.cell`.
        right
            Columns that are set to the right.
        spare
            Columns that a narrow terminal does without first, in this order; after them those in the middle.
        """
        to_right = [name in set(right) for name in columns]
        texts = [[cell(value) for value in row] for row in rows]
        if self.is_terminal:
            self._fitted([visible(name) for name in columns], texts, to_right, spare)
        else:
            self.write(aligned(columns, rows, to_right))

    def _fitted(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], spare: Sequence[str]
    ) -> None:
        from rich.cells import cell_len
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        needs = [min(_WIDEST, max(cell_len(line[i]) for line in [columns, *rows])) for i in range(len(columns))]
        kept, left_out = fitting(columns, needs, console.width, spare)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for i in kept:
            table.add_column(Text(columns[i]), justify="right" if right[i] else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(row[i]) for i in kept))
        console.print(table)
        if left_out:
            named = ", ".join(left_out[:8]) + (", …" if len(left_out) > 8 else "")
            self.note(f"Too narrow for {named}: widen the terminal, or use --json.")


def fitting(
    columns: Sequence[str], needs: Sequence[int], width: int, spare: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Return which columns are shown in a terminal, and the names of the others.

    Examples
    --------
    >>> fitting(["key", "rows", "by", "uid"], [10, 5, 5, 20], 41, ["by"])
    ([0, 1, 3], ['by'])
    >>> fitting(["a", "b", "c", "d"], [10, 10, 10, 10], 34, [])
    ([0, 1, 3], ['c'])
    """
    kept, waiting = list(range(len(columns))), [columns.index(name) for name in spare if name in columns]
    while len(kept) > 1 and sum(needs[i] + _GAP for i in kept) - _GAP > width:
        kept.remove(waiting.pop(0) if waiting else kept[len(kept) // 2])
    return kept, [name for i, name in enumerate(columns) if i not in kept]


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
        level, message = record.levelname.lower(), spoken(record.getMessage())
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
