"""``lakehouse sql`` without a query: statements one after the other, with history and pages in a terminal."""

from __future__ import annotations

import cmd
import contextlib
import io
import os
import pydoc
import shutil
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

from lakehouse import config
from lakehouse.cli.screen import Screen
from lakehouse.errors import LakehouseError
from registries.instance import Instance

__all__ = ["paged", "statements", "talk"]

_HISTORY = 2_000
_HELP = """A statement ends with a semicolon. \\t lists tables and views, \\t NAME the columns of one, \\h this, \\q ends.
Beside the registries there are artifact_latest, dataset_latest, artifact_annotated, lineage_edge, search_cell_type('...'), search('...'),
ancestors(uid), descendants(uid), and content."KEY", obs."KEY" and var."KEY"."""
_TABLES = "select registry, count(*) as columns from registry_column group by 1 order by 1"
_COLUMNS = 'select "column", type, comment from registry_column where registry = ?'
Answer = Callable[[str, list[str]], None]
"""Runs a statement with values for its ``?`` and writes the answer."""


def statements(text: str) -> Iterator[str]:
    r"""Yield the statements of a text: semicolons inside quotes and comments do not end one.

    Examples
    --------
    >>> list(statements("select ';' as a; -- no; end\\nselect 2"))
    ["select ';' as a", '-- no; end\\nselect 2']
    """
    ended, rest = _split(text)
    yield from ended
    if rest:
        yield rest


def _split(text: str) -> tuple[list[str], str]:
    """Return the statements that have ended, and what follows them."""
    found, start, place, end = list[str](), 0, 0, len(text)
    while place < end:
        letter = text[place]
        if letter in "'\"":
            closing = text.find(letter, place + 1)
            place = end if closing < 0 else closing
        elif text.startswith("--", place):
            closing = text.find("\n", place)
            place = end if closing < 0 else closing
        elif letter == ";":
            found += [text[start:place].strip()] if text[start:place].strip() else []
            start = place + 1
        place += 1
    return found, text[start:].strip()


class _Shell(cmd.Cmd):
    """Reads lines, gathers them up to a semicolon, and answers."""

    prompt, _more, _first = "sql> ", "  -> ", "sql> "

    def __init__(self, answer: Answer, screen: Screen) -> None:
        super().__init__()
        self._answer, self._screen, self._waiting = answer, screen, ""

    def onecmd(self, line: str) -> bool:
        """Take a line; return whether to stop."""
        if line == "EOF":
            self._screen.write("\n")
            return True
        words = line.strip().split(maxsplit=1)
        if not self._waiting and words and words[0] in ("\\q", "exit", "quit", "exit;", "quit;"):
            return True
        if not self._waiting and words and words[0].startswith("\\"):
            self._command(words)
            return False
        self._waiting += line + "\n"
        ended, rest = _split(self._waiting)
        if ended or not rest:
            self._waiting = f"{rest}\n" if rest else ""
            for statement in ended:
                self._try(statement, [])
        self.prompt = self._more if self._waiting else self._first
        return False

    def _command(self, words: list[str]) -> None:
        if words[0] == "\\t":
            self._try(_COLUMNS if len(words) > 1 else _TABLES, words[1:])
        else:
            self._screen.note(_HELP)

    def _try(self, statement: str, values: list[str]) -> None:
        try:
            self._answer(statement, values)
        except LakehouseError as error:
            self._screen.note(f"error: {error}")

    def interrupted(self) -> None:
        """Drop what was typed so far."""
        self._waiting, self.prompt = "", self._first
        self._screen.note("")


def talk(screen: Screen, lake: Instance, answer: Answer) -> None:
    """Read statements from the terminal until the end, and answer each."""
    shell = _Shell(answer, screen)
    screen.note(f"{lake.root}. \\h helps, \\q ends.")
    with _history():
        while True:
            try:
                shell.cmdloop()
                return
            except KeyboardInterrupt:
                shell.interrupted()


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Keep what was typed for the next time, where the standard library can edit lines; readable by its owner alone."""
    readline = _readline()
    if readline is None:
        yield
        return
    file = config.data_folder() / "sql_history"
    with contextlib.suppress(OSError):  # there is none yet
        readline.read_history_file(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a home that cannot be written to has no history
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            readline.set_history_length(_HISTORY)
            readline.write_history_file(file)


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:  # not on every platform
        return None
    return readline


@contextlib.contextmanager
def paged(screen: Screen) -> Iterator[None]:
    """Show what is written inside page by page, where it is longer than the terminal."""
    if not screen.is_terminal:
        yield
        return
    terminal, buffer = sys.stdout, _Terminal()
    sys.stdout = buffer
    try:
        yield
    finally:
        sys.stdout = terminal
        text = buffer.getvalue()
        if text.count("\n") >= shutil.get_terminal_size().lines:
            os.environ.setdefault("LESS", "-R")  # bold names are shown so, not as the codes that make them bold
            pydoc.pager(text)
        else:
            screen.write(text)


class _Terminal(io.StringIO):
    """Gathers what goes to a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return that people read it."""
        return True
