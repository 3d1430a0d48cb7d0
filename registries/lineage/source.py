"""What is running: a script, module, notebook, test, function or session, with the bytes of its source."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

from formats.hashing import hash_bytes
from lakehouse import config
from lakehouse.errors import InputError, shown
from registries.lineage import notebook
from registries.lineage.repository import Repository, repository_of

__all__ = ["OURS", "Source", "of_caller", "of_function", "of_path", "stable_name"]

OURS: Final = ("lakehouse", "registries")
_LARGEST: Final = 50_000_000  # bytes of a source that are kept
_log = logging.getLogger("lakehouse")


@dataclass(frozen=True)
class Source:
    """What is executed.

    Attributes
    ----------
    kind
        script, notebook, pipeline or function.
    name
        What it is called: its path from the top of its repository or from the instance's pointer.
    path
        Its file, where it has one.
    data
        The bytes of the source; of a notebook without outputs. None where they cannot be read.
    hash
        Of what decides about its version; None where nothing is known of it.
    repository
        Where it lies in git.
    argued
        Whether the command line says something of it.
    """

    kind: str
    name: str
    path: Path | None = None
    data: bytes | None = None
    hash: str | None = None
    repository: Repository | None = None
    argued: bool = True

    @property
    def file_name(self) -> str:
        """The name under which the source is stored; that of a function is the file's."""
        return self.name.partition("::")[0]

    def again(self) -> Source:
        """Return it as it is now; a notebook may be known by its cells only once more of them were run."""
        if self.path is None and self.kind == "notebook" and (shell := notebook.shell()) is not None:
            path = notebook.path_of(shell)
            return self if path is None else replace(of_path(path), argued=False)
        return self if self.path is None or self.kind == "function" else _read(self, self.path)


def of_caller() -> Source:
    """Return what runs in this process, as far as it can be found out."""
    frame = _caller()
    if (shell := notebook.shell()) is not None:
        ran = _ran_by(shell, frame)
        return _of_shell(shell) if ran is None else of_path(ran)
    if (test := os.environ.get("PYTEST_CURRENT_TEST")) and "pytest" in sys.modules:
        return _of_test(test, frame)
    file = _file_of(vars(sys.modules["__main__"]))
    if file is None or _is_entry_point(file):
        file = _file_of(frame.f_globals) if frame is not None else None
    if file is None:
        return Source("script", "interactive session", argued=False)
    found = of_path(file)
    return replace(found, argued=False) if notebook.is_marimo_kernel() else found


def of_path(path: Path, *, kind: str | None = None) -> Source:
    """Return the source in a file."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  links stay the user's own view of the folders
    found = Source(kind or "script", "", path, repository=repository_of(path.parent))
    found = replace(found, name=stable_name(path, found.repository))
    if kind is None and (path.suffix == ".ipynb" or notebook.is_marimo(path)):
        found = replace(found, kind="notebook")
    return _read(found, path)


def of_function(function: Callable[..., Any], *, kind: str = "function") -> Source:
    """Return the source of a function; only its own text decides about its version."""
    function = inspect.unwrap(function)
    qualified = getattr(function, "__qualname__", type(function).__qualname__).replace("<locals>.", "")
    try:
        file = inspect.getsourcefile(function)
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):  # made by exec, or built in
        name = f"{getattr(function, '__module__', None) or 'session'}::{qualified}"
        return Source(kind, name, argued=False)
    digest = hash_bytes(text.encode("utf-8", "surrogatepass"))
    path = Path(file) if file and Path(file).is_file() and not notebook.is_cell(file) else None
    if path is None:
        shell = notebook.shell()
        around = _of_shell(shell).name if shell is not None else "session"
        return Source(kind, f"{around}::{qualified}", None, text.encode("utf-8", "replace"), digest, argued=False)
    whole = of_path(path)
    return Source(kind, f"{whole.name}::{qualified}", path, whole.data, digest, whole.repository, argued=False)


def stable_name(path: Path, repository: Repository | None) -> str:
    """Return what a file is called wherever its folder lies: its path from the top of what it belongs to."""
    if repository is not None and path.is_relative_to(repository.folder):
        return f"{repository.name}/{path.relative_to(repository.folder).as_posix()}"
    for folder in path.parents:
        if (folder / config.POINTER).exists():
            return path.relative_to(folder).as_posix()
    return path.name


def _read(source: Source, path: Path) -> Source:
    """Return a source with the bytes that its file has now; what cannot be read is said, and recorded without them."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"it has more than {_LARGEST:,} bytes")
        data = path.read_bytes()
        if path.suffix == ".ipynb":
            data = notebook.without_outputs(data)
    except (OSError, InputError) as error:
        why = getattr(error, "strerror", None) or str(error)
        _log.warning("the source %s cannot be read (%s): the run is recorded without it", shown(str(path)), why)
        return source
    return replace(source, data=data, hash=hash_bytes(data))


def _of_shell(shell: Any) -> Source:
    path = notebook.path_of(shell)
    if path is not None:
        return replace(of_path(path), argued=path.suffix != ".ipynb")
    if not notebook.is_kernel(shell):
        return Source("script", "IPython session", argued=False)
    _log.warning(
        "the name of this notebook cannot be found: pass lh.track(path='analysis.ipynb') to have its source kept"
    )
    return Source("notebook", "untitled notebook", argued=False)


def _file_of(names: Mapping[str, Any]) -> Path | None:
    """Return the file that a module is of; what comes through a pipe is of none."""
    file = names.get("__file__")
    return Path(file) if isinstance(file, str) and not file.startswith("<") else None


def _ran_by(shell: Any, frame: FrameType | None) -> Path | None:
    """Return the script that ``%run`` executes in a shell."""
    if frame is None or frame.f_globals is shell.user_ns or frame.f_globals.get("__name__") != "__main__":
        return None
    return _file_of(frame.f_globals)


def _of_test(test: str, frame: FrameType | None) -> Source:
    name = test.rpartition(" (")[0] or test
    file = frame.f_globals.get("__file__") if frame is not None else None
    if file is None:
        return Source("script", name)
    found = of_path(Path(file))
    return replace(found, name=f"{found.name}::{name.partition('::')[2]}")


def _is_entry_point(file: Path) -> bool:
    """Whether a program was started by a small script that a package installed, which says nothing of itself."""
    folder = Path(os.path.abspath(file)).parent  # noqa: PTH100  a link in a folder of programs stays there
    if folder in (Path(sys.executable).parent, Path(sys.prefix) / "bin") or "site-packages" in file.parts:
        return True
    return file.name == "__main__.py" and file.parent.name in ("marimo", "pytest")


def _caller() -> FrameType | None:
    """Return the nearest frame that is not of this package."""
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in (*OURS, "contextlib"):
        frame = frame.f_back
    return frame
