"""The stores of an instance: what storage records stand for, and which of them an artifact goes to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from formats.remote import check_url, is_remote
from formats.storage import Storage as ObjectStore
from lakehouse.errors import InputError, InvalidKey, RecordNotFound, did_you_mean, shown
from lakehouse.ids import derived_uid
from registries.names import is_utf8
from registries.places import OWN_STORAGE, storage_root
from registries.storage import DEFAULT, Storage

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance
    from registries.writing import Writer

__all__ = ["Stores"]


class Stores:
    """Opens the stores that an instance's storage records name, each once.

    Parameters
    ----------
    home
        The instance.
    writer
        Its writer, which knows what every save needs and has been saved.
    """

    def __init__(self, home: Instance, writer: Writer) -> None:
        self._home, self._writer = home, writer
        self.own = self._store(OWN_STORAGE)
        """The instance's own, a folder below its root."""
        self.own_uid = derived_uid("storage", home.lake.id, OWN_STORAGE)
        self._opened: dict[str, ObjectStore] = {OWN_STORAGE: self.own}

    def of(self, uid: str) -> ObjectStore:
        """Return the store of a storage record.

        Raises
        ------
        RecordNotFound
            When there is no such record.
        Unsupported
            When nothing here reads a root of its protocol.
        """
        if uid == self.own_uid:
            return self.own
        row = self._home.snapshot().get("storage", uid)
        if row is None:
            raise RecordNotFound(f"no storage has the uid {shown(uid)}: Storage.filter().df() lists them")
        return self._at(row["root"])

    def _at(self, root: str) -> ObjectStore:
        if (known := self._opened.get(root)) is None:
            known = self._opened[root] = self._store(root)
        return known

    def ask(self, root: str) -> bool:
        """Make sure that a root is there before it is recorded; False where it cannot be listed."""
        return self._store(root).ask()

    def _store(self, root: str) -> ObjectStore:
        place = root if "://" in root or os.path.isabs(root) else f"{self._home.root}/{root}"  # noqa: PTH117
        return ObjectStore(place, options=self._home.remote)

    def default(self) -> tuple[str, ObjectStore]:
        """Return uid and store of the storage that artifacts go to when they name none."""
        snapshot = self._home.lake.snapshot(tables=["storage"])
        if not len(found := snapshot.lookup("storage", "role", [DEFAULT])):
            return self.own_uid, self.own
        row = found.slice(0, 1).to_pylist()[0]
        return (self.own_uid, self.own) if row["uid"] == self.own_uid else (row["uid"], self._at(row["root"]))

    def make_default(self, storage: str) -> Storage:
        """Let artifacts that name no storage go to this one, given by its root or uid; return its record."""
        home = self._home
        uid, _ = self._named(storage)
        if uid == self.own_uid:
            home.run(lambda txn: self.ensured(txn, uid))
        return home.Storage.get(uid).make_default()

    def chosen(self, storage: object) -> tuple[str, ObjectStore]:
        """Return uid and store of what an artifact's ``storage=`` names: a record, its uid or its root.

        Raises
        ------
        RecordNotFound
            When it is not registered.
        InputError
            When it is something else.
        """
        if storage is None:
            return self.default()
        if isinstance(storage, Storage):
            if not storage.is_saved or storage.home_of() is not self._home:
                raise InputError(f"{storage!r} is not saved in the instance at {self._home.root}: save it there first")
            return storage.uid, self.of(storage.uid)
        if not isinstance(storage, str):
            raise InputError(f"storage = {shown(storage)}: a Storage, its root or its uid is accepted")
        return self._named(storage)

    def _named(self, text: str) -> tuple[str, ObjectStore]:
        rows = self._rows()
        _, root = storage_root(text, self._home.root)
        for row in rows:
            if text in (row["uid"], row["root"]) or root == row["root"]:
                return row["uid"], self._at(row["root"])
        known = [row["root"] for row in rows]
        shape = text.partition("://")[0] + "://…" if "://" in text else text  # the rest may hold a secret
        raise RecordNotFound(
            f"storage {shown(shape)} is not registered{did_you_mean(text, known)}: "
            "Storage(root=...).save() registers it"
        )

    def _rows(self) -> list[dict[str, str]]:
        found = self._home.snapshot().rows("storage").select(["uid", "root", "kind"]).to_pylist()
        return found if any(row["uid"] == self.own_uid for row in found) else [*found, self._own_row]

    @property
    def _own_row(self) -> dict[str, str]:
        return {"uid": self.own_uid, "root": OWN_STORAGE, "kind": self.own.protocol}

    def all(self) -> list[ObjectStore]:
        """Return the stores of all storage records, and the instance's own."""
        return [self._at(row["root"]) for row in self._rows()]

    def holding(self, path: str | os.PathLike[str]) -> tuple[str, ObjectStore, str] | None:
        """Return uid, store and relative path of the innermost registered folder that holds a file, if one does.

        A file whose name is not UTF-8 is in none: a column of text could not hold its path.
        """
        found: list[tuple[str, ObjectStore, str]] = []
        for row in self._rows():
            store = self._at(row["root"]) if row["kind"] == "file" else None
            inside = store.relative(path) if store is not None and store.local else None
            if store is not None and inside is not None and is_utf8(inside):
                found.append((row["uid"], store, inside))
        return min(found, key=lambda place: len(place[2]), default=None)

    def holding_url(self, url: str) -> tuple[str, ObjectStore, str]:
        """Return uid, store and relative path of the innermost registered storage that holds a remote file.

        Raises
        ------
        InvalidKey
            When the URL holds a secret, or no registered storage holds it.
        """
        found: list[tuple[str, ObjectStore, str]] = []
        for row in self._rows():
            store = self._at(row["root"])
            inside = store.relative(check_url(url)) if is_remote(store.root) else None
            if inside is not None:
                found.append((row["uid"], store, inside))
        if not found:
            check_url(url)
            raise InvalidKey(
                f"{shown(url)} lies in no registered storage: Storage(root=...).save() registers its bucket or a prefix of "
                "it, or download the file first"
            )
        return min(found, key=lambda place: len(place[2]))

    def ensured(self, txn: Transaction, uid: str) -> str:
        """Return the uid of a storage, with the row of the instance's own in the same transaction if there is none."""
        if uid == self.own_uid and self._writer.is_new("storage", uid, txn):
            self._home.Storage.own(self.own.protocol).plan_insert(txn, self._home, uid, fresh=False)
        return uid
