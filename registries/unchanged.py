"""Whether what was registered where it lies is still what was registered.

Such files belong to somebody else, who may write to them. One whose times are younger than its row is hashed before it
is read, once for each state of it that this machine sees; of all others a stat is enough, which is made anyway.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from formats.folders import read_folder
from formats.hashing import hash_file
from formats.seen import Seen
from formats.storehash import BYTES, digest_of
from lakehouse.config import cache_settings

__all__ = ["SLACK", "hash_there", "other_hash"]

SLACK = dt.timedelta(seconds=2)
"""By how much the times of files may lag behind the clock."""
_FORGOTTEN = 30 * 86_400.0


def hash_there(path: Path, kind: str) -> str:
    """Return the hash of a file or folder, made as those of a kind are: ``blake3``, ``blake3-folder``, ``md5``, ...

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.txt")
    >>> _ = path.write_bytes(b"abc")
    >>> hash_there(path, "md5")
    '900150983cd24fb0d6963f7d28e17f72'
    """
    if kind in BYTES:
        return digest_of(path, kind)
    return read_folder(path).hash if kind == "blake3-folder" else hash_file(path)


def other_hash(path: Path, kind: str, digest: str, state: Seen, created: dt.datetime) -> str | None:
    """Return the hash of what lies at a path, where that is no longer the one that was registered.

    Parameters
    ----------
    path
        A file or folder, absolute.
    kind, digest
        Of the registered hash.
    state
        Of what lies there now.
    created
        When it was registered.
    """
    if state.youngest < (created - SLACK).timestamp() * 1e9:
        return None
    note, told = _note(path, kind, digest), f"{state.n_files} {state.size} {state.youngest}"
    with suppress(OSError):
        if note.read_text() == told:
            return None
    if (found := hash_there(path, kind)) != digest:
        return found
    with suppress(OSError):  # a memory, and no authority
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.write_text(told)
        _sweep(note.parent)
    return None


def _note(path: Path, kind: str, digest: str) -> Path:
    name = hashlib.blake2b(os.fsencode(f"{kind} {digest} {path}"), digest_size=20).hexdigest()
    return cache_settings()[0] / "unchanged" / name[:2] / name


def _sweep(folder: Path) -> None:
    for found in folder.iterdir():
        with suppress(FileNotFoundError):  # another process does the same
            if found.stat().st_mtime < time.time() - _FORGOTTEN:
                found.unlink()
