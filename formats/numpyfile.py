"""NumPy's own files: ``.npy`` for an array, ``.npz`` for several by name. Pickled objects are refused.

``open`` of a ``.npy`` is a memory map; of an ``.npz`` it is an ``NpzFile``, which reads each array when it is asked
for.
"""

from __future__ import annotations

import ast
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from formats.base import ColumnInfo, Description, Format, new_file, reading
from formats.convert import convert
from formats.limits import refuse_bomb, refuse_oversize
from formats.opened import closing
from lakehouse.errors import InvalidFile, UnknownFormat, Unsupported, shown

__all__ = ["NpyFormat", "NpzFormat"]

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 1 << 20
_MAX_RATIO = 1100
"""What deflate reaches at most."""


class NpyFormat(Format):
    """One array; ``describe`` reads the header, some hundred bytes.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.npy"
    >>> NpyFormat().write(np.ones((2, 3)), path)
    >>> NpyFormat().describe(path).shape
    (2, 3)
    """

    name: ClassVar[str] = "npy"
    kind: ClassVar[str] = "array"
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)
    types: ClassVar[tuple[str, ...]] = ("numpy.ndarray",)

    def write(self, obj: object, path: Path) -> None:
        """Write an array."""
        self.check_accepts(obj)
        import numpy as np

        _refuse_objects(obj, "an array")
        with new_file(path), path.open("wb") as file:
            np.save(file, obj, allow_pickle=False)  # type: ignore[arg-type]

    def load(self, path: Path) -> Any:
        """Return the array."""
        import numpy as np

        with reading(path, self.name), path.open("rb") as file:
            _checked(file, path, path.stat().st_size)
            file.seek(0)
            return np.load(file, allow_pickle=False)

    def load_as(self, path: Path, form: str) -> Any:
        """Return it as ``numpy``, or as a table where it has one or two dimensions."""
        return convert(self.load(path), form, path)

    def open(self, path: Path) -> Any:
        """Return a memory map for reading."""
        import numpy as np

        with reading(path, self.name):
            with path.open("rb") as file:
                shape, _ = _checked(file, path, path.stat().st_size)
            if math.prod(shape) == 0:  # there is nothing to map
                return closing(np.load(path, allow_pickle=False))
            return closing(np.load(path, mmap_mode="r", allow_pickle=False))

    @contextmanager
    def edit(self, path: Path) -> Iterator[Any]:
        """Yield a memory map for reading and writing; its shape and type stay."""
        import numpy as np

        with reading(path, self.name), path.open("rb") as file:
            shape, _ = _checked(file, path, path.stat().st_size)
        if math.prod(shape) == 0:
            raise Unsupported(f"{shown(str(path))} is empty, so there is nothing to change in it")
        mapped = np.load(path, mmap_mode="r+", allow_pickle=False)
        yield mapped
        mapped.flush()

    def describe(self, path: Path) -> Description:
        """Read the header."""
        with reading(path, self.name), path.open("rb") as file:
            shape, dtype = _header(file)
            _refuse_short(shape, dtype, path.stat().st_size - file.tell())
        rows = shape[0] if shape else None
        return Description(self.name, self.kind, rows, shape, _fields(dtype), attributes={"dtype": _name(dtype)})


class NpzFormat(Format):
    """Several arrays by name; ``describe`` reads the directory and a header per array.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.npz"
    >>> NpzFormat().write({"a": np.arange(3)}, path)
    >>> NpzFormat().describe(path).columns
    (ColumnInfo(name='a', dtype='int64 (3,)'),)
    """

    name: ClassVar[str] = "npz"
    kind: ClassVar[str] = "array"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)
    types: ClassVar[tuple[str, ...]] = ("builtins.dict",)

    def write(self, obj: object, path: Path) -> None:
        """Write a dict of arrays, compressed."""
        self.check_accepts(obj)
        import io

        import numpy as np

        assert isinstance(obj, dict)
        for name, array in obj.items():
            if not isinstance(name, str) or not name or "/" in name or "\\" in name or name.startswith("."):
                raise UnknownFormat(f"{shown(name)} is no name for an array in .npz: use plain text")
            if not isinstance(array, np.ndarray):
                raise UnknownFormat(f"{shown(name)} is a {type(array).__name__}: .npz holds NumPy arrays")
            _refuse_objects(array, shown(name))
        with new_file(path), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, array in obj.items():
                data = io.BytesIO()
                np.save(data, array, allow_pickle=False)
                info = zipfile.ZipInfo(f"{name}.npy")  # with the time 1980, so that equal arrays are equal bytes
                info.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(info, data.getvalue())

    def load(self, path: Path) -> Any:
        """Return a dict of arrays."""
        with self.open(path) as opened, reading(path, self.name):
            return {name: opened[name] for name in opened.files}

    def open(self, path: Path) -> Any:
        """Return an ``NpzFile``; it closes at the end of a ``with`` block."""
        import numpy as np

        with reading(path, self.name):
            headers = _members(path)
            total = sum(math.prod(shape) * _size(dtype) for _, (shape, dtype) in headers)
            refuse_oversize(path, total)
            for name, (_, dtype) in headers:
                _refuse_pickles(dtype, path, name)
            return np.load(path, allow_pickle=False)

    def describe(self, path: Path) -> Description:
        """Read the header of each array."""
        with reading(path, self.name):
            columns = tuple(ColumnInfo(name, f"{_name(dtype)} {shape}") for name, (shape, dtype) in _members(path))
        return Description(self.name, self.kind, columns=columns)


def _members(path: Path) -> list[tuple[str, tuple[tuple[int, ...], Any]]]:
    with zipfile.ZipFile(path) as packed:
        found = []
        for info in packed.infolist():
            if info.filename.startswith("/") or ".." in info.filename.split("/") or "\\" in info.filename:
                raise InvalidFile(f"{shown(str(path))} has a member that climbs out, {shown(info.filename)}")
            if info.file_size > 1 << 20 and info.file_size > info.compress_size * _MAX_RATIO:
                refuse_bomb(path)
            with packed.open(info) as file:
                found.append((info.filename.removesuffix(".npy"), _header(file)))  # type: ignore[arg-type]
        return found


def _header(file: BinaryIO) -> tuple[tuple[int, ...], Any]:
    """Return shape and type that a file states, without evaluating what it says."""
    start = file.read(8)
    if not start.startswith(_MAGIC) or len(start) < 8:
        raise ValueError("it does not begin as .npy does")
    width = "<H" if start[6] == 1 else "<I"
    (length,) = struct.unpack(width, file.read(struct.calcsize(width)))
    if length > _MOST_HEADER:
        raise ValueError(f"its header claims {length} bytes")
    header = file.read(length)
    if len(header) < length:
        raise ValueError("it ends within its header")
    stated = ast.literal_eval(header.decode("utf-8" if start[6] == 3 else "latin-1").strip())
    shape = stated["shape"]
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"its header claims the shape {shape!r}")
    return shape, stated["descr"]


def _checked(file: BinaryIO, path: Path, size: int) -> tuple[tuple[int, ...], Any]:
    shape, dtype = _header(file)
    _refuse_pickles(dtype, path, path.name)
    refuse_oversize(path, math.prod(shape) * _size(dtype))
    _refuse_short(shape, dtype, size - file.tell())
    return shape, dtype


def _refuse_short(shape: tuple[int, ...], dtype: Any, left: int) -> None:
    declared = 0 if _native(dtype).hasobject else math.prod(shape) * _size(dtype)
    if declared > left:
        raise ValueError(f"its header claims {declared:,} bytes of data, it has {left:,}")


def _native(dtype: Any) -> Any:
    import numpy as np

    return np.lib.format.descr_to_dtype(dtype)


def _size(dtype: Any) -> int:
    return int(_native(dtype).itemsize)


def _name(dtype: Any) -> str:
    native = _native(dtype)
    if native.hasobject:
        return "object"
    return "compound" if native.names else "string" if native.kind in "SU" else str(native.name)


def _fields(dtype: Any) -> tuple[ColumnInfo, ...]:
    native = _native(dtype)
    return tuple(ColumnInfo(name, str(native[name])) for name in native.names or ())


def _refuse_objects(obj: Any, what: str) -> None:
    if obj.dtype.hasobject:
        raise UnknownFormat(f"{what} of {obj.dtype} holds Python objects, which only pickles could: convert it first")


def _refuse_pickles(dtype: Any, path: Path, name: str) -> None:
    if _native(dtype).hasobject:
        raise InvalidFile(
            f"{shown(str(path))} holds pickled objects in {shown(name)}, which could run any program: have it written "
            "anew with plain types, such as texts as dtype 'U'"
        )
