"""What storages that fsspec reaches have in common, and storage in memory."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from formats.folders import Folder
from formats.paths import relative_parts, report, verified
from formats.remote import Denied, reaching
from lakehouse.errors import NotFound
from lakehouse.types import Progress

__all__ = ["FsspecPlace", "MemoryPlace"]


class FsspecPlace:
    """What memory and remote roots share."""

    root: str

    @property
    def _fs(self) -> Any:
        raise NotImplementedError

    def _address(self, path: str) -> str:
        raise NotImplementedError

    def put(self, path: str, source: bytes | Path, hash_: str, size: int, progress: Progress | None) -> None:
        """Store, unless it is there."""
        if not self.holds(path, size):
            pieces = iter([source]) if isinstance(source, bytes) else verified(source, hash_, None)
            self._send(path, pieces, size, progress)
        report(progress, size)

    def _send(self, path: str, pieces: Iterator[bytes], size: int, progress: Progress | None = None) -> None:
        self._fs.pipe_file(self._address(path), b"".join(pieces))

    def put_folder(self, path: str, folder: Folder, progress: Progress | None) -> None:
        """Store the files of a folder; nothing refers to them before all are there."""
        done = 0
        there = dict(self._sizes(path))
        for file in folder.files:
            if there.get(f"{path}/{file.name}") != file.size:
                self._send(f"{path}/{file.name}", folder.read(file), file.size)
            done += file.size
            if progress:
                progress(done, folder.size)

    def open(self, path: str) -> BinaryIO:
        """Open for reading."""
        with reaching(self.uri(path)):
            stored: BinaryIO = self._fs.open(self._address(path), "rb")
            return stored

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return int(self._info(path)["size"] or 0)

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        with reaching(self.uri(path)):
            return bool(self._fs.exists(self._address(path)))

    def holds(self, path: str, size: int) -> bool:
        """Tell whether a file of this size is there, at the price of one request.

        Who may not list is not told of what is absent: then it is stored, once more at most.
        """
        try:
            found = self._info(path)
        except (NotFound, Denied):
            return False
        return bool(found["type"] == "file" and found["size"] == size)

    def holds_folder(self, path: str, size: int, n_files: int) -> bool:
        """Tell whether a folder of this size is there."""
        sizes = [found for _, found in self._sizes(path)]
        return (len(sizes), sum(sizes)) == (n_files, size)

    def uri(self, path: str) -> str:
        """Return the root and the path."""
        return f"{self.root}/{relative_parts(path)}"

    def remove(self, path: str) -> None:
        """Delete a file or folder."""
        with reaching(self.uri(path), writing=True):
            self._fs.rm(self._address(path), recursive=True)

    def paths(self, prefix: str) -> Iterator[str]:
        """Yield the paths of all files, sorted."""
        for path, _ in self._sizes(relative_parts(prefix) if prefix else ""):
            yield path

    def relative(self, text: str) -> str | None:
        """Return a path relative to this root, or None if it lies elsewhere."""
        rest = text.removeprefix(self.root + "/")
        return None if rest == text else relative_parts(rest)

    def _info(self, path: str) -> dict[str, Any]:
        with reaching(self.uri(path)):
            found: dict[str, Any] = self._fs.info(self._address(path))
            return found

    def _sizes(self, prefix: str) -> list[tuple[str, int]]:
        """Return path and bytes of all files under a folder, sorted by path."""
        return [(path, int(info["size"])) for path, info in self._found(prefix)]

    def _found(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        """Return path and entry of all files under a folder, sorted by path."""
        top = self._address(prefix) if prefix else self._top
        start = len(self._top) + 1
        with reaching(self.root):
            found = self._fs.find(top, detail=True)
        return sorted(((name[start:], info) for name, info in found.items()), key=lambda one: one[0])

    @property
    def _top(self) -> str:
        """The root as fsspec lists it."""
        raise NotImplementedError


class MemoryPlace(FsspecPlace):
    """Lives as long as the process."""

    def __init__(self, root: str) -> None:
        self.root = f"memory://{relative_parts(root.partition('://')[2].strip('/') or 'default')}"

    @property
    def _fs(self) -> Any:
        import fsspec

        return fsspec.filesystem("memory")  # always the same one

    @property
    def _top(self) -> str:
        return "/" + self.root.removeprefix("memory://")

    def _address(self, path: str) -> str:
        return f"{self._top}/{relative_parts(path)}"

    def local_path(
        self, path: str, *, size: int | None = None, hash: str | None = None, progress: Progress | None = None
    ) -> Path:
        """Return a copy in a temporary folder, which lives as long as this object."""
        if self._fs.isdir(self._address(path)):
            for name in self.paths(path):
                self.local_path(name)
            return self._copies / relative_parts(path)
        with self.open(path) as file:
            data = file.read()
        target = self._copies / relative_parts(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file() or target.read_bytes() != data:
            target.write_bytes(data)
        return target

    @cached_property
    def _copies(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="lakehouse-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder
