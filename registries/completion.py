"""Names of a registry as attributes, for completion: nothing is loaded before it is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeVar

from lakehouse.engine.scan import quoted
from lakehouse.errors import MultipleFound, UnknownField, shown
from registries.near import near_misses
from registries.query import Query

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["Names", "slug"]

R = TypeVar("R", bound="Record")
_MOST = 10_000


def slug(name: str) -> str:
    """Return a name as an attribute.

    Examples
    --------
    >>> slug("CD8-positive, alpha-beta T cell"), slug("10x 3' v3")
    ('cd8_positive_alpha_beta_t_cell', 'n_10x_3_v3')
    """
    text = re.sub(r"[^0-9a-z]+", "_", name.lower(), flags=re.ASCII).strip("_")
    return f"n_{text}" if not text or text[0].isdigit() else text


class Names(Generic[R]):
    """What ``Registry.lookup()`` returns: ``lookup.t_cell`` or ``lookup["T cell"]`` is the record.

    Completion shows the first 10,000 names.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> _ = lake.ULabel(name="T cell").save()
    >>> lake.ULabel.lookup().t_cell.name
    'T cell'
    >>> lake.close()
    """

    def __init__(self, registry: type[R], home: Instance, field: str) -> None:
        self._registry, self._home, self._field = registry, home, field

    def __getattr__(self, name: str) -> R:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._called(name)
        if not found:
            meta = self._registry.meta
            near = near_misses(self._home.snapshot(), self._registry, self._field, [name.replace("_", " ")])
            raise UnknownField(f"no {meta.name} has a {self._field} like {shown(name)}{near}")
        if len(found) > 1:
            listed = ", ".join(shown(one) for one in found[:5])
            raise MultipleFound(f"{name} may mean {listed}: write lookup[{shown(found[0])}]")
        return self[found[0]]

    def __getitem__(self, name: str) -> R:
        return Query.of(self._registry, self._home).filter(**{self._field: name}).one()

    def _called(self, name: str) -> list[str]:
        """Return the names that become this attribute."""
        text = f"trim(regexp_replace(lower({quoted(self._field)}), '[^0-9a-z]+', '_', 'g'), '_')"
        statement = (
            f"select distinct {quoted(self._field)} as name from {quoted(self._registry.meta.table)} where {text} = ?"
        )
        plain = name.removeprefix("n_")
        rows = self._home.snapshot().arrow(f"{statement} or {text} = ?", [name, plain], [self._registry.meta.table])
        return [found for found in rows["name"].to_pylist() if slug(found) == name]

    def _names(self) -> list[str]:
        field, table = quoted(self._field), self._registry.meta.table
        statement = (
            f"select distinct {field} as name from {quoted(table)} where {field} is not null order by 1 limit {_MOST}"
        )
        names: list[str] = self._home.snapshot().arrow(statement, tables=[table])["name"].to_pylist()
        return names

    def __dir__(self) -> list[str]:
        return sorted({slug(name) for name in self._names()})

    def _ipython_key_completions_(self) -> list[str]:
        return self._names()

    def __repr__(self) -> str:
        return f"<names of {self._registry.meta.name} by {self._field}>"
