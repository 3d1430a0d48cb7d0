"""A ledger: what one process intended, was told and saw, one JSON object per line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Ledger", "records"]


class Ledger:
    """Appends records; each is one system call, so that a kill cannot lose what was written before it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **record: Any) -> None:
        os.write(self._fd, (json.dumps(record) + "\n").encode())


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every record of every ledger; only the last line of one may be torn."""
    for path in sorted(folder.iterdir()):
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines):
            if not line:
                continue
            try:
                yield json.loads(line)
            except ValueError:
                if number != len(lines) - 1:
                    raise
