"""Which columns of a registry are searched, and how much a hit in each of them counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.errors import InputError, UnknownField, did_you_mean, shown
from registries.column import TEXTS
from registries.meta import own_attribute

if TYPE_CHECKING:
    from registries.meta import Meta

__all__ = ["Fields", "fields_of"]

_PROSE = ("description", "definition")
_OTHER_NAMES = ("name", "key", "symbol", "title", "handle", "root")
_LISTS = ("synonyms", "alternative_ids")


@dataclass(frozen=True)
class Fields:
    """The columns of a registry that are searched."""

    table: str
    names: tuple[str, ...]
    """Columns of one short text each, that by which people call records first."""
    lists: tuple[str, ...]
    """Columns of several names, such as synonyms."""
    prose: tuple[str, ...]
    """Columns of sentences, in which words are looked for."""
    marks: tuple[str, ...] = ()
    """Columns that say that a record counts less or not at all: obsolete, deleted_at."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is searched."""
        return (*self.names, *self.lists, *self.prose)

    @property
    def read(self) -> tuple[str, ...]:
        """Every column that is read."""
        return ("uid", *self.all, *self.marks)

    def weight(self, name: str) -> float:
        """Return how much a name in a column counts: that by which people call a record before its other ones."""
        return 1.0 if name == self.names[0] else 0.99

    def chosen(self, given: str | Iterable[str] | None) -> tuple[str, ...]:
        """Return the columns that a search is to look at.

        Raises
        ------
        UnknownField
            When one is not searched.
        """
        if given is None:
            return self.all
        wanted = (given,) if isinstance(given, str) else tuple(given)
        for name in wanted:
            if name not in self.all:
                raise UnknownField(
                    f"{self.table} is not searched by {shown(name)}{did_you_mean(str(name), self.all)}; "
                    f"choose from {', '.join(self.all)}"
                )
        return wanted


def fields_of(meta: Meta) -> Fields:
    """Return the columns of a registry that are searched.

    Examples
    --------
    >>> from registries import CellType
    >>> fields_of(CellType.meta).names, fields_of(CellType.meta).prose
    (('name', 'ontology_id'), ('definition',))
    """
    texts = [c.name for c in meta.columns.values() if c.python is str and c.references is None and c.name != "uid"]
    lists = tuple(c.name for c in meta.columns.values() if c.python == TEXTS and c.name in _LISTS)
    if meta.title == "uid" or meta.title not in texts:
        raise InputError(f"{meta.name} has no name to search by: filter() looks for values of its fields")
    identity = own_attribute(meta.registry, "identity_field")
    named = [n for n in texts if n in _OTHER_NAMES or n == identity or n.endswith("_id")]
    names = tuple(dict.fromkeys((meta.title, *named)))
    prose = tuple(n for n in texts if n in _PROSE)
    marks = tuple(n for n in ("obsolete", "deleted_at") if n in meta.columns)
    return Fields(meta.table, names, lists, prose, marks)
