from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.cli import main, screen
from lakehouse.cli import run as running
from lakehouse.errors import Busy, ConfigurationError, Duplicate, ReadOnly, RecordNotFound


@pytest.fixture
def shell(root: Path):
    """Run commands in a process of their own, in the working folder."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": ""}

    def call(command: str) -> subprocess.CompletedProcess[str]:
        # each word once: the interpreter's own path may end in "python"
        known = {"lakehouse": f"{sys.executable} -m lakehouse.cli", "python": sys.executable}
        script = re.sub(r"(?<![/\w])(lakehouse|python)(?= )", lambda word: known[word[1]], command)
        return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120)

    return call


def test_a_script_reads_the_document_through_a_pipe(lake, shell):
    done = shell("lakehouse ls --json | python -c 'import json, sys; print(len(json.load(sys.stdin)))'")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_a_reader_that_leaves_ends_the_command_quietly(lake, shell):
    done = shell("set -o pipefail; lakehouse sql 'select range from range(1000000)' --format csv | head -n 2")
    assert done.stdout == "range\n0\n" and not done.stderr and done.returncode == screen.PIPE_CLOSED


def test_errors_go_to_standard_error_with_the_code_of_their_kind(run, shell):
    done = shell("lakehouse info")
    assert (done.returncode, done.stdout) == (3, "") and done.stderr.startswith("error: ")


def test_help_and_version_load_nothing_heavy(shell):
    heavy = "{'duckdb', 'pyarrow', 'pandas', 'polars', 'deltalake', 'anndata', 'registries', 'rapidfuzz'}"
    program = (
        f"import sys; from lakehouse.cli import main; main(sys.argv[1:]); sys.exit(bool({heavy} & set(sys.modules)))"
    )
    for option in ("--help", "--version"):
        assert shell(f'python -c "{program}" {option}').returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["ls", "--nothing"], ["ls", "--limit", "-1"], ["ls", "--limit", "x"], ["save"], ["ls", "--instance"]],
)
def test_wrong_usage_has_its_own_code_and_points_to_help(run, arguments):
    failed = run(*arguments)
    assert failed.code == 2 and "--help" in failed.err and not failed.out
    document = json.loads(run("--json", *arguments).err)
    assert set(document["error"]) == {"type", "message"}


def test_no_arguments_show_the_help(run):
    done = run()
    assert done.code == 0 and "snapshots" in done.out and "Exit codes" in done.out


@pytest.mark.parametrize("name", ["init", "connect", "info", "save", "ls", "describe", "sql", "snapshots", "flush"])
def test_every_command_explains_itself(run, name):
    done = run(name, "--help")
    assert done.code == 0 and f"lakehouse {name}" in done.out and "--json" in done.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RecordNotFound("x"), 3),
        (Duplicate("x"), 4),
        (Busy("x"), 4),
        (ReadOnly("x"), 1),
        (ConfigurationError("x"), 1),
        (PermissionError(13, "Permission denied"), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_every_kind_of_error_has_its_code_and_no_traceback(run, monkeypatch, error, code):
    def fail() -> None:
        raise error

    monkeypatch.setattr(running, "check_namesake", fail)
    failed = run("info")
    assert failed.code == code and failed.err.startswith("error: ") and "Traceback" not in failed.err
    assert "Traceback" in run("info", "--verbose").err
    assert json.loads(run("info", "--json").err)["error"]["type"] == type(error).__name__


def test_the_other_distribution_of_that_name_is_explained(run, monkeypatch, tmp_path):
    packages = tmp_path / "site-packages"
    (packages / "lakehouse-0.1.9.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(packages))
    failed = run("info")
    assert failed.code == 1 and "pip uninstall lakehouse" in failed.err


def test_interrupting_ends_with_its_own_code(run, monkeypatch):
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(running, "check_namesake", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        failed = run("info")
    finally:
        signal.signal(signal.SIGINT, before)
    assert failed.code == 130 and failed.err == "error: interrupted\n"


def test_verbose_shows_the_log_and_json_keeps_it_apart(lake):
    assert "info: " in lake("save", "penguins.csv", "--verbose").err
    done = lake("save", "penguins.csv", "--verbose", "--json")
    assert done.document[0]["outcome"] == "unchanged"
    assert all("log" in json.loads(line) for line in done.err.splitlines())


def test_output_that_the_encoding_lacks_is_escaped(lake, shell):
    done = shell("PYTHONIOENCODING=ascii lakehouse sql \"select 'ü' as x\"; PYTHONIOENCODING=ascii lakehouse ls --json")
    assert done.returncode == 0 and "\\xfc" in done.stdout


def test_columns_that_do_not_fit_a_terminal_are_named(lake, monkeypatch):
    monkeypatch.setattr(screen.Screen, "is_terminal", property(lambda _: True))
    monkeypatch.setenv("COLUMNS", "40")
    done = lake("ls")
    assert max(map(len, done.out.splitlines())) <= 40 and "penguins.csv" in done.out
    assert "Too narrow for" in done.err


def test_main_takes_the_arguments_of_the_process(run, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["lakehouse", "--version"])
    assert main() == 0 and capfd.readouterr().out.startswith("lakehouse ")
