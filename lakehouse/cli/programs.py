"""``run``: a script, module or notebook in a process of its own, tracked from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import typer

from lakehouse.cli.runs import parameters_of
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import InputError, InvalidFile, MissingExtra, NotFound, shown
from registries.instance import Instance
from registries.lineage.active import outside
from registries.lineage.notebook import cells_of
from registries.lineage.secrets import without_secrets, without_secrets_in_arguments
from registries.lineage.source import of_path
from registries.lineage.versions import Wanted
from registries.names import check_name

__all__ = ["run"]

_SUFFIXES = (".py", ".pyw", ".ipynb", "")
_KEPT = 20_000  # characters of standard error that are kept of a failure
_MOST = 20_000_000  # bytes of a log


def run(
    screen: Screen,
    script: Path | None,
    rest: Sequence[str],
    *,
    module: str | None,
    key: str | None,
    params: Sequence[str],
    log: bool,
    report: Path | None,
    output: Path | None,
) -> int:
    """Run a program, and return its exit code."""
    file = _module_file(module) if module is not None else script
    if file is None or not file.is_file():
        raise NotFound(f"{shown(str(script or module))}: there is no such script or module")
    if file.suffix not in _SUFFIXES:
        raise InputError(
            f"{shown(str(file))} is no Python script or notebook: `lakehouse runs start NAME` begins a run of another "
            "program, `lakehouse runs finish UID` ends it"
        )
    if output is not None and file.suffix != ".ipynb":
        raise typer.BadParameter("only a notebook has outputs to write", param_hint="--output")
    kept = parameters_of(params)
    line = ["-m", module, *rest] if module is not None else [str(script), *rest]
    with opened(screen) as lake:
        wanted = Wanted(of_path(file), None, None, None, check_name(key, "key") if key is not None else None)
        lake.tracking.start(wanted, parameters=kept, report=False if report is None else str(report), arguments=line)
        try:
            if file.suffix == ".ipynb":
                code, final = _notebook(lake, file, wanted, output)
            else:
                code, final = _program(lake, line, wanted, log=log)
        except BaseException as error:
            lake.tracking.finish(error=error)
            raise
        ended = lake.tracking.finish(final=final)
    assert ended is not None
    screen.note(f"run {ended.uid} of {wanted.name} {ended.outcome}")
    return code


def _module_file(module: str) -> Path | None:
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  as `python -m` looks there first
    try:
        found = find_spec(module)
        if found is not None and found.submodule_search_locations is not None:
            found = find_spec(f"{module}.__main__")
    except (ImportError, ValueError):
        return None
    finally:
        sys.path.pop(0)
    return Path(found.origin) if found is not None and found.origin is not None else None


def _program(lake: Instance, line: Sequence[str], wanted: Wanted, *, log: bool) -> tuple[int, dict[str, Any]]:
    environment = {**os.environ, "LAKEHOUSE_INSTANCE": str(lake.root)}
    errors, everything = _Kept(_KEPT), _Kept(_MOST) if log else None
    out = subprocess.PIPE if log else None
    child = subprocess.Popen([sys.executable, *line], env=environment, stdout=out, stderr=subprocess.PIPE)
    readers = [_passed_on(child.stderr, sys.stderr, errors, everything)]
    if log:
        readers.append(_passed_on(child.stdout, sys.stdout, everything))
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the terminal sent it to the program, too
        code = child.wait()
        code = code or 130
    for reader in readers:
        reader.join(10)
    outcome = "finished" if code == 0 else "aborted" if code < 0 or code == 130 else "failed"
    final: dict[str, Any] = {"outcome": outcome, "arguments": json.dumps(without_secrets_in_arguments(line))}
    if outcome != "finished":
        final["error"] = str(without_secrets(errors.text())).strip() or f"it ended with exit code {code}"
    if everything is not None:
        data = str(without_secrets(everything.text())).encode()
        with outside():
            name = wanted.name.replace("::", "/")
            final["log"] = lake.Artifact(data, key=f"log/{name}.txt", format="blob").save().uid
    return code if code >= 0 else 128 - code, final


class _Kept:
    """The last bytes of a stream."""

    def __init__(self, most: int) -> None:
        self._most, self._parts, self._size = most, list[bytes](), 0
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        with self._lock:
            self._parts.append(data)
            self._size += len(data)
            while self._size - len(self._parts[0]) > self._most:
                self._size -= len(self._parts.pop(0))

    def text(self) -> str:
        whole = b"".join(self._parts)[-self._most :]
        return whole.decode("utf-8", "replace").replace("\0", "\\0")


def _passed_on(stream: BinaryIO | Any, screen: Any, *kept: _Kept | None) -> threading.Thread:
    """Write what a program says to the screen at once, and keep it."""

    def go() -> None:
        with stream:
            while data := os.read(stream.fileno(), 65_536):
                for one in kept:
                    if one is not None:
                        one.add(data)
                screen.write(data.decode("utf-8", "replace"))
                screen.flush()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    return thread


def _notebook(lake: Instance, file: Path, wanted: Wanted, output: Path | None) -> tuple[int, dict[str, Any]]:
    """Execute a notebook in a kernel of its own; it is kept with its outputs as the report, also when a cell fails."""
    try:
        import nbclient
        import nbformat
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise MissingExtra("running notebooks needs nbclient and ipykernel: pip install nbclient ipykernel") from error
    try:
        cells_of(file.read_bytes())
        notebook: Any = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise InvalidFile(f"{shown(str(file))} is no notebook: {error}") from error
    os.environ["JPY_SESSION_NAME"] = str(file.absolute())
    os.environ["LAKEHOUSE_INSTANCE"] = str(lake.root)
    final: dict[str, Any] = {"outcome": "finished", "arguments": json.dumps([str(file)])}
    client = nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(file.absolute().parent)}})
    try:
        client.execute()
    except CellExecutionError as error:
        final |= {"outcome": "failed", "error": str(without_secrets(str(error)))[-_KEPT:]}
    finally:
        del os.environ["JPY_SESSION_NAME"]
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    if output is not None:
        output.write_text(text, encoding="utf-8")
    with outside():
        report = lake.Artifact(text.encode(), key=f"report/{wanted.name}", format="blob").save()
    return (0 if final["outcome"] == "finished" else 1), final | {"report": report.uid}
