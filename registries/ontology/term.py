"""What all biological registries share: an identity that is the same everywhere, synonyms, and where a row comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lakehouse.errors import InputError, did_you_mean, shown
from lakehouse.ids import derived_uid
from registries.column import Column, Reference, column, reference
from registries.names import check_name
from registries.record import Record, Saved

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["SCOPES", "Entry", "Term"]

SCOPES = ("EXACT", "NARROW", "BROAD", "RELATED")
"""What a synonym may be to its term; also ``PREVIOUS``, for names that a gene once had."""


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

    def identity(self) -> tuple[str, ...] | None:
        """Return what identifies the entry everywhere, or None where it has no public identity."""
        found = self.value(self.identity_field)
        return None if found is None else (found,)

    def own_uid(self) -> str:
        """Return the uid that follows from its identity, or else from its name."""
        public = self.identity()
        return entry_uid(self.meta.name, *public) if public else entry_uid(self.meta.name, "name", self.label)

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
            if scope not in (*SCOPES, "PREVIOUS"):
                raise InputError(
                    f"synonym scope {shown(scope)} is not known{did_you_mean(scope, (*SCOPES, 'PREVIOUS'))}"
                )
        if len(scopes) > len(names):
            raise InputError(f"{self.meta.name} is given {len(scopes)} synonym_scopes for {len(names)} synonyms")
        self._values["synonym_scopes"] = scopes

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the row of the same identity; of an entry without one, that of the same name."""
        if self.identity() is not None:
            return snapshot.get(self.meta.table, self.own_uid())
        rows = snapshot.lookup(self.meta.table, self.label_field, [self.value(self.label_field)]).to_pylist()
        return min(rows, key=lambda row: (row["obsolete"], row["uid"]), default=None)

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row under the uid of its identity; a name that an entry once had keeps that one's uid."""
        own = self.own_uid()
        if txn.snapshot.get(self.meta.table, own) is None:
            return super().plan_insert(txn, home, own, fresh=False)
        return super().plan_insert(txn, home, uid, fresh=fresh)


class Term(Entry, abstract=True):
    """A term of an ontology: an entry with a definition and parents."""

    ontology_id: Column[str | None] = column(doc="Public identifier such as CL:0000084.", default=None)
    name: Column[str] = column(doc="The name that its source prefers, in Unicode normal form C.")
    definition: Column[str | None] = column(doc="What it means.", default=None)
    is_a: Column[list[str]] = column(doc="uids of the terms that it is a kind of.", default=())
    part_of: Column[list[str]] = column(doc="uids of the terms that it is a part of.", default=())

    @property
    def parent_uids(self) -> list[str]:
        """The uids of its direct parents: what it is a kind of, then what it is a part of."""
        return list(dict.fromkeys([*self.is_a, *self.part_of]))


def entry_uid(registry: str, *identity: str) -> str:
    """Return the uid of a public entry, which is the same in every instance.

    Examples
    --------
    >>> entry_uid("CellType", "CL:0000084")
    'QsTGvz1GZuSOzWQh0000'
    """
    return derived_uid(registry, *identity)
