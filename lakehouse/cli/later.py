"""What the modules of commands share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["EVERYWHERE", "Later"]

EVERYWHERE = "--instance ROOT, --json and --verbose may stand here, too: see `lakehouse --help`."
"""What the help of every command says at its end."""


class Later:
    """A module that is imported at its first use: `lakehouse --help` needs neither DuckDB nor Arrow."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
