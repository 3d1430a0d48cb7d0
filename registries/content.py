"""What an artifact is made from: a file, a folder or an object, hashed and described, before it is stored."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formats import hashing, keys
from formats.base import Format
from formats.folders import Folder, read_folder
from formats.frames import eager
from formats.registry import by_name, format_for, format_in_store, format_of, format_of_nothing
from formats.seen import Seen, seen
from formats.storage import Storage
from formats.storage_remote import managed_hash
from formats.storehash import BYTES, digest_of
from lakehouse.errors import InvalidFile, InvalidKey, LakehouseError, Unavailable, shown
from lakehouse.types import Progress
from registries.unchanged import hash_there, other_hash

__all__ = ["Content", "Source"]


@dataclass(frozen=True)
class Content:
    """Bytes that may be stored, and what is known of them.

    Attributes
    ----------
    data
        The bytes, or the file or folder that holds them; None for what lies in a bucket and was not read.
    hash
        Their content hash.
    size
        Their number.
    suffix
        Of the stored object, such as ``.csv.gz``; may be empty.
    format
        Name of the format that reads them.
    kind
        dataframe, AnnData, array or blob.
    n_rows
        Rows or observations, where the format counts them.
    lies_at
        Path in the storage, for what lies there already.
    n_files
        Of a folder; None for a file.
    stated
        Kind of the hash where the store made it; see :mod:`formats.storehash`.
    seen
        What a stat told before it was read, of a file or folder.
    """

    data: bytes | Path | Folder | None
    hash: str
    size: int
    suffix: str
    format: str
    kind: str
    n_rows: int | None
    lies_at: str | None = None
    n_files: int | None = None
    stated: str | None = None
    seen: Seen | None = None

    @property
    def hash_kind(self) -> str:
        """How the hash was made: over the bytes, over names and contents of a folder, or as its store made it."""
        return self.stated or ("blake3" if self.n_files is None else "blake3-folder")

    def equals(self, row: dict[str, Any]) -> bool:
        """Tell whether the content of an artifact's row is the same."""
        if (row["suffix"], row["size"]) != (self.suffix, self.size):
            return False
        if row["hash_kind"] in BYTES and isinstance(self.data, bytes | Path):
            return bool(digest_of(self.data, row["hash_kind"]) == row["hash"])
        return (row["hash_kind"], row["hash"]) == (self.hash_kind, self.hash)

    def put(self, store: Storage, progress: Progress | None = None) -> str:
        """Store the bytes durably, unless they lie there already; return the path in the storage.

        Raises
        ------
        InvalidFile
            When a file is gone or has changed since it was hashed.
        """
        if self.lies_at is None:
            return self._put(store, progress)
        if not self._lies_in(store, self.lies_at) or self._was_changed(store, self.lies_at):
            raise InvalidFile(
                f"{shown(self.lies_at)} is gone or changed since it was hashed: save it again when it stays"
            )
        return self.lies_at

    def restore(self, store: Storage, row: dict[str, Any], progress: Progress | None = None) -> bool:
        """Tell whether the row of equal content has it still; an object that is gone or cut off is put back first.

        A file that was registered where it lies belongs to somebody else and is never written.
        """
        path = row["path"]
        if managed_hash(path) is not None:
            return self._lies_in(store, path) or self._put(store, progress) == path
        if not self._lies_in(store, path):
            return False
        if not store.local:
            return True
        there = store.local_path(path)
        return other_hash(there, row["hash_kind"], row["hash"], seen(there), row["created_at"]) is None

    def _put(self, store: Storage, progress: Progress | None) -> str:
        if isinstance(self.data, Folder):
            return store.put_folder(self.data, self.suffix, progress=progress)
        assert self.data is not None
        return store.put_object(self.hash, self.suffix, self.data, progress=progress)

    def _was_changed(self, store: Storage, lies_at: str) -> bool:
        """Tell whether somebody wrote other bytes to it since it was read; rights and links may change."""
        if self.seen is None or not store.local or seen(path := store.local_path(lies_at)) == self.seen:
            return False
        return hash_there(path, self.hash_kind) != self.hash

    def _lies_in(self, store: Storage, path: str) -> bool:
        if self.n_files is None:
            return store.holds(path, self.size)
        return store.holds_folder(path, self.size, self.n_files)


@dataclass(frozen=True, slots=True)
class Source:
    """What was handed to ``Artifact(...)``: a path or an object, and how it is to be taken."""

    given: Any
    suffix: str | None = None
    format: str | None = None

    def in_store(self, store: Storage, path: str, key: str | None) -> Content | None:
        """Describe what lies in a bucket without copying it; ``None`` where the store has no hash or it must be read.

        Parameters
        ----------
        store, path
            Where it lies.
        key
            The artifact's.
        """
        there = store.remote_path(path)
        if there is None:
            return None
        suffix = self._suffix_of_file(there.as_path(), key)
        known, (size, n_files) = store.known_hash(path), store.totals(path)
        fmt = by_name(self.format) if self.format is not None else format_in_store(there.as_path(), suffix)
        if known is None or fmt is None or not size or not fmt.reads_remote(there.as_path()):
            return None
        kind, n_rows = _described(fmt, there.as_path())
        return Content(None, known[1], size, suffix, fmt.name, kind, n_rows, path, n_files, known[0])

    @property
    def is_path(self) -> bool:
        """Whether it names a file or folder."""
        return isinstance(self.given, str | os.PathLike)

    def read(self, key: str | None, lies_at: str | None, progress: Progress | None = None) -> Content:
        """Hash and describe; an object is serialised first.

        Parameters
        ----------
        key
            The artifact's.
        lies_at
            The path of the file in the storage, if it lies there already.
        progress
            Is told of the bytes hashed.

        Raises
        ------
        InvalidKey, NotFound, InvalidFile, UnknownFormat
            When the path, the key's suffix, the bytes or the object are not admitted.
        """
        if self.is_path:
            return self._of_file(key, lies_at, progress)
        return self._of_bytes(key, self.given) if isinstance(self.given, bytes) else self._of_object(key)

    def _of_file(self, key: str | None, lies_at: str | None, progress: Progress | None) -> Content:
        path = keys.check_source(self.given, folders=True)
        suffix = self._suffix_of_file(path, key)
        if path.is_dir():
            return self._of_folder(path, suffix, lies_at, progress)
        before = seen(path)
        try:
            digest = hashing.hash_file(path, progress=progress)
        except OSError as error:
            if isinstance(error, LakehouseError):
                raise
            raise Unavailable(f"{shown(str(path))} cannot be read: {error.strerror}; mend that, then save") from error
        size = path.stat().st_size
        fmt = self._format(path, suffix)
        kind, n_rows = _described(fmt, path)
        return Content(path, digest, size, suffix, fmt.name, kind, n_rows, lies_at, seen=before)

    def _of_folder(self, path: Path, suffix: str, lies_at: str | None, progress: Progress | None) -> Content:
        before, folder = seen(path), read_folder(path, progress=progress)
        fmt = self._format(path, suffix)
        kind, n_rows = _described(fmt, path)
        return Content(
            folder, folder.hash, folder.size, suffix, fmt.name, kind, n_rows, lies_at, folder.n_files, seen=before
        )

    def _format(self, path: Path, suffix: str) -> Format:
        """Return the format of a file; no bytes at all may be a table of text, and are nothing else."""
        if path.is_file() and not path.stat().st_size:
            return format_of_nothing(suffix)
        return by_name(self.format) if self.format is not None else format_of(path, suffix)

    def _suffix_of_file(self, path: Path, key: str | None) -> str:
        suffix = keys.suffix_of(path.name) if self.suffix is None else keys.check_suffix(self.suffix)
        named = keys.suffix_of(key) if key else ""
        if named and named != suffix and self.suffix is None and self.format is None:
            raise InvalidKey(
                f"key {shown(key)} ends in {named!r} and the file {shown(path.name)} in {suffix!r}: "
                f"let them agree, or pass suffix={named!r} if that is what the bytes are"
            )
        return suffix

    def _suffix_of_object(self, key: str | None) -> str:
        return self.suffix if self.suffix is not None else (keys.suffix_of(key) if key else "")

    def _of_bytes(self, key: str | None, data: bytes) -> Content:
        """Take bytes for the content of a file with the suffix that the key has."""
        suffix = self._suffix_of_object(key)
        fmt = by_name(self.format) if self.format is not None and data else format_for(suffix=suffix)
        kind, n_rows = fmt.kind, None
        if not data and (fmt := format_of_nothing(suffix)).kind == "blob":
            kind = fmt.kind
        elif fmt.kind != "blob":
            with tempfile.NamedTemporaryFile(prefix="lakehouse-", suffix=suffix) as file:
                file.write(data)
                file.flush()
                fmt = self._format(Path(file.name), suffix)
                kind, n_rows = _described(fmt, Path(file.name))
        return Content(data, hashing.hash_bytes(data), len(data), suffix, fmt.name, kind, n_rows)

    def _of_object(self, key: str | None) -> Content:
        suffix = self._suffix_of_object(key)
        given = eager(self.given)
        fmt = by_name(self.format) if self.format is not None else format_for(given, suffix=suffix or None)
        if not suffix and fmt.suffixes:
            suffix = fmt.suffixes[0]
        data = fmt.dump(given, suffix=suffix if suffix in fmt.suffixes else None)
        n_rows = _rows(given) if fmt.kind != "blob" else None
        if data is not None:
            return Content(data, hashing.hash_bytes(data), len(data), suffix, fmt.name, fmt.kind, n_rows)
        path = _written(fmt, given, suffix)
        content = _of_written(path, suffix, fmt, n_rows)
        weakref.finalize(content, _remove, path)  # a plan may run again, so not before
        return content


def _of_written(path: Path, suffix: str, fmt: Format, n_rows: int | None) -> Content:
    if path.is_dir():
        folder = read_folder(path)
        return Content(folder, folder.hash, folder.size, suffix, fmt.name, fmt.kind, n_rows, n_files=folder.n_files)
    digest, size = hashing.hash_file(path), path.stat().st_size
    return Content(path, digest, size, suffix, fmt.name, fmt.kind, n_rows)


def _described(fmt: Format, path: Path) -> tuple[str, int | None]:
    try:
        description = fmt.describe(path)
    except InvalidFile as error:
        if fmt.name != "blob":
            error.add_note("To keep the bytes as they are, without reading them, pass format='blob'.")
        raise
    return description.kind, description.n_rows


def _rows(obj: Any) -> int | None:
    """Return the rows or observations that an object says it has."""
    if shape := getattr(obj, "shape", ()):  # first: a frame of pandas takes long to say what it has not
        return int(shape[0])
    counts = (getattr(obj, name, None) for name in ("n_obs", "num_rows", "height"))
    return next((count for count in counts if isinstance(count, int)), None)


def _written(fmt: Format, obj: object, suffix: str) -> Path:
    """Write an object that is too large for memory's sake to a temporary file; the storage copies it."""
    handle, name = tempfile.mkstemp(suffix=suffix, prefix="lakehouse-")
    os.close(handle)
    path = Path(name)
    try:
        path.unlink()
        fmt.write(obj, path)
    except BaseException:
        _remove(path)
        raise
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
