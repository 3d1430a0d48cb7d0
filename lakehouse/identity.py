"""Who is at work, where no setting says so: git's configuration, else the login."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lakehouse.errors import InvalidName, shown

__all__ = ["LONGEST_USER", "checked_user", "home", "unconfigured_user"]

LONGEST_USER: Final = 200
"""Characters that a user's name may have."""


def checked_user(name: str, where: str) -> str:
    """Return a user's name without the blanks around it.

    Parameters
    ----------
    name
        As it was found.
    where
        What it was found in, for the message.

    Raises
    ------
    InvalidName
        It is empty, over 200 characters, or has control, format or unassigned characters.

    Examples
    --------
    >>> checked_user(" ada ", "argument")
    'ada'
    """
    name = name.strip()
    # Categories C*: control and format characters (such as U+202E), lone surrogates, unassigned ones.
    if not name or len(name) > LONGEST_USER or any(unicodedata.category(c)[0] == "C" for c in name):
        raise InvalidName(
            f"{shown(name)} (from {where}) cannot be a user's name: it takes 1 to {LONGEST_USER} visible characters; "
            "pass user= or set LAKEHOUSE_USER"
        )
    return name


def unconfigured_user() -> tuple[str, str]:
    """Return the user's name and what it was found in: a configuration file of git's, or ``"login"``.

    Git itself is not run; of its files, those of the repository come before the user's own.
    """
    for file in _git_files():
        identity = _git_identity(file)
        if identity:
            return identity, str(file)
    return _login(), "login"


def home() -> Path:
    """Return the user's home folder, ``~`` itself where there is none."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home raises where there is none


def _login() -> str:
    import getpass  # loads terminal modules that nothing else needs

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user that has no name, or a Windows without one
        return f"uid{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _git_files() -> Iterator[Path]:
    """Yield where git's configuration may be, the most specific file first."""
    folder, own = Path.cwd(), os.environ.get("GIT_DIR")
    yield from [Path(own) / "config"] if own else [up / ".git" / "config" for up in (folder, *folder.parents)]
    yield home() / ".gitconfig"
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config") / "git" / "config"


def _git_identity(file: Path) -> str | None:
    """Return ``user.name``, else ``user.email``, of a git configuration file; includes are not followed."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # most of these files do not exist, and git's own faults are not ours to report
        return None
    section, found = "", dict[str, str]()
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line.strip("[] ").lower()
        elif section == "user" and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found[key.strip().lower()] = value.strip().strip('"')
    return found.get("name") or found.get("email") or None
