"""What a format is.

A format reads and writes one kind of file. It is a small class without state; one that lives in another package
is found through the entry-point group ``lakehouse.formats`` and should pass
:class:`formats.testing.FormatConformance`.
"""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lakehouse.errors import InvalidFile, LakehouseError, NotFound, UnknownFormat, Unsupported, shown

__all__ = ["ColumnInfo", "Description", "Format", "is_instance_of", "new_file", "new_path", "reading"]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column, or another named part of a file, and its type.

    Examples
    --------
    >>> ColumnInfo("age", "int64")
    ColumnInfo(name='age', dtype='int64')
    """

    name: str
    dtype: str
    """Such as ``int64``, ``float32``, ``string``, ``bool``, ``category`` or ``timestamp[ns]``; arrays add their
    layout and shape, as in ``float32 csr (700, 765)``."""

    storage: str = field(default="", compare=False)
    """How an array lies there, such as ``chunks (100, 765), gzip``; empty where nothing is to be said."""

    def __repr__(self) -> str:
        storage = f", storage={self.storage!r}" if self.storage else ""
        return f"ColumnInfo(name={self.name!r}, dtype={self.dtype!r}{storage})"


@dataclass(frozen=True, slots=True)
class Description:
    """What a file holds, found without loading its data."""

    format: str
    """The format's name."""

    kind: str
    """``dataframe``, ``AnnData``, ``MuData``, ``SOMA``, ``array``, ``group``, ``json``, ``folder`` or ``blob``."""

    n_rows: int | None = None
    """Rows or observations; ``None`` where counting them would mean reading a large file."""

    shape: tuple[int, ...] | None = None
    """``(rows, columns)`` or ``(n_obs, n_vars)``; ``None`` where a length is unknown."""

    columns: tuple[ColumnInfo, ...] = ()
    """The columns of a table, in order."""

    slots: Mapping[str, tuple[ColumnInfo, ...]] = field(default_factory=dict)
    """The parts of an AnnData: ``X``, ``obs``, ``var``, ``layers``, ``obsm``, ..., only those that hold something; of a MuData, those of each modality as ``rna/obs``."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else the file says of itself: compression, row groups, an image's width, ...; plain values."""

    read_names: Callable[[str], list[str]] | None = field(default=None, repr=False, compare=False)
    """Reads the names of an axis, ``obs`` or ``var``, where there are axes."""

    @property
    def obs_names(self) -> list[str] | None:
        """Names of the observations, read now; ``None`` where there are none."""
        return self.read_names("obs") if self.read_names else None

    @property
    def var_names(self) -> list[str] | None:
        """Names of the variables, read now; ``None`` where there are none."""
        return self.read_names("var") if self.read_names else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold.

        Examples
        --------
        >>> Description("parquet", "dataframe", 2, (2, 1), (ColumnInfo("a", "int64"),)).as_dict()["columns"]
        [{'name': 'a', 'dtype': 'int64'}]
        """
        return {
            "format": self.format,
            "kind": self.kind,
            "n_rows": self.n_rows,
            "shape": list(self.shape) if self.shape is not None else None,
            "columns": _plain(self.columns),
            "slots": {name: _plain(parts) for name, parts in self.slots.items()},
            "attributes": dict(self.attributes),
        }


class Format(ABC):
    """Reads and writes one kind of file.

    Subclasses set the class variables and write the four abstract methods. Paths are local files; whoever calls
    brings remote ones near first, and makes what was written durable.
    """

    name: ClassVar[str]
    """Short and lower case, such as ``parquet``."""

    kind: ClassVar[str]
    """What :attr:`Description.kind` says of its files."""

    suffixes: ClassVar[tuple[str, ...]]
    """Lower case with the dot; the first is the default."""

    empty_suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes under which a file without bytes is one of this format, such as a table without columns."""

    types: ClassVar[tuple[str, ...]] = ()
    """Dotted names of the classes that it writes. Names, so that no heavy package is loaded to compare."""

    def accepts(self, obj: object) -> bool:
        """Tell whether this format writes such an object."""
        return any(is_instance_of(obj, name) for name in self.types)

    def dump(self, obj: object, *, suffix: str | None = None) -> bytes | None:
        """Serialise a small object in memory, or return ``None`` where a file is the better way.

        Parameters
        ----------
        obj
            What :meth:`accepts` admits.
        suffix
            Which of :attr:`suffixes` to serialise for; the first if not given.
        """
        self.check_accepts(obj)
        return None

    @abstractmethod
    def write(self, obj: object, path: Path) -> None:
        """Write an object to a new file; equal objects give equal bytes.

        Raises
        ------
        UnknownFormat
            The object, or something inside it, cannot be stored in this format.
        """

    @abstractmethod
    def load(self, path: Path) -> Any:
        """Read a whole file into memory.

        Raises
        ------
        InvalidFile
            The bytes are not what the format demands, or declare more than the machine's memory.
        NotFound
            There is no such file.
        """

    @abstractmethod
    def open(self, path: Path) -> Any:
        """Return a lazy or backed object that reads what it needs when it needs it."""

    @abstractmethod
    def describe(self, path: Path) -> Description:
        """Say what a file holds, without loading its data."""

    def load_as(self, path: Path, form: str) -> Any:
        """Read a whole file in another library's form: ``pandas``, ``polars``, ``arrow`` or ``numpy``.

        Raises
        ------
        Unsupported
            This file has no such form.
        """
        raise Unsupported(f"{self.name} is read as it is, not as {shown(form)}: leave as_ out")

    def open_as(self, path: Path, form: str) -> Any:
        """Return a lazy object in another library's form, where there is one.

        Raises
        ------
        Unsupported
            This format has no such form.
        """
        raise Unsupported(f"{self.name} is opened in one form, not as {shown(form)}: leave as_ out")

    def edit(self, path: Path) -> AbstractContextManager[Any]:
        """Return what opens a file or folder for writing, and closes it with all that was written.

        Parameters
        ----------
        path
            A copy that belongs to the caller.

        Raises
        ------
        Unsupported
            This format is written whole.
        """
        raise Unsupported(f"{self.name} is written whole: load it, and save the result under the same key")

    def reads_remote(self, path: Path) -> bool:
        """Tell whether ``open``, ``describe`` and ``recognizes`` take a :class:`formats.remotepath.RemotePath`.

        They then read ranges of what lies in a bucket; otherwise it is copied whole first.
        """
        return False

    def recognizes(self, path: Path) -> bool:
        """Tell from a few kilobytes whether a file or folder is of this format.

        It is asked where a suffix may mean several things, and of every folder; it never raises for what it finds.
        """
        return False

    def table(self, path: Path) -> Any:
        """Return the rows for SQL as a ``pyarrow.dataset.Dataset`` or ``pyarrow.Table``, or ``None``."""
        return None

    def plain_sql(self, path: Path) -> str | None:
        """Return a ``SELECT`` by which DuckDB alone reads the rows that :meth:`table` gives, or ``None``."""
        return None

    def check_accepts(self, obj: object) -> None:
        """Raise :class:`~lakehouse.errors.UnknownFormat` unless this format writes such an object."""
        if not self.accepts(obj):
            kinds = ", ".join(self.types) or "nothing"
            raise UnknownFormat(f"{self.name} does not write {_type_name(obj)}; it writes {kinds}")

    def __repr__(self) -> str:
        return f"<format {self.name} {' '.join(self.suffixes)}>"


def is_instance_of(obj: object, dotted: str) -> bool:
    """Tell whether an object is of a class that is named, without importing the class's package.

    If the package is not loaded, no object of its classes can exist.

    Examples
    --------
    >>> from pathlib import PurePath
    >>> is_instance_of(PurePath("x"), "pathlib.PurePath"), is_instance_of(1, "not_loaded.Thing")
    (True, False)
    """
    module, _, name = dotted.rpartition(".")
    loaded = sys.modules.get(module)
    cls = getattr(loaded, name, None) if loaded else None
    return isinstance(cls, type) and isinstance(obj, cls)


_SIGNATURES = (
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file such as .h5ad"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"PK\x03\x04", "a zip archive"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
)


@contextmanager
def reading(path: Path, name: str) -> Iterator[None]:
    """Turn whatever a parser raises on hostile bytes into :class:`~lakehouse.errors.InvalidFile`.

    Parameters
    ----------
    path
        The file being read, named in the message.
    name
        The format's name.
    """
    try:
        yield
    except (LakehouseError, MemoryError, PermissionError, Warning):
        raise
    except Exception as error:  # foreign bytes may provoke anything in a parser
        if not path.exists():
            raise NotFound(f"no file at {shown(str(path))}") from error
        detail = (str(error).splitlines() or [""])[0][:200]
        raise InvalidFile(f"{shown(str(path))} cannot be read as {name}: {detail}{_looks_like(path, name)}") from error


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Remove what was begun if writing it fails."""
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """Remove the file or folder that was begun if writing it fails."""
    try:
        yield path
    except BaseException:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        raise


def _looks_like(path: Path, name: str) -> str:
    if path.is_dir():
        return "; some of its files may be damaged or missing"
    start = _first_bytes(path)
    if not start:
        return "; it is empty"
    for signature, what in _SIGNATURES:
        if start.startswith(signature) and name not in what.lower():
            return f"; it looks like {what}: give it the suffix it should have"
    return "; it may be damaged or carry the wrong suffix"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _type_name(obj: object) -> str:
    cls = type(obj)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _plain(columns: tuple[ColumnInfo, ...]) -> list[dict[str, str]]:
    return [
        {"name": column.name, "dtype": column.dtype} | ({"storage": column.storage} if column.storage else {})
        for column in columns
    ]
