"""Folders that are one thing: zarr stores, TileDB arrays, SOMA experiments, mtx folders, Delta tables.

A folder's content is its files: their paths, sorted, and their content hashes. Empty folders inside do not count, as
object stores have none. A link to a file inside the folder counts as a file; a link that leads out, or to a folder,
is refused.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from formats.durable import fsync_dir, temporary_name, write_durably, write_synced
from formats.hashing import Hasher, hash_file, read_stable, tree_hash
from formats.inside import open_inside
from lakehouse.errors import InvalidFile, InvalidKey, shown
from lakehouse.types import Progress

__all__ = ["Folder", "FolderFile", "files_in", "holds_folder", "put_folder", "read_folder"]

_THREADS = 8
"""An fsync waits for the disk; several files at once keep it busy."""


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file below a folder."""

    name: str
    """Relative to the folder, in POSIX form."""

    size: int
    """Bytes."""

    hash: str
    """Of its content."""


@dataclass(frozen=True)
class Folder:
    """A folder whose files were hashed.

    Attributes
    ----------
    path
        Where it lies, without links on the way.
    files
        Sorted by name.
    """

    path: Path
    files: tuple[FolderFile, ...]

    @cached_property
    def hash(self) -> str:
        """The hash of names and contents; that of a file is never the same."""
        return tree_hash((file.name, file.hash) for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def n_files(self) -> int:
        """How many files it has."""
        return len(self.files)

    def read(self, file: FolderFile) -> Iterator[bytes]:
        """Yield the bytes of a file, and raise at the end unless they are those that were hashed."""
        hasher = Hasher(size=file.size)
        source = _source(self.path, file.name)
        for piece, _ in read_stable(source, opener=_opener(self.path)):
            hasher.update(piece)
            yield piece
        if hasher.text() != file.hash:
            raise InvalidFile(
                f"{shown(str(source))} changed since it was hashed: save the folder again when its writer is done"
            )


def read_folder(path: Path, *, progress: Progress | None = None) -> Folder:
    """Hash a folder.

    Parameters
    ----------
    path
        A folder.
    progress
        Called with the bytes done and the bytes in all.

    Raises
    ------
    InvalidKey
        It holds a link that leads out or to a folder, or what is no regular file.
    InvalidFile
        It holds no file, or one that changed while it was read.

    Examples
    --------
    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> _ = (top / "a").write_bytes(b"1")
    >>> folder = read_folder(top)
    >>> folder.n_files, folder.size, len(folder.hash)
    (1, 1, 32)
    """
    real = Path(os.path.realpath(path))
    found = sorted(_sizes(real), key=lambda entry: os.fsencode(entry[0]))
    if not found:
        raise InvalidFile(f"{shown(str(path))} holds no file, so there is nothing to keep: fill it first")
    total, done, files = sum(size for _, size in found), 0, []
    for name, size in found:
        digest = hash_file(_source(real, name), opener=_opener(real))
        files.append(FolderFile(name, size, digest))
        done += size
        if progress:
            progress(done, total)
    return Folder(real, tuple(files))


def holds_folder(path: Path, *, size: int, n_files: int) -> bool:
    """Tell whether a folder has so many files and bytes, at the price of one stat per file."""
    if not path.is_dir():
        return False
    sizes = [size for _, size in _sizes(Path(os.path.realpath(path)))]
    return (len(sizes), sum(sizes)) == (n_files, size)


def put_folder(target: Path, folder: Folder, *, progress: Progress | None = None) -> None:
    """Copy a folder so that it is there whole, or not at all, whatever happens.

    Files and folders are forced to the disk first, and the last step is a rename. Where the target exists, what it
    lacks is put back.

    Parameters
    ----------
    target
        The final name; the directory that holds it must exist.
    folder
        What to copy.
    progress
        Called with the bytes done and the bytes in all.

    Raises
    ------
    InvalidFile
        A file changed since it was hashed.
    """
    if not target.is_dir():
        temporary = temporary_name(target)
        try:
            _copy(folder, temporary, folder.files, write_synced, progress)
            _sync_tree(temporary)
            _rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    missing = [file for file in folder.files if not _has_size(target / file.name, file.size)]
    if missing:
        _copy(folder, target, missing, write_durably, progress)
        _sync_tree(target)
    fsync_dir(target.parent)
    if progress:
        progress(folder.size, folder.size)


def _rename(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError as error:  # another process was faster; its folder holds the same
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) or not target.is_dir():
            raise


def _copy(
    folder: Folder,
    target: Path,
    files: Sequence[FolderFile],
    write: Callable[[Path, Iterable[bytes]], int],
    progress: Progress | None,
) -> None:
    for parent in {(target / file.name).parent for file in files}:
        parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with ThreadPoolExecutor(min(_THREADS, len(files))) as pool:
        for size in pool.map(lambda file: write(target / file.name, folder.read(file)), files):
            done += size
            if progress:
                progress(done, folder.size)


def _sync_tree(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        fsync_dir(Path(folder))


def _has_size(path: Path, size: int) -> bool:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _sizes(root: Path) -> Iterator[tuple[str, int]]:
    return ((name, found.st_size) for name, found in files_in(root))


def files_in(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the relative path and stat of every file below a folder; raises ``InvalidKey`` for a link that leads out."""
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found = _admitted(Path(entry.path), root) if entry.is_symlink() else entry.stat()
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(Path(entry.path))
                elif stat.S_ISREG(found.st_mode):
                    yield Path(entry.path).relative_to(root).as_posix(), found
                else:
                    raise InvalidKey(f"{shown(entry.path)} is no regular file: leave it out of the folder")


def _admitted(link: Path, root: Path) -> os.stat_result:
    """Return the stat of what a link names, if that is a file inside the folder."""
    real = Path(os.path.realpath(link))
    if not real.is_relative_to(root):
        raise InvalidKey(
            f"{shown(str(link))} is a link that leads out of {shown(str(root))}: put the file there itself"
        )
    if not real.is_file():
        raise InvalidKey(f"{shown(str(link))} is a link to no file: put the files there themselves")
    return real.stat()


def _source(root: Path, name: str) -> Path:
    """Return where the bytes of a name lie: links to files inside were admitted."""
    path = root / PurePosixPath(name)
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        raise InvalidKey(f"{shown(str(path))} became a link that leads out of {shown(str(root))}")
    return real


def _opener(root: Path) -> Callable[[Path], int]:
    return lambda path: open_inside(root, path.relative_to(root))
