"""An instance that is the current one, and programs that run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lakehouse as lh

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """An instance in the working folder, connected to."""
    for name in ("LAKEHOUSE_INSTANCE", "LAKEHOUSE_RUN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAKEHOUSE_USER", "ada")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield lh.init("lake")
    lh.disconnect()


@pytest.fixture
def program(lake, root: Path) -> Program:
    """Run a script in the working folder, in a process of its own."""

    def run(code: str, *arguments: str, name: str = "script.py", env: dict[str, str] | None = None):
        Path(name).write_text(code)
        return subprocess.run(
            [sys.executable, name, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PYTHONPATH": str(root), **(env or {})},
        )

    return run
