"""``lakehouse sql`` as a shell, ``sql --export`` and ``search``."""

from __future__ import annotations

import io
import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from lakehouse.cli.shell import statements


class Terminal:
    """A shell that believes that a person types."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.main, other = pty.openpty()
        program = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main(['sql']))"]
        where = os.environ | {"PAGER": "cat", "TERM": "dumb", "COLUMNS": "100", "LINES": "10"} | environment
        self.process = subprocess.Popen(program, stdin=other, stdout=other, stderr=other, cwd=folder, env=where)
        os.close(other)

    def until(self, text: str) -> str:
        """Read until something is shown."""
        seen, end = "", time.monotonic() + 90
        while text not in seen:
            assert time.monotonic() < end, seen
            if select.select([self.main], [], [], 1.0)[0]:
                seen += os.read(self.main, 65_536).decode()
        return seen

    def type(self, text: str) -> None:
        os.write(self.main, text.encode())

    def end(self) -> int:
        self.type("\\q\n")
        code = self.process.wait(90)
        os.close(self.main)
        return code


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_gets_a_shell_with_help_errors_pages_and_a_history(lake, root, tmp_path):
    shell = Terminal(Path.cwd(), PYTHONPATH=str(root), XDG_DATA_HOME=str(tmp_path / "data"))
    shell.until("sql> ")
    shell.type("select key\n")
    shell.until("-> ")
    shell.type("from artifact order by key;\n")
    assert "penguins.csv" in shell.until("penguins.csv")
    shell.type("select nothing from nowhere;\n")
    assert "nowhere" in shell.until("error: ") + shell.until("sql> ")
    shell.type("select i as many_rows from range(30) t(i);\n")
    shell.until("29")
    shell.type("\\t ulabel\n")
    assert "Unique" in shell.until("Unique")
    assert shell.end() == 0
    history = tmp_path / "data" / "lakehouse" / "sql_history"
    assert "from artifact order by key;" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_pages_show_bold_letters_and_not_their_codes(lake, root, tmp_path):
    pager = "sh -c 'echo told \"<$LESS>\"; cat'"
    where = {"PYTHONPATH": str(root), "XDG_DATA_HOME": str(tmp_path / "data"), "TERM": "xterm", "PAGER": pager}
    shell = Terminal(Path.cwd(), **where)
    shell.until("sql> ")
    shell.type("select i from range(30) t(i);\n")
    assert "told <-R>" in shell.until("29")
    assert shell.end() == 0


def test_what_is_piped_in_is_answered_statement_by_statement(lake, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("select 1 as a; -- the first; of two\nselect ';' as b"))
    done = lake("sql", "--format", "csv")
    assert (done.code, done.out) == (0, "a\n1\nb\n;\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("select 1 as a; drop table artifact; select 2 as b"))
    done = lake("sql", "--format", "csv")
    assert done.code == 1 and done.out == "a\n1\n" and "DROP" in done.err


def test_statements_end_at_semicolons_outside_of_quotes_and_comments():
    assert list(statements("select ';'; select \"a;b\"")) == ["select ';'", 'select "a;b"']
    assert list(statements(" ; \n ;")) == []
    assert list(statements("select 'open")) == ["select 'open"]


def test_an_export_is_read_by_plain_duckdb(lake):
    done = lake("sql", "--export", "views.duckdb")
    assert done.code == 0 and "views of commit" in done.out
    with duckdb.connect("views.duckdb", read_only=True) as connection:
        rows = connection.sql("select key, label_names from artifact_annotated order by key").fetchall()
    assert rows == [("notes.txt", ["birds"]), ("penguins.csv", ["birds"])]
    assert lake("sql", "--export", "views.duckdb").code == 1
    assert lake("sql", "select 1", "--export", "x.sql").code == 2


def test_search_finds_what_is_misspelt_in_all_registries_or_one(lake):
    done = lake("search", "pengiuns")
    assert done.code == 0 and "penguins.csv" in done.out and "artifact" in done.out
    rows = lake("search", "brids", "--registry", "ulabel", "--field", "name", "--json").document
    assert [(row["name"], row["field"]) for row in rows] == [("birds", "name")]
    assert lake("search", "zzzz").out == ""
    assert lake("search", "birds", "--field", "name").code == 2
    assert lake("search", "  ").code == 1
    assert lake("search", "birds", "--registry", "ulabl").code == 2
