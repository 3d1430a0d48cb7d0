"""Artifacts: files, folders, tables and arrays under a key, with versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from formats import keys
from formats.pixels import ImageFile
from formats.remote import is_remote
from formats.storage import Storage as ObjectStore
from formats.storage_remote import managed_hash
from lakehouse.engine.requirements import LookupUntouched
from lakehouse.errors import InputError, InvalidKey, shown
from lakehouse.ids import stem, version_of, with_version
from lakehouse.types import Progress
from registries.annotate import Labels
from registries.column import Column
from registries.content import Content, Source
from registries.describe import ArtifactDescription, describe
from registries.features import Features
from registries.label import ULabel
from registries.lineage.difference import Difference, difference_of
from registries.lineage.edges import INPUT, OUTPUT
from registries.lineage.lookups import LINEAGE, made_by
from registries.lineage.traced import Traced
from registries.lineage.withdrawal import Withdrawal, withdrawal_of
from registries.meta import Link, Lookup
from registries.record import Record, Saved
from registries.relocate import copied, moved
from registries.retrieve import live, newest
from registries.storage import Storage as StorageRecord
from registries.stored import Stored

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["Artifact", "File"]

_LATEST = (
    '"deleted_at" is null and "uid" in '
    '(select max("uid") from "artifact" where "deleted_at" is null group by substr("uid", 1, 16))'
)
_READERS = {
    "read_by": Link(INPUT, "artifact", "subject", "run"),
    "recreated_by": Link(OUTPUT, "artifact", "subject", "run"),
}


class Artifact(
    Stored,
    Traced,
    unique=(("key", "version"),),
    derived={"is_latest": _LATEST},
    links=_READERS,
):
    """A file, folder, table or array, kept whole and never changed; new content under a key is a new version.

    Parameters
    ----------
    source
        The path of a file or of a folder that is one thing (a zarr store, a TileDB array, ...), or a pandas, Polars,
        pyarrow, AnnData, MuData, NumPy or zarr object, or bytes. What lies in a registered storage is registered where it is, the rest is
        copied.
    key
        The name that it is found by, such as ``raw/pbmc.h5ad``.
    storage
        Where the bytes are to lie: a storage record, its root or its uid. Where none is given, the default: the
        instance's own, unless :meth:`Storage.make_default` chose another.
    description
        What it is.
    suffix
        Overrides the suffix of the file, or of the key for an object.
    format
        Overrides the format that goes with the suffix; ``"blob"`` keeps bytes without reading them.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> first = lake.Artifact(b"1", key="a.txt").save()
    >>> second = lake.Artifact(b"2", key="a.txt").save()
    >>> first.version, second.version, second.is_latest
    (0, 1, True)
    >>> lake.Artifact.get(key="a.txt").load()
    b'2'
    >>> lake.close()
    """

    _computed: ClassVar[Mapping[str, Lookup]] = {**LINEAGE, "made_by": made_by}
    _source: Source | None = None
    _content: Content | None = None
    _target: str | StorageRecord | None = None  # the storage that was asked for
    _place: tuple[str, ObjectStore] | None = None  # uid and store of where the content is to lie
    _progress: Progress | None = None
    _relatives: pa.Table | None = None  # the rows of all versions, between looking and inserting
    _revises: str | None = None  # the stem of what it is the next version of, where there is no key

    def __init__(
        self,
        source: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        suffix: str | None = None,
        format: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> None:
        if source is None or isinstance(source, Record | int | float):
            raise InputError(f"Artifact({shown(source)}): the path of a file or an object in memory is accepted")
        super().__init__(key=key, description=description)
        for name, value in (("suffix", suffix), ("format", format)):
            if value is not None and not isinstance(value, str):
                raise InputError(
                    f"Artifact.{name} = {shown(value)} is a {type(value).__name__}: str or None is accepted"
                )
        self._source, self._target = Source(source, suffix, format), storage

    @classmethod
    def from_df(  # type: ignore[override]  # of records elsewhere, of an artifact here
        cls,
        df: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        suffix: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> Self:
        """Return the artifact of a pandas or Polars DataFrame or a pyarrow Table; parquet unless the key says more."""
        if not (hasattr(df, "columns") or hasattr(df, "column_names")) or hasattr(df, "obs"):
            raise InputError(f"from_df({shown(df)}): a pandas or Polars DataFrame or a pyarrow Table is accepted")
        return cls(df, key=key, description=description, suffix=suffix, storage=storage)

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        suffix: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> Self:
        """Return the artifact of a pyarrow Table; parquet unless the key says more."""
        if not hasattr(table, "column_names") or not hasattr(table, "schema"):
            raise InputError(f"from_arrow({shown(table)}): a pyarrow Table is accepted")
        return cls(table, key=key, description=description, suffix=suffix, storage=storage)

    @classmethod
    def from_anndata(
        cls,
        adata: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> Self:
        """Return the artifact of an AnnData object; h5ad unless the key says more."""
        if not hasattr(adata, "obs"):
            raise InputError(f"from_anndata({shown(adata)}): an AnnData object is accepted")
        return cls(adata, key=key, description=description, storage=storage)

    @classmethod
    def from_mudata(
        cls,
        mdata: Any,
        *,
        key: str | None = None,
        description: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> Self:
        """Return the artifact of a MuData object; h5mu unless the key says more."""
        if not hasattr(mdata, "mod"):
            raise InputError(f"from_mudata({shown(mdata)}): a MuData object is accepted")
        return cls(mdata, key=key, description=description, storage=storage)

    @classmethod
    def from_image(
        cls,
        path: str | os.PathLike[str],
        *,
        key: str | None = None,
        description: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> Self:
        """Return the artifact of an image's pixels as an array store in zarr, which ``open()`` reads in parts.

        Its axes are ``y``, ``x`` and, for colours, ``c``; the layers of a TIFF come first, as ``z``. Needs Pillow.
        ``Artifact(path)`` keeps the file itself.
        """
        image = ImageFile(keys.check_source(path))
        return cls(image, key=key, description=description, storage=storage)

    @classmethod
    def from_dir(
        cls,
        path: str | os.PathLike[str],
        *,
        key: str | None = None,
        description: str | None = None,
        suffix: str | None = None,
        format: str | None = None,
        storage: str | StorageRecord | None = None,
    ) -> Self:
        """Return the artifact of a folder that is one thing, such as a zarr store; its files are kept together."""
        if not keys.check_source(path, folders=True).is_dir():
            raise InputError(f"from_dir({shown(os.fspath(path))}): that is a file, which Artifact(path) takes")
        return cls(path, key=key, description=description, suffix=suffix, format=format, storage=storage)

    def assign(self, declared: Column[Any], value: Any) -> None:
        """Set a column; the key of a saved artifact stays."""
        if declared.name == "key" and self.is_saved:
            raise InputError(f"{self!r} keeps its key: save its content under another one instead")
        super().assign(declared, value)

    # Saving

    def check(self) -> None:
        """Check the key."""
        if self.key is not None:
            self._values["key"] = keys.check_key(self.key)

    def save(self, *, near: bool | None = None, progress: Progress | None = None) -> Self:
        """Save the artifact: hash its content, store it once, and commit it with all its rows.

        Parameters
        ----------
        near
            Whether to warn on the log of keys that are close to its own.
        progress
            Is told of the bytes done, first of hashing, then of storing.

        Raises
        ------
        InvalidKey, InvalidFile, UnknownFormat, NotFound
            When the key, the bytes or the path are not admitted.
        """
        self._progress = progress
        try:
            return super().save(near=near)
        finally:
            self._progress = None

    def prepare(self, home: Instance, progress: Progress | None = None) -> None:
        """Hash and describe the content, before any transaction begins."""
        if self.is_saved or self._content is not None or self._source is None:
            return
        home.refuse_reading_only()
        self.check()
        lies_at = self._find_place(home, self._source)
        assert self._source is not None
        if self._content is None:
            self._content = self._source.read(self.key, lies_at, progress or self._progress)
        if self.key is None and self._content.lies_at is not None:
            self._values["key"] = _implied_key(self._content.lies_at)

    def _find_place(self, home: Instance, source: Source) -> str | None:
        """Settle where the content is to lie; return its path there if it does so already."""
        if not source.is_path:
            if self._target is not None:  # else it is the default of the moment that it is stored at
                self._place = home.stores.chosen(self._target)
            return None
        self._place = home.stores.chosen(self._target)
        if isinstance(source.given, str) and is_remote(source.given):
            return self._find_remote(home, source)
        path = keys.check_source(source.given, folders=True)
        if path.is_dir() and isinstance(home.root, Path) and home.root.is_relative_to(path.resolve()):
            raise InvalidKey(f"{shown(str(path))} holds this instance itself: name a folder beside it")
        found = home.stores.holding(path)
        if found is None or (self._target is not None and found[0] != self._place[0]):
            return None
        self._place = found[:2]
        return found[2]

    def _find_remote(self, home: Instance, source: Source) -> str:
        """Settle that what is remote stays where it lies; where its store has no hash of it, a copy is hashed."""
        uid, store, inside = home.stores.holding_url(source.given)
        if self._target is not None and self._place is not None and self._place[0] != uid:
            raise InvalidKey(f"{shown(source.given)} stays where it lies: leave storage= out, or download it first")
        self._place, self._content = (uid, store), source.in_store(store, inside, self.key)
        if self._content is None:
            self._source = replace(source, given=store.local_path(inside))
        return inside

    def release(self) -> None:
        """Let go of the object and its bytes."""
        self._source = self._content = self._target = self._place = None

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the row that the same content has under the same key, or, without a key, under any.

        Its bytes are there: lost ones are put back; where that cannot be done, the row is not returned.
        """
        content = self._content
        if content is None:
            return None
        family = self._family(snapshot)
        latest = newest(live(family))
        if latest is not None:
            found = latest if content.equals(latest) and self._is_whole(latest, content) else None
        else:
            found = None if self.key is not None or self._revises else self._equal(snapshot, content)
        self._relatives = family if found is None else None
        return found

    def settle(self, saved: Saved, home: Instance) -> None:
        """Take over the row that was saved or found; content that a run makes once more is an output of that run, too."""
        if saved.found and self._content is not None and not self.is_saved:
            home.tracking.recreated(saved.row)
        super().settle(saved, home)

    def _family(self, snapshot: Snapshot) -> pa.Table:
        """Return the rows of all versions, with those in the trash."""
        if self.key is not None:
            return snapshot.lookup("artifact", "key", [self.key])
        if self._revises is None:
            return snapshot.schema("artifact").empty_table()
        family = 'select * from "artifact" where starts_with("uid", ?)'
        return snapshot.arrow(family, [self._revises], ["artifact"])

    def _equal(self, snapshot: Snapshot, content: Content) -> dict[str, Any] | None:
        """Return the row of the same content, of the same suffix where there is one."""
        if not content.size:
            return None  # empty files never merge: they are equal by accident
        if not len(found := live(snapshot.lookup("artifact", "hash", [content.hash]))):
            return None
        rows: list[dict[str, Any]] = found.to_pylist()
        if content.lies_at is None:  # what is handed over is kept, and not left to a file that somebody may change
            rows = [row for row in rows if managed_hash(row["path"]) is not None]
        rows.sort(key=lambda row: (row["suffix"] != content.suffix, row["created_at"], row["uid"]))
        return next((row for row in rows if self._is_whole(row, content)), None)

    def _shared(self, snapshot: Snapshot, content: Content) -> dict[str, Any] | None:
        """Return a row whose stored object serves for the content, too: readers go by the suffix of its path."""
        found = self._equal(snapshot, content)
        return found if found is not None and found["suffix"] == content.suffix else None

    def _is_whole(self, row: dict[str, Any] | None, content: Content) -> bool:
        if row is None:
            return False
        return content.restore(self.home_of().stores.of(row["storage"]), row, self._progress)

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row: a new key begins a family, new content under a known key is its next version."""
        content = self._content
        if content is None:
            raise InputError(f"{self!r} has no content: make it with Artifact(path or object)")
        family = self._relatives  # as find() saw it in this very plan, a moment ago
        latest = newest(self._family(txn.snapshot) if family is None else family)
        self._relatives = None
        if latest is not None:
            uid, fresh = with_version(latest["uid"], latest["version"] + 1), False
        if self.key is None and self._revises is None and content.size:
            # no name makes two meet that save the same at one moment: a row of this content that came since does
            txn.require(LookupUntouched("artifact", "hash", frozenset([content.hash]), frozenset()))
        self._values.update(self._stored(txn, home, content), version=version_of(uid))
        return super().plan_insert(txn, home, uid, fresh=fresh)

    def _stored(self, txn: Transaction, home: Instance, content: Content) -> dict[str, Any]:
        """Return the columns that the content fills; its bytes are durable when this returns."""
        wanted, store = self._place or home.stores.chosen(self._target)
        txn.storing()
        shared = None if content.lies_at else self._shared(txn.snapshot, content)
        if shared is not None and (self._target is None or shared["storage"] == wanted):
            place = {"storage": shared["storage"], "path": shared["path"]}
        else:
            place = {"path": content.put(store, self._progress), "storage": home.stores.ensured(txn, wanted)}
        return place | {
            "suffix": content.suffix,
            "format": content.format,
            "kind": content.kind,
            "size": content.size,
            "hash": content.hash,
            "hash_kind": content.hash_kind,
            "n_rows": content.n_rows,
            "n_files": content.n_files,
        }

    def replace(
        self, source: Any, *, suffix: str | None = None, format: str | None = None, progress: Progress | None = None
    ) -> Self:
        """Save other content as the next version, and return that; the old version stays as it is.

        Parameters
        ----------
        source, suffix, format
            As for ``Artifact(...)``.
        progress
            Is told of the bytes done.
        """
        home = self._need_saved().home_of()
        made = home.bound(type(self))(
            source, key=self.key, description=self.description, suffix=suffix, format=format, storage=self.storage
        )
        made._revises = None if self.key is not None else stem(self.uid)
        return made.save(progress=progress)

    # Other storages

    def move_to(self, storage: str | StorageRecord, *, progress: Progress | None = None) -> Self:
        """Take the bytes to another storage; key, versions, labels and provenance stay.

        Snapshots of before read them where they were: a vacuum frees those of the instance's own storage once no
        commit that is retained refers to them.

        Parameters
        ----------
        storage
            A storage record, its root or its uid.
        progress
            Is told of the bytes done.

        Raises
        ------
        DataLoss, InvalidFile
            When the bytes are gone or are not those that were saved; nothing is changed.
        ChangedSinceRead
            When somebody else changed the artifact since it was read.
        """
        moved(self._need_saved(), storage, progress)
        return self

    def copy_to(self, storage: str | StorageRecord, *, key: str, progress: Progress | None = None) -> Artifact:
        """Save the same content under a further key in another storage, with description and labels; return that.

        Parameters
        ----------
        storage
            A storage record, its root or its uid.
        key
            Of the copy.
        progress
            Is told of the bytes done.
        """
        return copied(self._need_saved(), storage, key, progress)

    # Lineage

    def compare_lineage(self, other: Artifact) -> Difference:
        """Return what tells the lineage of two artifacts apart: inputs, parameters, code and packages."""
        return difference_of(self._need_saved().home_of(), self, other)

    def withdrawal(self) -> Withdrawal:
        """Return what would break if it were withdrawn: all that came of it, and who ran that; nothing is done."""
        return withdrawal_of(self._need_saved().home_of(), self)

    # Labels and description

    def describe(self) -> ArtifactDescription:
        """Return what is recorded of it and what it holds, without loading its data."""
        self._need_saved()
        return describe(self)

    @property
    def labels(self) -> Labels:
        """The labels that it carries, of all registries."""
        return Labels(self)

    @property
    def ulabels(self) -> Labels:
        """The universal labels that it carries."""
        return Labels(self, ULabel)

    @property
    def features(self) -> Features:
        """The values of features, and what was measured."""
        return Features(self)


File = Artifact
"""The name of 2023."""


def _implied_key(lies_at: str) -> str | None:
    """Return the key of a file that was registered in place: its path, unless it is a managed object."""
    return None if lies_at.startswith("objects/") else keys.check_key(lies_at)
