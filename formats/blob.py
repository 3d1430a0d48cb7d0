"""Anything else: images, reads, documents. Stored and hashed as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from formats.base import Description, Format, reading
from formats.image import image_attributes
from formats.limits import refuse_oversize
from formats.pixels import load_pixels

__all__ = ["BlobFormat"]


class BlobFormat(Format):
    """Opaque bytes.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.bin"
    >>> BlobFormat().write(b"abc", path)
    >>> BlobFormat().load(path)
    b'abc'
    """

    name: ClassVar[str] = "blob"
    kind: ClassVar[str] = "blob"
    suffixes: ClassVar[tuple[str, ...]] = ()
    types: ClassVar[tuple[str, ...]] = ("builtins.bytes",)

    def dump(self, obj: object, *, suffix: str | None = None) -> bytes | None:
        """Return the bytes themselves."""
        self.check_accepts(obj)
        assert isinstance(obj, bytes)
        return obj

    def write(self, obj: object, path: Path) -> None:
        """Write bytes."""
        self.check_accepts(obj)
        assert isinstance(obj, bytes)
        path.write_bytes(obj)

    def load(self, path: Path) -> bytes:
        """Return the whole content."""
        with reading(path, self.name):
            refuse_oversize(path, path.stat().st_size, hint="open() reads it piecewise")
            return path.read_bytes()

    def load_as(self, path: Path, form: str) -> Any:
        """Return the pixels of an image as ``numpy``; nothing else has such a form."""
        if form != "numpy" or not self.describe(path).attributes:
            return super().load_as(path, form)
        return load_pixels(path)

    def open(self, path: Path) -> BinaryIO:
        """Return a binary file."""
        with reading(path, self.name):
            return path.open("rb")

    def edit(self, path: Path) -> BinaryIO:
        """Return a binary file for reading and writing."""
        return path.open("r+b")

    def reads_remote(self, path: Path) -> bool:
        """Say yes: what is read."""
        return True

    def describe(self, path: Path) -> Description:
        """Say that it is a blob, and of an image its format, width, height and mode; reads 64 KB at most."""
        with reading(path, self.name):
            return Description(self.name, self.kind, attributes=image_attributes(path))
