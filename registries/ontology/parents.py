"""Records with parents: labels and terms of ontologies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InputError, did_you_mean, shown
from lakehouse.ids import is_uid
from registries.column import Column, column
from registries.ontology.hierarchy import hierarchy_of
from registries.ontology.identity import RELATIONS
from registries.ontology.lookups import HIERARCHY
from registries.ontology.parentage import Parents
from registries.ontology.picture import Picture
from registries.query import Query
from registries.record import Record, Saved

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance
    from registries.meta import Lookup

__all__ = ["Hierarchical"]

_COLUMNS = ("parent_uids", "parent_relations")


class Hierarchical(Record, abstract=True):
    """A record with parents of its own registry, and all that follows from them."""

    _computed: ClassVar[Mapping[str, Lookup]] = HIERARCHY

    parent_uids: Column[list[str]] = column(
        doc="uids of its direct parents, such as the terms that it is a kind of.", default=()
    )
    parent_relations: Column[list[str]] = column(
        doc="For each parent, in order: is_a, part_of, or parent where the source does not tell these apart.",
        default=(),
    )

    def __init__(self, *given: object, parents: Iterable[Self | str] | None = None, **columns: Any) -> None:
        if parents is not None:
            if columns.get(_COLUMNS[0]):
                raise InputError(f"{self.meta.name} is given parents and parent_uids, which are the same: give one")
            columns[_COLUMNS[0]] = list(parents)
        super().__init__(*given, **columns)

    @classmethod
    def is_made_of_columns(cls) -> bool:
        """Return whether a record comes of its columns alone; ``parents`` is another name of one."""
        return cls.__init__ is Hierarchical.__init__

    # Relatives

    @property
    def parents(self) -> Parents[Self]:
        """Its direct parents, with ``add`` and ``remove``; records or uids assigned are saved with the next ``save()``."""
        found = self._relatives().filter(uid__in=self.parent_uids)
        return Parents(**{part.name: getattr(found, part.name) for part in fields(found)}, child=self)

    @parents.setter
    def parents(self, records: Iterable[Self | str]) -> None:
        self.parent_uids = list(records)  # type: ignore[arg-type]  # records become uids in assign()

    @property
    def children(self) -> Query[Self]:
        """The records that have it as a direct parent."""
        return self._relatives().filter(parent_uids__contains=self._saved_uid())

    def ancestors(self) -> Query[Self]:
        """Return the records above it, at any distance."""
        return self._relatives().filter(ancestor_of=self._saved_uid(), uid__ne=self.uid)

    def descendants(self) -> Query[Self]:
        """Return the records below it, at any distance.

        Examples
        --------
        >>> import tempfile
        >>> from registries.instance import Instance
        >>> lake = Instance.create(tempfile.mkdtemp())
        >>> lymphocyte = lake.CellType(name="lymphocyte").save()
        >>> t_cell = lake.CellType(name="T cell", parents=[lymphocyte]).save()
        >>> lymphocyte.descendants().one() == t_cell
        True
        >>> lake.CellType.filter(descendant_of="lymphocyte").count()  # itself, and what is below it
        2
        >>> lake.close()
        """
        return self._relatives().filter(descendant_of=self._saved_uid(), uid__ne=self.uid)

    def ancestor_uids(self) -> list[str]:
        """Return the uids of the records above it, the nearest first; from memory, without reading their rows."""
        home = self.home_of()
        return hierarchy_of(home.snapshot(), self.meta.table).ancestors([self._saved_uid()])

    def descendant_uids(self) -> list[str]:
        """Return the uids of the records below it, the nearest first; from memory, without reading their rows."""
        home = self.home_of()
        return hierarchy_of(home.snapshot(), self.meta.table).descendants([self._saved_uid()])

    def view_parents(self) -> Picture:
        """Return a picture of all that is above it: SVG in a notebook, text when printed, a file with ``save(path)``."""
        rows = [self.to_row(), *self.ancestors().arrow().to_pylist()]
        names = {row["uid"]: row["name"] for row in rows}
        links = {row["uid"]: list(zip(row["parent_uids"], row["parent_relations"], strict=False)) for row in rows}
        return Picture(self._saved_uid(), names, links)

    def _relatives(self) -> Query[Self]:
        home = self.home_of()
        return Query.of(home.bound(type(self)), home)

    def _saved_uid(self) -> str:
        if not self.is_saved:
            raise InputError(f"{shown(self)} is not saved, so nothing is above or below it: call its save() first")
        return self.uid

    # Saving

    def assign(self, declared: Column[Any], value: Any) -> None:
        """Set a column, checking its type; parents may be given as records."""
        if declared.name != _COLUMNS[0]:
            super().assign(declared, value)
            return
        before = dict(zip(self.parent_uids, self.parent_relations, strict=False)) if self.is_saved else None
        if isinstance(value, list | tuple):
            value = [self._uid_of_parent(one) for one in value]
        super().assign(declared, value)
        if before is not None:  # relations stay with their parents
            self._values[_COLUMNS[1]] = [before.get(uid, RELATIONS[0]) for uid in self.parent_uids]

    def _uid_of_parent(self, parent: Any) -> Any:
        if not isinstance(parent, Hierarchical):
            return parent
        if parent.meta.table != self.meta.table:
            raise InputError(f"{self.meta.name}.parent_uids takes a {self.meta.name}, not {shown(parent)}")
        if not parent.is_saved:
            raise InputError(f"{self.meta.name}.parent_uids: {shown(parent)} is not saved: call its save() first")
        vars(self).setdefault("_mentions", []).append(parent)
        return parent.uid

    def check(self) -> None:
        """Check names and relations."""
        super().check()
        self._values["parent_relations"] = self._checked_relations(self.parent_uids, self.parent_relations)

    @classmethod
    def check_columns(cls, columns: pa.Table) -> pa.Table:
        """Return columns with a relation for each parent."""
        names = columns.column_names
        if not any(name in names and pc.sum(pc.list_value_length(columns[name])).as_py() for name in _COLUMNS):
            return columns
        parents, relations = (columns[name].to_pylist() if name in names else [[]] * len(columns) for name in _COLUMNS)
        checked = [cls._checked_relations(*pair) for pair in zip(parents, relations, strict=True)]
        columns = columns.drop_columns([name for name in _COLUMNS[1:] if name in names])
        return columns.append_column(_COLUMNS[1], pa.array(checked, pa.list_(pa.string())))

    @classmethod
    def _checked_relations(cls, parents: Sequence[str], given: Sequence[str]) -> list[str]:
        for uid in parents:
            if not is_uid(uid):
                raise InputError(f"{cls.meta.name}.parent_uids takes records or their uids, not {shown(uid)}")
        if len(given) > len(parents):
            raise InputError(f"{cls.meta.name} is given {len(given)} parent_relations for {len(parents)} parents")
        for relation in given:
            if relation not in RELATIONS:
                raise InputError(f"parent relation {shown(relation)} is not known{did_you_mean(relation, RELATIONS)}")
        return [*given, *[RELATIONS[0]] * (len(parents) - len(given))]

    def plan_save(self, txn: Transaction, home: Instance, *, look: bool = True) -> Saved:
        """Save it, unless it would be above itself."""
        above = []
        if self.parent_uids and self.is_saved and self.parent_uids != self._read["parent_uids"]:
            above = hierarchy_of(txn.snapshot, self.meta.table).above(self.parent_uids).to_pylist()
        saved = super().plan_save(txn, home, look=look)
        if saved.row["uid"] in (*self.parent_uids, *above):
            self._refuse_circle(self.value(self.meta.title))
        return saved

    @classmethod
    def check_rows(cls, snapshot: Snapshot, rows: pa.Table) -> None:
        """Refuse rows, which are written already, that are above themselves."""
        with_parents = rows.filter(pc.greater(pc.list_value_length(rows["parent_uids"]), 0))
        if not len(with_parents):
            return
        for uid in hierarchy_of(snapshot, cls.meta.table).circular(with_parents["uid"].to_pylist()):
            found = with_parents.filter(pc.equal(with_parents["uid"], uid))
            cls._refuse_circle(found[cls.meta.title][0].as_py())

    @classmethod
    def _refuse_circle(cls, name: object) -> None:
        raise InputError(f"{cls.meta.name} {shown(name)} would be above itself: choose other parents")


Hierarchical.columnar = Record.columnar | {Hierarchical.check, Hierarchical.plan_save}
