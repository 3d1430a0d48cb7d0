"""The direct parents of a record: a query that parents are added to and taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lakehouse.errors import RecordNotFound, shown
from registries.query import Query

if TYPE_CHECKING:
    from registries.ontology.parents import Hierarchical

__all__ = ["Parents"]

H = TypeVar("H", bound="Hierarchical")


@dataclass(frozen=True, repr=False)
class Parents(Query[H]):
    """What ``record.parents`` returns.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> organ, lung = lake.ULabel(name="organ").save(), lake.ULabel(name="lung").save()
    >>> lung.parents.add(organ)
    >>> lung.parents.one().name
    'organ'
    >>> lung.parents.remove(organ)
    >>> lung.parents.count()
    0
    >>> lake.close()
    """

    child: H | None = None

    def add(self, *parents: H | str) -> None:
        """Put the record below others too, records or their uids, and save it; those that it has already stay."""
        child = self._child()
        self._change([*child.parent_uids, *(one for one in parents if self._uid(one) not in child.parent_uids)])

    def remove(self, *parents: H | str) -> None:
        """Take the record from under some of its parents, records or their uids, and save it.

        Raises
        ------
        RecordNotFound
            When one of them is no direct parent.
        """
        child = self._child()
        gone = [self._uid(one) for one in parents]
        if strange := [one for one, uid in zip(parents, gone, strict=True) if uid not in child.parent_uids]:
            raise RecordNotFound(f"{shown(strange[0])} is no direct parent of {shown(child)}: see its parents.all()")
        self._change([uid for uid in child.parent_uids if uid not in gone])

    def _change(self, parents: list[H | str]) -> None:
        child = self._child()
        before = child.state()
        try:
            child.parents = parents
            child.save()
        except BaseException:
            child.go_back(before)
            raise

    def _child(self) -> H:
        assert self.child is not None
        return self.child

    @staticmethod
    def _uid(parent: H | str) -> str:
        return parent if isinstance(parent, str) else parent.uid
