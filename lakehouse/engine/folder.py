"""Folders that a lake writes to and reads from: on a local disk here, in a bucket in :mod:`lakehouse.engine.bucket`.

A folder holds files by plain names; what the engine asks of one is the same wherever it lies, and so is the order in
which things become durable.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from formats.durable import TEMPORARY, fsync_dir, fsync_path, make_dirs_durably, temporary_name
from lakehouse.engine.faults import reach

__all__ = ["Draft", "Folder", "LocalFolder", "table_folder"]


class Draft(Protocol):
    """New content of a file that may be there already."""

    def put(self, unless: Callable[[bytes], bool]) -> None:
        """Replace the file in one step; one for which ``unless`` holds may stay."""
        ...

    def discard(self) -> None:
        """Remove what was prepared, if it was not put."""
        ...


class Folder(Protocol):
    """A folder of files that are written once, and of a few that are replaced whole."""

    @property
    def place(self) -> Path | str:
        """What users call it: a path, or a URL."""
        ...

    @property
    def uri(self) -> str:
        """What delta-rs calls it."""
        ...

    def delta_options(self) -> dict[str, str] | None:
        """Return what delta-rs needs to reach it: made anew for every use, since credentials expire."""
        ...

    def below(self, *names: str) -> Self:
        """Return a folder inside this one."""
        ...

    def create(self, stem: str, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Write a Parquet file under a name that begins with ``stem`` and was never used; return name and bytes.

        Its bytes are durable on return, its name after :meth:`sync`.
        """
        ...

    def make(self) -> None:
        """Make the folder, durably."""
        ...

    def sync(self, *names: str, up: int = 0) -> None:
        """Make files durable, then the names in this folder and in ``up`` folders above it."""
        ...

    def draft(self, name: str, data: bytes) -> Draft:
        """Prepare the replacement of a whole file, so that the replacing itself is short."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises ``FileNotFoundError``."""
        ...

    def path(self, name: str, size: int | None = None) -> Path:
        """Return a local path with a file's bytes, which are ``size`` many; raises ``FileNotFoundError``."""
        ...

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None when there is no such file."""
        ...

    def names(self, after: str = "") -> list[str]:
        """Return the names of the files in it that sort after a text, sorted; none where there is no folder."""
        ...

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...

    def sweep_unfinished(self, before: float) -> None:
        """Delete what a process that died before a time (seconds since 1970) was about to rename into place."""
        ...


def table_folder(root: Folder, table: str) -> Folder:
    """Return the folder of a table's Delta log and data files."""
    return root.below("tables", table)


@dataclass(frozen=True)
class LocalFolder:
    """A folder on a disk of this machine.

    Examples
    --------
    >>> import tempfile
    >>> folder = LocalFolder(Path(tempfile.mkdtemp())).below("tables", "label")
    >>> folder.make()
    >>> name, size = folder.create("p-0", lambda sink: sink.write(b"PAR1") and None)
    >>> folder.names() == [name], size, folder.size("absent")
    (True, 4, None)
    """

    here: Path

    def __str__(self) -> str:
        return str(self.here)

    @property
    def place(self) -> Path:
        """Its path."""
        return self.here

    @property
    def uri(self) -> str:
        """What delta-rs calls it."""
        return str(self.here)

    def delta_options(self) -> dict[str, str] | None:
        """Return None: a local path needs none."""
        return None

    def below(self, *names: str) -> LocalFolder:
        """Return a folder inside this one."""
        return LocalFolder(self.here.joinpath(*names))

    def create(self, stem: str, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Write a file under a name never used before, and fsync it."""
        path = self.here / f"{stem}-{secrets.token_hex(8)}.parquet"
        try:
            with path.open("xb") as sink:
                write(sink)
                sink.flush()
                reach("file.before_fsync")
                os.fsync(sink.fileno())
                return path.name, sink.tell()
        except OSError:  # most likely the disk is full: give the room back
            path.unlink(missing_ok=True)
            raise

    def make(self) -> None:
        """Make the folder, durably."""
        make_dirs_durably(self.here)

    def sync(self, *names: str, up: int = 0) -> None:
        """Fsync files, then this folder and ``up`` folders above it."""
        for name in names:
            fsync_path(self.here / name)
        for folder in (self.here, *self.here.parents[:up]):
            fsync_dir(folder)

    def draft(self, name: str, data: bytes) -> Draft:
        """Write and fsync the new content under a temporary name."""
        target = self.here / name
        fresh = temporary_name(target)
        fresh.write_bytes(data)
        try:
            fsync_path(fresh)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        return _LocalDraft(fresh, target)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self.here / name).read_bytes()

    def path(self, name: str, size: int | None = None) -> Path:
        """Return the file's own path; whoever opens it finds out whether it is there."""
        return self.here / name

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None when there is no such file."""
        try:
            return (self.here / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, after: str = "") -> list[str]:
        """Return the names of the files that sort after a text, sorted."""
        try:
            with os.scandir(self.here) as entries:
                return sorted(entry.name for entry in entries if entry.name > after and entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.here / name).unlink(missing_ok=True)

    def sweep_unfinished(self, before: float) -> None:
        """Delete temporary files that are older than a time."""
        for path in self.here.glob(f"{TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()


@dataclass(frozen=True)
class _LocalDraft:
    fresh: Path
    target: Path

    def put(self, unless: Callable[[bytes], bool]) -> None:
        """Rename into place; who calls holds the lock that makes ``unless`` false."""
        self.fresh.replace(self.target)

    def discard(self) -> None:
        self.fresh.unlink(missing_ok=True)
