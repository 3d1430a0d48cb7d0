"""A working folder with an instance in it, and commands run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import main
from registries import binding

PENGUINS = "species,mass\nAdelie,3750\nGentoo,5000\nGentoo,5200\n"


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run commands in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*arguments: str | Path) -> Done:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    yield call
    if (instance := binding.set_current(None)) is not None:
        instance.close()


@pytest.fixture
def lake(run: Run) -> Run:
    """The same with an instance and two labelled tables."""
    assert run("init", "mylake").code == 0
    Path("penguins.csv").write_text(PENGUINS)
    Path("notes.txt").write_text("seen on Dream island\n")
    assert run("save", "penguins.csv", "notes.txt", "--label", "birds", "--create-labels").code == 0
    return run
