"""The torture, as long as CI can bear; ``make torture`` runs the long version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.concurrency
@pytest.mark.slow
@pytest.mark.parametrize("on", ["sqlite", "postgres"])
def test_killed_writers_lose_nothing_and_readers_see_only_commits(on: str, tmp_path: Path, root: Path) -> None:
    limits = ["--seconds", "20", "--seed", "7", "--folder", str(tmp_path), "--catalog", on]
    command = [sys.executable, "-m", "tests.torture", *limits]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-4_000:]
    assert "0 violations" in done.stdout
