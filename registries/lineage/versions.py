"""Which transform a source is: found by name and content, or made as the next version."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from formats.keys import check_key
from lakehouse.errors import InputError, InvalidKey, shown
from lakehouse.ids import STEM, UID, is_uid, new_uid, stem, version_of, with_version
from registries.lineage.source import Source
from registries.names import check_name
from registries.record import Saved

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Wanted", "check_pin", "ensured"]

_log = logging.getLogger("lakehouse")


@dataclass(frozen=True)
class Wanted:
    """What a transform is to be.

    Attributes
    ----------
    source
        What is executed.
    pin
        A uid: of 20 characters for that very version, whatever the source is; of 16 for the versions that begin so,
        whatever the source is called.
    version
        The version, where the caller counts them.
    description
        What it does.
    key
        What it is called; default: as its source.
    """

    source: Source
    pin: str | None = None
    version: str | None = None
    description: str | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.key or self.source.name

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the row that it has already."""
        rows = self._family(snapshot)
        digest = self.source.hash
        if self.pin is not None and len(self.pin) == UID:
            return self._pinned(next((row for row in rows if row["uid"] == self.pin), None))
        if self.version is not None:
            return self._pinned(next((row for row in rows if row["version"] == self.version), None))
        same = [row for row in rows if row["source_hash"] == digest or digest is None]
        return max(same, key=lambda row: str(row["uid"]), default=None)

    def _pinned(self, row: dict[str, Any] | None) -> dict[str, Any] | None:
        if row is not None and self.source.hash not in (None, row["source_hash"]) and row["source_hash"] is not None:
            _log.warning(
                "the source of %s changed, and version %s is kept as asked: runs tell by source_hash what they ran",
                shown(row["name"]),
                row["version"],
            )
        return row

    def _family(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        if self.pin is not None:
            family = 'select * from "transform" where starts_with("uid", ?)'
            found: list[dict[str, Any]] = snapshot.arrow(family, [self.pin[:STEM]], ["transform"]).to_pylist()
        else:
            found = snapshot.lookup("transform", "name", [self.name]).to_pylist()
        return found

    def make(self, txn: Transaction, home: Instance, source: Artifact | None) -> dict[str, Any]:
        """Insert its row: the first version, or the one after the newest."""
        rows = self._family(txn.snapshot)
        newest = max((row["uid"] for row in rows), default=None)
        if self.pin is not None and len(self.pin) == UID:
            uid = self.pin
        elif newest is not None:
            uid = self._free(rows, newest)
        else:
            uid = with_version(self.pin, 0) if self.pin is not None else new_uid()
        taken = {row["version"] for row in txn.snapshot.lookup("transform", "name", [self.name]).to_pylist()}
        taken |= {row["version"] for row in rows}
        number = 1 + max((int(one) for one in taken if one.isdecimal() and len(one) < 10), default=0)
        made = home.Transform(
            name=self.name,
            kind=self.source.kind,
            version=self.version or str(number),
            description=self.description,
            source_hash=self.source.hash,
            source=source.uid if source is not None else None,
            repository=self.source.repository.remote if self.source.repository is not None else None,
        )
        made.check()
        saved: Saved = made.plan_insert(txn, home, uid, fresh=newest is None and self.pin is None)
        return saved.row

    def _free(self, rows: list[dict[str, Any]], newest: str) -> str:
        """Return the uid after the newest of the same stem; rows made by hand have stems of their own."""
        family = [row["uid"] for row in rows if stem(row["uid"]) == stem(newest)]
        return with_version(newest, version_of(max(family)) + 1)


def check_pin(uid: object) -> str | None:
    """Return a uid that a transform is to have, whole or its stem.

    Raises
    ------
    InputError
        When it is neither.
    """
    if uid is None:
        return None
    if isinstance(uid, str) and (is_uid(uid) or is_uid(uid + "0" * (UID - STEM))):
        return uid
    raise InputError(
        f"uid = {shown(uid)}: a uid of {UID} characters pins a version, its first {STEM} what all versions share"
    )


def ensured(home: Instance, wanted: Wanted) -> tuple[dict[str, Any] | None, Artifact | None]:
    """Return the row of a transform if it is there, else the artifact of its source, made ready to be saved."""
    check_name(wanted.name, "Transform.name")
    row = wanted.find(home.snapshot())
    if row is not None or wanted.source.data is None:
        return row, None
    name = wanted.source.file_name
    if wanted.source.path is None:
        name = wanted.name.replace("::", "/") + ".py"
    artifact = home.Artifact(wanted.source.data, key=_key(name), description=f"Source of {name}", format="blob")
    artifact.prepare(home)
    return None, artifact


def _key(name: str) -> str | None:
    try:
        return check_key(f"source/{name}")
    except InvalidKey:  # a file's name may hold what a key may not
        return None
