"""Notebooks: which file a kernel is working on, its source without outputs, and its history."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

__all__ = [
    "cells_of",
    "has_outputs",
    "history",
    "is_cell",
    "is_kernel",
    "is_marimo",
    "is_marimo_kernel",
    "path_of",
    "shell",
    "without_outputs",
]

_MOST_LOOKED_AT = 200
_LARGEST = 50_000_000


def shell() -> Any:
    """Return the IPython shell that runs this process, None where there is none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def is_kernel(ipython: Any) -> bool:
    """Whether a shell belongs to a notebook, and not to a terminal."""
    return getattr(ipython, "kernel", None) is not None


def is_cell(file: str) -> bool:
    """Whether a file name is that of a cell: kernels write them to a temporary folder or nowhere."""
    name = Path(file)
    return file.startswith("<") or any(part.startswith("ipykernel_") for part in name.parts)


def is_marimo(path: Path) -> bool:
    """Whether a Python file is a notebook of marimo's."""
    if path.suffix != ".py" or "marimo" not in sys.modules:
        return False
    try:
        return "marimo.App(" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def is_marimo_kernel() -> bool:
    """Whether the cells of a notebook of marimo's are run one by one, and may be run again."""
    asked = getattr(sys.modules.get("marimo"), "running_in_notebook", None)
    return asked is not None and bool(asked())


def path_of(ipython: Any) -> Path | None:
    """Return the file of the notebook or script that a shell works on, None where it cannot be found.

    VS Code and ``%run`` say it in a variable, Jupyter in the environment. Else the notebooks of the working folder
    are looked through for the one that has all cells which were run so far.
    """
    names = getattr(ipython, "user_ns", {})
    told = [names.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME"), names.get("__file__")]
    for one in told:
        if isinstance(one, str) and (path := Path(one)).suffix in (".ipynb", ".py") and path.is_file():
            return path
    if not is_kernel(ipython):
        return None
    ran = {_plain(text) for text in names.get("In", []) if text.strip()}
    found = [path for path in sorted(Path.cwd().glob("*.ipynb"))[:_MOST_LOOKED_AT] if ran and ran <= _codes(path)]
    return found[0] if len(found) == 1 else None


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _codes(path: Path) -> set[str]:
    try:
        if path.stat().st_size > _LARGEST:
            return set()
        return {_plain(text) for kind, text in cells_of(path.read_bytes()) if kind == "code"}
    except (OSError, ValueError):
        return set()


def cells_of(data: bytes) -> list[tuple[str, str]]:
    r"""Return kind and text of the cells of a notebook.

    Raises
    ------
    ValueError
        When it is none.

    Examples
    --------
    >>> cells_of(b'{"cells": [{"cell_type": "code", "source": ["a = 1\\\\n", "a"]}]}')
    [('code', 'a = 1\\na')]
    """
    try:
        found = json.loads(data)
        cells = found["cells"] if "cells" in found else found["worksheets"][0]["cells"]
        return [(str(cell["cell_type"]), _text(cell.get("source", cell.get("input", "")))) for cell in cells]
    except (KeyError, TypeError, IndexError, RecursionError) as error:
        raise ValueError("this is no notebook") from error


def _text(source: object) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def without_outputs(data: bytes) -> bytes:
    """Return a notebook with its cells alone, so that running it again leaves its source the same.

    What is no notebook stays as it is.
    """
    try:
        cells = cells_of(data)
    except ValueError:
        return data
    code: dict[str, Any] = {"execution_count": None, "outputs": []}
    made = [
        {"cell_type": kind, "metadata": {}, "source": text, **(code if kind == "code" else {})} for kind, text in cells
    ]
    whole = {"cells": made, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 4}
    return json.dumps(whole, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")


def has_outputs(data: bytes) -> bool:
    """Whether any cell of a notebook has outputs."""
    try:
        return any(cell.get("outputs") for cell in json.loads(data)["cells"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def history(inputs: Sequence[str], outputs: Any, title: str) -> str:
    """Return the cells that were run, and their values, as a page of HTML."""
    parts = [f"<!doctype html><meta charset='utf-8'><title>{escape(title)}</title><h1>{escape(title)}</h1>"]
    for number, text in enumerate(inputs):
        if not text.strip():
            continue
        parts.append(f"<pre style='background:#f4f4f5;padding:8px'>In [{number}]: {escape(text)}</pre>")
        if number in outputs:
            parts.append(f"<pre>Out[{number}]: {escape(repr(outputs[number])[:10_000])}</pre>")
    return "\n".join(parts)
