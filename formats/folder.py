"""Any other folder: kept as it is, like a blob that has many files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import ClassVar

from formats.base import ColumnInfo, Description, Format
from lakehouse.errors import NotFound, UnknownFormat, shown

__all__ = ["FolderFormat"]

_LISTED = 1000
"""Files that ``describe`` names; it counts no more than these, since a folder may hold millions."""


class FolderFormat(Format):
    """Opaque folders; ``load`` and ``open`` return the path of the folder.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp())
    >>> _ = (path / "a.txt").write_bytes(b"abc")
    >>> FolderFormat().describe(path).columns
    (ColumnInfo(name='a.txt', dtype='3 bytes'),)
    """

    name: ClassVar[str] = "folder"
    kind: ClassVar[str] = "folder"
    suffixes: ClassVar[tuple[str, ...]] = ()

    def write(self, obj: object, path: Path) -> None:
        """Refuse: a folder is saved from where it lies, with ``Artifact.from_dir``."""
        self.check_accepts(obj)
        raise UnknownFormat(f"a folder is saved by its path, not as {shown(obj)}")

    def load(self, path: Path) -> Path:
        """Return the folder's path; what lies there is not to be changed."""
        if not path.is_dir():
            raise NotFound(f"no folder at {shown(str(path))}")
        return path

    def open(self, path: Path) -> Path:
        """Return the folder's path; the same as :meth:`load`."""
        return self.load(path)

    def describe(self, path: Path) -> Description:
        """Name the first 1,000 files and their sizes; none is read."""
        files = sorted(islice((found for found in self.load(path).rglob("*") if found.is_file()), _LISTED))
        columns = tuple(
            ColumnInfo(found.relative_to(path).as_posix(), f"{found.stat().st_size:,} bytes") for found in files
        )
        return Description(self.name, self.kind, columns=columns)
