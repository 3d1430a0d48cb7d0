"""Where bytes lie."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Self

from formats.remote import READ_ONLY
from lakehouse.errors import InputError, ReadOnly, shown
from lakehouse.types import Progress
from registries.column import Column, column
from registries.names import check_name
from registries.places import OWN_STORAGE, storage_root
from registries.record import Record, Saved
from registries.registering import registered

# A user's part before @, or a query such as that of a presigned URL.
_SECRET = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/+([^/]*@|.*\?.)", re.DOTALL)

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["DEFAULT", "Storage"]

_log = logging.getLogger("lakehouse")

DEFAULT = "default"
"""The role of the storage that new artifacts go to."""


class Storage(Record, natural=("root",)):
    """A root under which artifacts lie.

    Every instance has one of its own; others are registered and then named when an artifact is saved. What
    ``memory://name`` holds is gone when the process ends: its artifacts are then lost, and say so when they are read.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> scratch = lake.Storage(root="memory://scratch").save()
    >>> scratch.kind
    'memory'
    >>> lake.Artifact(b"1", key="a.txt", storage=scratch).save().load()
    b'1'
    >>> lake.close()
    """

    _asked: bool = True

    root: Column[str] = column(
        doc="Folder or URL; relative to the instance where it lies inside, so that a moved instance stays whole.",
        unique=True,
    )
    kind: Column[str] = column(doc="Protocol: file, memory, s3, ...", init=False)
    description: Column[str | None] = column(doc="What is kept there.", default=None)
    role: Column[str | None] = column(doc="'default' for the one that new artifacts go to.", default=None, init=False)

    def make_default(self) -> Self:
        """Let artifacts that are saved without ``storage=`` go here, whoever saves them; return the record.

        Those that are saved already stay where they are. The instance's own storage becomes the default again by its
        own record: ``Storage.get(root="storage").make_default()``.

        Raises
        ------
        ReadOnly
            When it is a web server, which stores nothing.
        """
        self.refuse_reading_only()
        home = self.home_of()
        if not self.is_saved:
            raise InputError(f"{self!r} is not saved: call its save() first")

        def plan(txn: Transaction) -> None:
            mine = txn.snapshot.get("storage", self.uid) or self.to_row()
            before = txn.snapshot.lookup("storage", "role", [DEFAULT]).to_pylist()
            others = [row for row in before if row["uid"] != self.uid]
            row = mine | {"role": DEFAULT}
            txn.upsert("storage", [row, *(other | {"role": None} for other in others)], as_read=[mine, *others])
            self.settle(Saved(row), home)

        # serializable, so that of two choices made at once one is made on seeing the other
        with home.transaction(f"default storage: {self.root}", serializable=True):
            home.change([self], plan)
        return self

    def refuse_reading_only(self) -> None:
        """Raise ``ReadOnly`` when nothing can be stored here, since it is a web server."""
        if self.root.startswith(READ_ONLY):
            raise ReadOnly(
                f"{shown(self.root)} is a web server and is only read, so that new artifacts cannot go there: choose a "
                "folder or a bucket, which `lakehouse storage list` shows, or 'storage', the instance's own"
            )

    def register(self, prefix: str = "", *, progress: Progress | None = None) -> list[Artifact]:
        """Save an artifact for every file that lies here, in one commit, and return them; nothing is copied.

        Keys are paths relative to the root. A folder such as ``x.zarr`` is one artifact; hidden files and objects that
        an instance keeps here are passed over, and what is registered already is the same record again. Hashes are
        those that a bucket has, where it has some.

        Parameters
        ----------
        prefix
            A folder below the root; all of it, where none is given.
        progress
            Is told of the files that are done.

        Raises
        ------
        NotFound
            When no file lies there.
        InvalidFile
            When some are not what their suffixes say; nothing is saved then.
        """
        if not self.is_saved:
            raise InputError(f"{self!r} is not saved: call its save() first")
        return registered(self, prefix, progress)

    @classmethod
    def own(cls, kind: str) -> Self:
        """Return the record of an instance's own storage, which has this protocol."""
        record = cls(root=OWN_STORAGE, description="This instance's own storage.")
        record._values["kind"] = kind
        return record

    def assign(self, declared: Column[Any], value: Any) -> None:
        """Set a column; a root with a secret is refused at once, before a message or a notebook shows it."""
        if declared.name == "root" and isinstance(value, str):
            _refuse_secret(value)
        super().assign(declared, value)

    def unasked(self) -> Self:
        """Return the record, whose store is not asked when it is saved: it may be out of reach from here."""
        self._asked = False
        return self

    def prepare(self, home: Instance) -> None:
        """Ask the store of a root that is new here whether it is there.

        Raises
        ------
        NotFound, Unavailable, ConfigurationError, Unsupported
            When it is not, cannot be reached, or is of a kind that nothing here reads.
        """
        if self.is_saved or not self._asked or "://" not in self.root or self.root.startswith("file:"):
            return  # a folder is made when it is needed
        self.check()
        if len(home.snapshot().lookup("storage", "root", [self.root])):
            return
        home.refuse_reading_only()
        if not home.stores.ask(self.root) and not self.root.startswith(READ_ONLY):
            _log.warning(
                "these credentials may not list %s: files there are read and registered by name, not all at once",
                self.root,
            )

    def check(self) -> None:
        """Check the root: everyone who reads the instance reads it, so it may hold no secret."""
        super().check()
        _refuse_secret(self.root)
        check_name(self.root, "Storage.root")
        self._values["kind"], self._values["root"] = storage_root(self.root, self.home_of().root)


def _refuse_secret(root: str) -> None:
    if _SECRET.search(root):
        scheme = root.partition(":")[0]
        raise InputError(
            f"Storage.root {shown(scheme + '://')}… holds a key, a password or a signature, which everyone who "
            "reads the instance would see: leave it out, and give it to the machine's environment"
        )
