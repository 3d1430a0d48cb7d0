"""What artifacts have in common: bytes that lie in a storage under a key, in versions, whole and never changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Self, TypeVar, overload

from formats.registry import by_name
from formats.storage import Storage as ObjectStore
from lakehouse.errors import InputError
from lakehouse.ids import stem
from lakehouse.types import Progress
from registries.column import MISSING, Column, Reference, column, reference
from registries.editing import Edit, check_mode
from registries.record import Record
from registries.safeguards import refuse_member
from registries.trash import destroyed, restored, trashed
from registries.whereabouts import readable, staged

__all__ = ["ObjectPath", "Stored"]

T = TypeVar("T")


class ObjectPath(Column[Any]):
    """Text relative to the storage's root in the table; on a record, the place in the local file system."""

    @overload
    def __get__(self, record: None, owner: type) -> ObjectPath: ...
    @overload
    def __get__(self, record: Record, owner: type) -> Path: ...
    def __get__(self, record: Record | None, owner: type) -> ObjectPath | Path:
        return record.located() if isinstance(record, Stored) else self


class Stored(Record, abstract=True):
    """A record whose bytes lie in a storage."""

    key: Column[str | None] = column(doc="Name in POSIX form; versions share it.", default=None)
    description: Column[str | None] = column(doc="What it is.", default=None)
    suffix: Column[str] = column(doc="Suffix of the stored bytes, such as .csv.gz; may be empty.", init=False)
    format: Column[str] = column(doc="Format that reads it: parquet, csv, h5ad, blob, ...", init=False)
    kind: Column[str] = column(doc="dataframe, AnnData, array or blob.", init=False)
    size: Column[int] = column(doc="Bytes.", init=False)
    hash: Column[str] = column(doc="Hash of the whole content, lower-case base32.", init=False)
    hash_kind: Column[str] = column(doc="How the hash was made.", init=False)
    n_rows: Column[int | None] = column(doc="Rows or observations.", init=False)
    n_files: Column[int | None] = column(doc="Files of a folder; null for one file.", init=False)
    storage: Reference[str] = reference("storage", doc="Where the bytes lie.", init=False)
    path: ObjectPath = ObjectPath(
        default=MISSING,
        doc="Where they lie, relative to the storage's root; on a record, in the local file system.",
        unique=False,
        init=False,
        references=None,
    )
    version: Column[int] = column(doc="Counts the contents of a key; the first is 0.", init=False)
    deleted_at: Column[dt.datetime | None] = column(
        doc="When it was moved to the trash, UTC; null for what is live.", default=None, init=False
    )

    # Reading

    def located(self) -> Path:
        """Return where the bytes lie in the local file system; those that lie elsewhere are copied first.

        Raises
        ------
        DataLoss
            When they are gone, or what was registered in place has other content now. Of a folder with more than
            10,000 files only its presence is checked.
        """
        return staged(self._need_saved())

    def stage(self, *, progress: Progress | None = None) -> Path:
        """Return where the bytes lie in the local file system; remote ones are copied to the cache, and checked.

        The same as :attr:`path`, for large ones: a copy that breaks off is taken up again by the next call.

        Parameters
        ----------
        progress
            Is told of the bytes that are copied.
        """
        return self._noted(staged(self._need_saved(), progress))

    def _noted(self, found: T) -> T:
        """Note that the content was read, and return what came of it."""
        self.home_of().note_read(self)
        return found

    def place(self) -> tuple[ObjectStore, str]:
        """Return the store that holds the bytes, and where in it they lie."""
        return self._need_saved().home_of().stores.of(self.storage), self._values["path"]

    def load(self, *, as_: str | None = None) -> Any:
        """Return the whole content in memory: a pandas DataFrame, an AnnData, an array, or bytes.

        Parameters
        ----------
        as_
            Another form: ``pandas``, ``polars``, ``arrow`` or ``numpy``.

        Raises
        ------
        Unsupported
            When the content has no such form; the message has the choices.
        """
        fmt = by_name(self._need_saved().format)
        return self._noted(fmt.load(self.path) if as_ is None else fmt.load_as(self.path, as_))

    def open(self, *, mode: str = "r", as_: str | None = None) -> Any:
        """Return the content lazily: a Polars LazyFrame, a backed AnnData, a handle on arrays, or an open file.

        It closes at the end of a ``with`` block. What lies in a bucket and has no copy here is read there, in the
        parts that are asked for, where its format can do that and it has more than 4 MB.

        Parameters
        ----------
        mode
            ``"r"``, or ``"r+"`` for changing arrays, AnnData and files in a ``with`` block: a copy is opened for
            writing, and saved as the next version at the end. See :class:`registries.editing.Edit`.
        as_
            Another form, for tables: ``polars``, ``arrow`` (a dataset) or ``duckdb`` (a relation, which is closed
            with its ``close()``).
        """
        check_mode(mode, as_)
        fmt = by_name(self._need_saved().format)
        if mode == "r+":
            return self._noted(Edit(self))
        path = readable(self, fmt)
        return self._noted(fmt.open(path) if as_ is None else fmt.open_as(path, as_))

    def backed(self, *, mode: str = "r", as_: str | None = None) -> Any:
        """Return the content lazily; the same as :meth:`open`."""
        return self.open(mode=mode, as_=as_)

    def _need_saved(self) -> Self:
        if not self.is_saved:
            raise InputError(f"{self!r} is not saved: call its save() first")
        return self

    # Versions and trash

    @property
    def versions(self) -> list[Self]:
        """All versions that are not in the trash, the first one first."""
        home = self._need_saved().home_of()
        return home.bound(type(self)).filter(uid__startswith=stem(self.uid)).order_by("uid").all()

    @property
    def is_latest(self) -> bool:
        """Whether it is not in the trash, and no newer version is outside."""
        home = self._need_saved().home_of()
        family = home.bound(type(self)).filter(uid__startswith=stem(self.uid)).order_by("-uid").first()
        return family is not None and family.uid == self.uid

    def delete(self, *, permanent: bool = False) -> None:
        """Move it to the trash, where ``filter``, ``get(key=)`` and the view ``artifact`` no longer see it.

        Parameters
        ----------
        permanent
            Delete it for good with its labels, values and sets. Its bytes are freed by a vacuum once nothing that is
            retained refers to them; files that were registered where they lie stay.

        Raises
        ------
        StillReferenced
            When something else refers to what is to be deleted for good.
        ChangedSinceRead
            When somebody else changed it since it was read.
        """
        if permanent:
            destroyed(self._need_saved(), lambda txn: refuse_member(self, txn.snapshot))
        else:
            trashed(self._need_saved())

    def restore(self) -> Self:
        """Take it out of the trash."""
        restored(self._need_saved())
        return self
