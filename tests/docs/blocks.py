"""Code blocks of a Markdown file, as far as they are examples that can run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```([\w-]*)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
SKIPPED = "<!-- not run"
"""A comment that begins so, on the line before a block, keeps it from being run; it should say why."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the line of the file on which the text begins."""

    language: str
    text: str
    line: int

    def commands(self) -> list[tuple[str, str]]:
        """The ``$ lakehouse ...`` commands with what the block says they print, empty where it says nothing."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and found[-1][0].endswith("\\"):
                found[-1] = (found[-1][0][:-1] + line.strip(), [])
            elif found:
                found[-1][1].append(line)
        return [(command, "\n".join(printed).strip()) for command, printed in found if command.startswith("lakehouse ")]


def blocks(file: Path) -> list[Block]:
    text = file.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip().rpartition("\n")[2]
        if not before.startswith(SKIPPED):
            found.append(Block(match[1], match[2], text.count("\n", 0, match.start()) + 2))
    return found
