"""Settings: argument, then context, then environment, then file, then default.

Files are two: the *pointer* ``.lakehouse``, left by ``lh.init`` in the working folder, which names the instance that
sessions in that folder or below connect to; and the user's ``config.toml`` in ``$XDG_CONFIG_HOME/lakehouse``
(``~/.config/lakehouse``), which may set any of the settings. The pointer comes first, being nearer. Nothing is read
when this module is imported; callers resolve the settings once, when they connect.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lakehouse.errors import ConfigurationError, did_you_mean, shown
from lakehouse.identity import checked_user, home, unconfigured_user

__all__ = [
    "POINTER",
    "Settings",
    "cache_settings",
    "current_user",
    "data_folder",
    "find_pointer",
    "read_pointer",
    "resolve",
    "using",
    "warns_of_close_names",
    "write_pointer",
]

POINTER: Final = ".lakehouse"
"""The name of the pointer file."""

_NAMES: Final = ("instance", "user", "cache_dir", "cache_size", "log_level", "close_names")
_SWITCH: Final = {"on": True, "off": False}
_CACHE_SIZE: Final = "20 GB"
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_CONTEXT: ContextVar[Mapping[str, str]] = ContextVar("lakehouse_settings", default=MappingProxyType({}))


@dataclass(frozen=True)
class Settings:
    """What a session works with.

    Examples
    --------
    >>> settings = resolve(instance="./mylake", user="ada")
    >>> settings.instance, settings.user, settings.origin["user"]
    ('./mylake', 'ada', 'argument')
    """

    instance: str | None
    """Folder or URL of the instance to connect to, ``None`` where nothing names one."""

    user: str
    """Who is recorded as the maker of rows and commits."""

    cache_dir: Path
    """Folder for local copies of remote files; it need not exist yet."""

    cache_size: int
    """Bytes that local copies may take; written as ``"20 GB"`` (powers of ten, or ``GiB`` of two)."""

    log_level: str
    """Level of the logger ``lakehouse``, one of DEBUG, INFO, WARNING, ERROR and CRITICAL."""

    origin: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each setting was found, for people to read: ``"argument"``, ``"LAKEHOUSE_USER"``, a file, ``"default"``."""


def resolve(
    *,
    instance: str | os.PathLike[str] | None = None,
    user: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_size: str | None = None,
    log_level: str | None = None,
    start: str | os.PathLike[str] | None = None,
) -> Settings:
    """Find every setting: argument, context, environment, file, default.

    Parameters
    ----------
    instance, user, cache_dir, cache_size, log_level
        The arguments, where given; see :class:`Settings`.
    start
        Where the search for a pointer begins and goes upward; the working folder, if left out.

    Raises
    ------
    ConfigurationError
        A file or variable holds what cannot be a setting; the message names it.
    InvalidName
        The user's name cannot be stored.
    """
    given = {
        "instance": instance,
        "user": user,
        "cache_dir": cache_dir,
        "cache_size": cache_size,
        "log_level": log_level,
    }
    arguments = {name: os.fspath(value) for name, value in given.items() if value is not None}
    sources = (("argument", arguments), *_around(Path(start) if start else Path.cwd()))
    found = {name: _first(name, sources) for name in _NAMES}
    name, where = found["user"] or unconfigured_user()
    level, level_from = found["log_level"] or ("WARNING", "default")
    cache, cache_from = found["cache_dir"] or _default_cache()
    size, size_from = found["cache_size"] or (_CACHE_SIZE, "default")
    place, place_from = found["instance"] or (None, "default")
    return Settings(
        instance=place,
        user=checked_user(name, where),
        cache_dir=Path(cache).expanduser(),
        cache_size=_bytes(size, size_from),
        log_level=_checked_level(level, level_from),
        origin={
            "instance": place_from,
            "user": where,
            "cache_dir": cache_from,
            "cache_size": size_from,
            "log_level": level_from,
        },
    )


def cache_settings() -> tuple[Path, int]:
    """Return folder and bytes of the cache, without looking for anything else.

    Examples
    --------
    >>> with using(cache_dir="/tmp/copies", cache_size="5 MB"):
    ...     cache_settings()
    (PosixPath('/tmp/copies'), 5000000)
    """
    sources = tuple(_around(Path.cwd()))
    folder, _ = _first("cache_dir", sources) or _default_cache()
    size, where = _first("cache_size", sources) or (_CACHE_SIZE, "default")
    return Path(folder).expanduser(), _bytes(size, where)


def warns_of_close_names() -> bool:
    """Return whether saving a new name tells of those that are close to it: the setting ``close_names``, on or off.

    Raises
    ------
    ConfigurationError
        It is neither.

    Examples
    --------
    >>> warns_of_close_names()
    True
    """
    said, where = _first("close_names", tuple(_around(Path.cwd()))) or ("on", "default")
    if said.lower() not in _SWITCH:
        raise ConfigurationError(f"close_names = {shown(said)} (from {where}){did_you_mean(said, _SWITCH)}")
    return _SWITCH[said.lower()]


def current_user(argument: str | None = None) -> str:
    """Return who is at work: argument, context, LAKEHOUSE_USER, configuration file, git's configuration, OS login.

    Raises
    ------
    InvalidName
        The name is empty, over 200 characters, or has control characters.

    Examples
    --------
    >>> current_user("ada")
    'ada'
    """
    return resolve(user=argument).user


@contextmanager
def using(
    *,
    instance: str | os.PathLike[str] | None = None,
    user: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_size: str | None = None,
    log_level: str | None = None,
) -> Iterator[None]:
    """Give settings to all that runs inside the block, in this thread or task; arguments still come first.

    Examples
    --------
    >>> with using(user="grace"):
    ...     current_user()
    'grace'
    """
    given = {
        "instance": instance,
        "user": user,
        "cache_dir": cache_dir,
        "cache_size": cache_size,
        "log_level": log_level,
    }
    inner = {name: os.fspath(value) for name, value in given.items() if value is not None}
    token = _CONTEXT.set({**_CONTEXT.get(), **inner})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def find_pointer(start: str | os.PathLike[str]) -> Path | None:
    """Return the folder of the instance that the nearest pointer, in ``start`` or above it, names.

    Returns
    -------
    Path or None
        ``None`` where there is no pointer. Something called ``.lakehouse`` that is a folder lies inside an instance,
        and points to that instance.

    Raises
    ------
    ConfigurationError
        The pointer cannot be read, or names a URL, which is no folder.
    """
    pointer = _pointer(start)
    root = read_pointer(pointer) if pointer else None
    if root and "://" in root:
        raise ConfigurationError(f"{pointer} names {shown(root)}, which is no folder: pass that to `lh.open`")
    return Path(root) if root else None


def read_pointer(pointer: Path) -> str:
    """Return the folder or URL of the instance that a pointer names; relative ones start at the pointer's folder.

    Raises
    ------
    ConfigurationError
        The file is not a pointer.
    """
    if pointer.is_dir():
        return str(pointer.parent)
    root = _read_toml(pointer, ("instance",)).get("instance")
    if not root:
        raise ConfigurationError(f'{pointer} names no instance: write `instance = "..."` into it, or remove it')
    return root if "://" in root else os.path.normpath(pointer.parent / root)


def write_pointer(folder: str | os.PathLike[str], root: str | os.PathLike[str]) -> Path:
    """Leave a pointer to the instance at ``root`` in ``folder`` and return it; an older one is replaced.

    A root at or below ``folder`` is written relative to it, so that both may be moved together.

    Raises
    ------
    ConfigurationError
        The URL holds a password, which a file that is easily shared must not.
    """
    here, place = Path(os.path.abspath(folder)), os.fspath(root)  # noqa: PTH100
    pointer = here / POINTER
    if pointer.is_dir():  # the folder is an instance itself, and points to itself
        return pointer
    if re.match(r"[^/]*://[^/]*:[^/]*@", place):
        raise ConfigurationError("the instance's URL holds a password: leave it out and set it in the environment")
    if "://" not in place:
        absolute = Path(os.path.abspath(place))  # noqa: PTH100
        place = str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
    # Renamed into place, so that a session that starts meanwhile reads the old one or the new one, never half a one.
    draft = here / f"{POINTER}.{os.getpid()}.tmp"
    draft.write_text(f"# The instance that sessions here connect to.\ninstance = {_toml(place)}\n", encoding="utf-8")
    draft.replace(pointer)
    return pointer


def _pointer(start: str | os.PathLike[str]) -> Path | None:
    folder = Path(os.path.abspath(start))  # noqa: PTH100  links on the way up are the user's own view of the folders
    candidates = (up / POINTER for up in (folder, *folder.parents))
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _first(name: str, sources: tuple[tuple[str, Mapping[str, str]], ...]) -> tuple[str, str] | None:
    for where, values in sources:
        if name in values:
            return values[name], _variable(name) if where == "environment" else where
    return None


def data_folder() -> Path:
    """Return the user's folder for what must last and is no setting: ``$XDG_DATA_HOME/lakehouse``."""
    return _xdg("XDG_DATA_HOME", ".local/share")


def _around(start: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield all sources but the arguments, the one that comes first first."""
    yield "context", _CONTEXT.get()
    yield from _stored(start)


def _default_cache() -> tuple[str, str]:
    return str(_xdg("XDG_CACHE_HOME", ".cache")), "default"


def _bytes(text: str, where: str) -> int:
    """Return the bytes that a size such as ``20 GB`` means."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*", text)
    if found is None:
        raise ConfigurationError(f"{shown(text)} is no size (from {where}): write one such as '20 GB' or '512 MiB'")
    power = "kMGT".find(found[2].replace("K", "k")) + 1 if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _stored(start: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what environment and files hold, nearest first, with where it stands."""
    # An empty variable counts as unset, as shells have no tidy way to unset one for a single command.
    yield "environment", {name: os.environ[_variable(name)] for name in _NAMES if os.environ.get(_variable(name))}
    pointer = _pointer(start)
    if pointer:
        yield str(pointer), {"instance": read_pointer(pointer)}
    config = _xdg("XDG_CONFIG_HOME", ".config") / "config.toml"
    if config.is_file():
        yield str(config), _read_toml(config, _NAMES)


def _variable(name: str) -> str:
    return f"LAKEHOUSE_{name.upper()}"


def _xdg(variable: str, otherwise: str) -> Path:
    # The specification has relative values ignored.
    given = os.environ.get(variable, "")
    return (Path(given) if Path(given).is_absolute() else home() / otherwise) / "lakehouse"


def _read_toml(file: Path, known: tuple[str, ...]) -> dict[str, str]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}; mend or remove it") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    for name, value in values.items():
        if name not in known:
            raise ConfigurationError(f"{file} sets {shown(name)}, which is no setting{did_you_mean(name, known)}")
        if not isinstance(value, str):
            raise ConfigurationError(f"{file} sets {name} to {shown(value)}, which must be text in quotes")
    return values


def _toml(text: str) -> str:
    escaped = "".join(f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in text)
    return f'"{escaped}"'


def _checked_level(level: str, where: str) -> str:
    if level.upper() not in _LEVELS:
        raise ConfigurationError(f"{shown(level)} is no log level (from {where}){did_you_mean(level.upper(), _LEVELS)}")
    return level.upper()
