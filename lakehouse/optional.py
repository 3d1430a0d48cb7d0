"""Optional packages, and the other distribution that would be imported in our place."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

from lakehouse.errors import ConfigurationError, MissingExtra, shown

__all__ = ["DISTRIBUTION", "check_namesake", "extras", "require"]

DISTRIBUTION: Final = "lakehouse-toolkit"
"""What this package is called where packages are installed from."""

_NAMESAKE: Final = "lakehouse"


def require(module: str, extra: str) -> ModuleType:
    """Import and return an optional module.

    Parameters
    ----------
    module
        Its full name, for instance ``"mudata"``.
    extra
        The extra of this distribution that installs it.

    Raises
    ------
    MissingExtra
        It is not installed, or lacks something that it needs itself; the message has the command that helps.

    Examples
    --------
    >>> require("json", "test").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        what = (
            f"{module!r} is not installed"
            if module == missing or module.startswith(missing + ".")
            else f"{module!r} is installed but needs {missing!r}, which is not"
        )
        raise MissingExtra(f"{what}; {_command(extra)}", name=module) from error


def extras() -> tuple[str, ...]:
    """Return the extras that the installed distribution offers, sorted; none where it is not installed."""
    from importlib.metadata import PackageNotFoundError, metadata  # 15 ms that only a failure pays

    try:
        return tuple(sorted(metadata(DISTRIBUTION).get_all("Provides-Extra") or ()))
    except PackageNotFoundError:
        return ()


def check_namesake() -> None:
    """Refuse to go on where the unrelated distribution that is called ``lakehouse`` is installed as well.

    Both install a top-level module ``lakehouse``, so that the files of one overwrite those of the other. Only the
    names in the folder that this module was imported from are read: no metadata is parsed.

    Raises
    ------
    ConfigurationError
        It is installed; the message has the two commands that help.
    """
    for folder in _folders():
        for name in _listed(folder):
            if name.startswith(_NAMESAKE + "-") and name.endswith((".dist-info", ".egg-info")):
                version = name.removeprefix(_NAMESAKE + "-").rpartition(".")[0]
                raise ConfigurationError(
                    f"the unrelated distribution 'lakehouse' {version} is installed in {folder}; it has the same "
                    f"top-level module as {DISTRIBUTION!r}, and their files overwrite each other: run "
                    f"`pip uninstall lakehouse` and then `pip install --force-reinstall --no-deps {DISTRIBUTION}`"
                )


def _command(extra: str) -> str:
    offered = extras()
    if offered and extra not in offered:
        return (
            f"the installed {DISTRIBUTION} has no extra {shown(extra)} (it has {', '.join(offered)}): "
            f'run `pip install --upgrade "{DISTRIBUTION}[{extra}]"`'
        )
    return f'run `pip install "{DISTRIBUTION}[{extra}]"`'


def _folders() -> list[str]:
    """Return where packages are installed: the folder that holds ours, and those named like it on the path."""
    own = str(Path(__file__).resolve().parents[1])
    installed = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return list(dict.fromkeys([own, *installed]))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  a third of the time that Path.iterdir takes
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # entries of the path need not exist
        return []
