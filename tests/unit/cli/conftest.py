"""A working folder with an instance in it, and commands run in this process."""

from __future__ import annotations

import contextlib
import json
import shutil
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
    close()


@pytest.fixture(scope="session")
def _made() -> list[Path]:
    """A folder like that of ``lake``, once there is one: the tests begin with copies of it."""
    return []


@pytest.fixture
def lake(run: Run, _made: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same with an instance and two labelled tables."""
    if not _made:
        born = tmp_path_factory.mktemp("born") / "work"
        born.mkdir()
        with contextlib.chdir(born):
            assert run("init", "mylake").code == 0
            Path("penguins.csv").write_text(PENGUINS)
            Path("notes.txt").write_text("seen on Dream island\n")
            assert run("save", "penguins.csv", "notes.txt", "--label", "birds", "--create-labels").code == 0
            close()
        _made.append(born.rename(born.with_name("moved")))  # a copy beside its original would be refused
    shutil.copytree(_made[0], Path.cwd(), dirs_exist_ok=True)
    return run


def close() -> None:
    """End the session of the commands so far, as the end of a process does."""
    if (instance := binding.set_current(None)) is not None:
        instance.close()
