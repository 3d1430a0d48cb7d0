"""What all biological registries share: an identity that is the same everywhere, synonyms, and where a row comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lakehouse.errors import InputError, did_you_mean, shown
from lakehouse.types import Progress, StrPath
from registries.column import Column, Reference, column, reference
from registries.names import check_name
from registries.ontology.adopting import merged_row, own_like, take_places
from registries.ontology.entry_set import EntrySet, entries_for
from registries.ontology.identity import SCOPES, entry_uid
from registries.ontology.importing import Imported, Wanted, import_source
from registries.ontology.nearby import nearby
from registries.ontology.parents import Hierarchical
from registries.ontology.public import PublicEntries, public_entries
from registries.ontology.upgrade import Upgrade, planned
from registries.record import Record, Saved

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["Entry", "Term"]


class Entry(Record, abstract=True):
    """A row of a biological registry, whose uid follows from its public identity.

    The uid of a public entry is computed from its registry and identifier, and so the same in every instance; one
    without an identifier is known by its name.
    """

    label_field: ClassVar[str] = "name"
    """The column that people know an entry by, and that values are compared with."""
    identity_field: ClassVar[str] = "ontology_id"
    """The column that holds the public identifier."""

    synonyms: Column[list[str]] = column(doc="Other names, of all scopes.", default=())
    synonym_scopes: Column[list[str]] = column(
        doc="For each synonym, in order: EXACT, NARROW, BROAD, RELATED or PREVIOUS.", default=()
    )
    alternative_ids: Column[list[str]] = column(doc="Identifiers that were merged into this one.", default=())
    obsolete: Column[bool] = column(doc="Whether its source has withdrawn it.", default=False)
    replaced_by: Column[str | None] = column(doc="Identifier that its source gives in its stead.", default=None)
    source: Reference[str | None] = reference(
        "source", doc="The source and version that it was taken from; null for what users add.", default=None
    )

    # Public sources

    @classmethod
    def import_source(
        cls,
        version: str | None = None,
        *,
        source: str | None = None,
        organism: str | None = None,
        path: StrPath | None = None,
        format: str | None = None,
        progress: Progress | None = None,
        enrich: bool = False,
    ) -> Imported:
        """Import a whole public source, in one transaction; entries that are there already stay as they are.

        Parameters
        ----------
        version
            As its publisher writes it; the pinned or newest one, where none is given.
        source
            Its short name such as ``"cl"``; the first that is known for this registry, where none is given.
        organism
            A common name such as ``"human"``, where sources are of one organism.
        path
            A file of the caller's own, or the URL of one; it is read as it is.
        format
            How the file is read: obo, owl, obographs, cxg, ...; what it begins with decides, where none is given.
        progress
            Is told of the bytes downloaded.
        enrich
            Whether entries that are there get the synonyms that the source knows, and values where they have none.

        Returns
        -------
        Imported
            How many entries were added and kept, and which parents the source lacks.

        Raises
        ------
        RecordNotFound
            When there is no such source or version; the message lists those that there are.
        Unavailable
            When it is not on this machine and cannot be downloaded; the message names the other ways.
        InvalidFile
            When the file is not what it should be.
        """
        wanted = Wanted(
            version=version,
            source=source,
            organism=organism,
            path=path,
            format=format,
            progress=progress,
            enrich=enrich,
        )
        return import_source(cls, wanted)

    @classmethod
    def public(
        cls,
        version: str | None = None,
        *,
        source: str | None = None,
        organism: str | None = None,
        path: StrPath | None = None,
        format: str | None = None,
    ) -> PublicEntries:
        """Return the entries of a public source, to look at; nothing is imported. Parameters as for :meth:`import_source`."""
        wanted = Wanted(version=version, source=source, organism=organism, path=path, format=format)
        return public_entries(cls, wanted)

    @classmethod
    def at_hand(cls, organism: str | Record | None) -> Callable[[], PublicEntries] | None:
        """Return what reads the entries of the source that would be imported from; None where no file of it is here."""
        name = organism if isinstance(organism, str) or organism is None else str(organism.value("name"))
        return nearby(cls, cls.home(), name)

    @classmethod
    def upgrade_source(
        cls,
        version: str | None = None,
        *,
        source: str | None = None,
        organism: str | None = None,
        path: StrPath | None = None,
        format: str | None = None,
        progress: Progress | None = None,
    ) -> Upgrade:
        """Return what another version of a source would change; ``apply()`` of that does it, in one commit.

        uids, links and synonyms that users added stay. Parameters as for :meth:`import_source`, except that the newest version that is known is meant, where none is given.

        Raises
        ------
        InputError
            When nothing of the source is in the registry.
        """
        wanted = Wanted(version=version, source=source, organism=organism, path=path, format=format, progress=progress)
        return planned(cls, wanted)

    @classmethod
    def from_values(  # type: ignore[override]  # out of a public source, too
        cls,
        values: Iterable[str],
        *,
        version: str | None = None,
        source: str | None = None,
        organism: str | None = None,
        path: StrPath | None = None,
    ) -> EntrySet[Self]:
        """Return the records for values: those of the registry, else new ones from the public source.

        ``save()`` of what is returned saves the new ones with all that is above them, in one commit.

        Parameters
        ----------
        values
            Names or identifiers; exact synonyms are understood where they are clear.
        version, source, organism, path
            As for :meth:`import_source`.
        """
        return entries_for(cls, values, Wanted(version=version, source=source, organism=organism, path=path))

    # Identity

    @classmethod
    def plain(cls, value: str) -> str:
        """Return a value as it is looked up; registries take off what does not belong to an identifier."""
        return value

    def identity(self) -> tuple[str, ...] | None:
        """Return what identifies the entry everywhere, or None where it has no public identity."""
        found = self.value(self.identity_field)
        return None if found is None else (found,)

    def own_uid(self) -> str:
        """Return the uid that follows from its identity, or else from its name."""
        public = self.identity() or ("name", self.label)
        known: tuple[tuple[str, ...], str] | None = vars(self).get("_own")
        if known is None or known[0] != public:  # saving asks for it three times
            known = vars(self)["_own"] = public, entry_uid(self.meta.name, *public)
        return known[1]

    @property
    def label(self) -> str:
        """What people know it by."""
        return str(self.value(self.label_field) or self.value(self.identity_field))

    def synonyms_of(self, scope: str) -> list[str]:
        """Return the synonyms of one scope.

        Examples
        --------
        >>> from registries import CellType
        >>> CellType(name="T cell", synonyms=["T lymphocyte"], synonym_scopes=["EXACT"]).synonyms_of("EXACT")
        ['T lymphocyte']
        """
        return [name for name, one in zip(self.synonyms, self.synonym_scopes, strict=False) if one == scope]

    def check(self) -> None:
        """Check names, synonyms and their scopes."""
        super().check()
        where = f"{self.meta.name}.{self.label_field}"
        if self.value(self.label_field) is not None:
            self._values[self.label_field] = check_name(self.value(self.label_field), where)
        elif self.identity() is None:
            raise InputError(f"{where} is needed where there is no {self.identity_field}")
        self._check_synonyms()

    def _check_synonyms(self) -> None:
        names, scopes = self.synonyms, list(self.synonym_scopes)
        self._values["synonyms"] = [check_name(name, f"{self.meta.name}.synonyms") for name in names]
        scopes += ["EXACT"] * (len(names) - len(scopes))
        for scope in scopes:
            if scope not in SCOPES:
                raise InputError(f"synonym scope {shown(scope)} is not known{did_you_mean(scope, SCOPES)}")
        if len(scopes) > len(names):
            raise InputError(f"{self.meta.name} is given {len(scopes)} synonym_scopes for {len(names)} synonyms")
        self._values["synonym_scopes"] = scopes

    @classmethod
    def upsert_key(cls, given: Collection[str]) -> tuple[str, ...]:
        """Return the public identifier where a frame has it, else the name, with the organism where that is given."""
        if cls.identity_field in given and cls.identity_field != cls.label_field:
            return (cls.identity_field,)
        return tuple(name for name in (cls.label_field, "organism") if name == cls.label_field or name in given)

    def sought(self) -> list[tuple[str, Any]]:
        """Return the columns by which saving looks for rows, with what it looks for."""
        fields = dict.fromkeys((self.identity_field, self.label_field))
        return [("uid", self.own_uid()), *((name, self.value(name)) for name in fields)]

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the row of the same identity; of an entry without an identifier, that of the same name."""
        table, identifier = self.meta.table, self.value(self.identity_field)
        if self.identity() is not None and (found := snapshot.get(table, self.own_uid())) is not None:
            return found
        if identifier is None:
            rows = snapshot.lookup(table, self.label_field, [self.value(self.label_field)]).to_pylist()
            return self._like(rows)
        if self.identity_field == self.label_field:
            return None
        # one that got its identifier later keeps the uid of its name
        return next(iter(snapshot.lookup(table, self.identity_field, [identifier]).to_pylist()), None)

    def _like(self, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Return the row that an entry without an identifier means; of names that several have, a user's own or none."""
        if "organism" not in self.meta.columns:
            return min(rows, key=lambda row: (row["obsolete"], row["uid"]), default=None)
        rows = [row for row in rows if row["organism"] == self.value("organism") and not row["obsolete"]]
        own = [row for row in rows if row[self.identity_field] is None]
        return min(own, key=lambda row: row["uid"]) if own else rows[0] if len(rows) == 1 else None

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row under the uid of its identity; a name that an entry once had keeps that one's uid."""
        own = self.own_uid()
        if txn.snapshot.get(self.meta.table, own) is not None:
            return super().plan_insert(txn, home, uid, fresh=fresh)
        mine = own_like(type(self), txn.snapshot, self.to_row())
        if mine is not None:
            self._values.update(merged_row(self.to_row(), mine))
        saved = super().plan_insert(txn, home, own, fresh=False)
        take_places(type(self), txn, home, {own: mine} if mine is not None else {})
        return saved


class Term(Hierarchical, Entry, abstract=True):
    """A term of an ontology: an entry with a definition and parents."""

    ontology_id: Column[str | None] = column(doc="Public identifier such as CL:0000084.", default=None)
    name: Column[str] = column(doc="The name that its source prefers, in Unicode normal form C.")
    definition: Column[str | None] = column(doc="What it means.", default=None)
