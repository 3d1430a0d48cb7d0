"""Sweeping objects that nobody refers to, while others store and refer to objects.

Who stores an object that is there already touches it. So an object whose time of change is recent may be about to be
referred to; one that is old is not, unless somebody touches it this very moment. Therefore an object is first renamed
away, in one step, and only then looked at for the last time: whoever touched it before the rename is seen, and it goes
back; whoever comes after the rename finds nothing and stores it anew. A sweep that dies in between leaves the renamed
object behind, and the next one judges it by the same rules.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from formats.durable import TEMPORARY

__all__ = ["Swept", "sweep_objects"]

_DOOMED = f"{TEMPORARY}doomed-"
_OBJECTS = "objects"


@dataclass(frozen=True)
class Swept:
    """An object that was deleted, or would be."""

    path: str
    """Relative to the storage's root."""
    bytes: int


def sweep_objects(
    root: Path, is_kept: Callable[[str], bool], *, before: float, dry_run: bool = False
) -> Iterator[Swept]:
    """Delete managed objects that nobody refers to and that nobody stored since a time.

    Parameters
    ----------
    root
        A storage's folder.
    is_kept
        Says of an object's path whether somebody refers to it.
    before
        Objects that were stored or touched at this time (seconds since 1970) or later stay.

    Yields
    ------
    Swept
        Each object that was deleted.

    Examples
    --------
    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> (top / "objects" / "ab").mkdir(parents=True)
    >>> _ = (top / "objects" / "ab" / "abc.txt").write_text("x")
    >>> [swept.path for swept in sweep_objects(top, lambda path: False, before=float("inf"))]
    ['objects/ab/abc.txt']
    """
    for path in sorted((root / _OBJECTS).glob("*/*")):
        if path.name.startswith(TEMPORARY):
            if not dry_run:
                _settle(root, path, is_kept, before)
            continue
        relative = path.relative_to(root).as_posix()
        if is_kept(relative) or _changed(path) >= before:
            continue
        size = _bytes(path)
        if dry_run or _deleted(path, before):
            yield Swept(relative, size)


def _settle(root: Path, path: Path, is_kept: Callable[[str], bool], before: float) -> None:
    """Deal with what a process that died left: an object that was renamed away, or one that was not yet whole."""
    if not path.name.startswith(_DOOMED):
        if _changed(path) < before:
            _delete(path)
        return
    target = path.with_name(path.name.removeprefix(_DOOMED))
    if is_kept(target.relative_to(root).as_posix()) or _changed(path) >= before:
        _put_back(path, target)
    else:
        _delete(path)


def _deleted(path: Path, before: float) -> bool:
    """Rename an object away, look at it once more, and delete it."""
    doomed = path.with_name(_DOOMED + path.name)
    try:
        path.rename(doomed)
    except FileNotFoundError:  # another sweep was faster
        return False
    if _changed(doomed) >= before:
        _put_back(doomed, path)
        return False
    _delete(doomed)
    return True


def _put_back(doomed: Path, target: Path) -> None:
    if target.exists():  # it was stored anew meanwhile
        _delete(doomed)
    else:
        doomed.rename(target)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    """Return when a file, or a folder itself, was last changed or touched; what is gone is recent."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    return sum(os.lstat(Path(top, name)).st_size for top, _, names in os.walk(path) for name in names)
