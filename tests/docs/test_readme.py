"""README does what it says: its blocks run in order in one empty folder, as one session."""

from __future__ import annotations

import contextlib
import doctest
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lakehouse as lh
from tests.docs.blocks import Block, blocks

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PYTHON, SHELL = ("python", "py", "pycon"), ("console", "bash", "sh", "shell")


@pytest.fixture
def readme(root: Path) -> Path:
    file = root / "README.md"
    assert file.is_file(), "README.md is missing"
    return file


@pytest.mark.timeout(600)  # every command is a process of its own, and the machine may be busy
def test_every_block_of_readme_runs_in_order(readme: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = blocks(readme)
    assert [block for block in found if block.language in PYTHON], "README has no ```python block"
    assert any(block.commands() for block in found if block.language in SHELL), "README has no `$ lakehouse` command"
    monkeypatch.chdir(tmp_path)
    # Commands of README find this source first, as `python -m` would.
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("COLUMNS", "120")
    names: dict[str, object] = {"__name__": "__main__"}
    try:
        for block in found:
            if block.language in PYTHON:
                run_python(block, readme, names)
            elif block.language in SHELL:
                for command, printed in block.commands():
                    run_command(command, printed, block, readme)
    finally:
        with contextlib.suppress(lh.errors.InstanceNotFound):
            lh.disconnect()


def test_readme_shows_both_commands_and_the_quickstart_first(readme: Path):
    first = "\n".join(readme.read_text(encoding="utf-8").splitlines()[:120])
    for wanted in ("make demo", "make test", "import lakehouse as lh"):
        assert wanted in first, f"{wanted!r} is not on the first screens of README"


def test_no_line_of_readme_names_a_path_of_one_machine(readme: Path):
    text = readme.read_text(encoding="utf-8")
    for path in ("/root/", "/home/", "/Users/", "/work/"):
        assert path not in text


def run_python(block: Block, readme: Path, names: dict[str, object]) -> None:
    """Run a block as it stands, or, where it is a dialogue, compare what it prints."""
    where = f"{readme}:{block.line}"
    if ">>> " not in block.text:
        exec(compile("\n" * (block.line - 1) + block.text, str(readme), "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(block.text, names, where, str(readme), block.line - 1)
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert not result.failed, "".join(said)


def run_command(command: str, printed: str, block: Block, readme: Path) -> None:
    """Run a command of the command line; it must succeed, and print what the block says (``...`` stands for any)."""
    program = [sys.executable, "-c", "import sys; from lakehouse.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*program, *shlex.split(command, comments=True)[1:]],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ.copy(),
    )
    where = f"{readme}:{block.line}: $ {command}"
    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"
    if printed:
        seen = "\n".join(line.rstrip() for line in (done.stdout + done.stderr).strip().splitlines())
        matches = doctest.OutputChecker().check_output(printed + "\n", seen + "\n", FLAGS)
        assert matches, f"{where}\nREADME says:\n{printed}\nIt printed:\n{seen}"
