"""Which registries an instance has, bound to it, and whether they can be written to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import new_class
from typing import Any, TypeVar

from lakehouse.engine import Lake
from lakehouse.errors import OlderFormat, ReadOnly
from registries.binding import REGISTRIES
from registries.record import Record

__all__ = ["BoundRegistries"]

R = TypeVar("R", bound=Record)


class BoundRegistries:
    """What an instance is made of: a lake, and a class for each registry that it has."""

    lake: Lake
    older: str
    _bound: dict[str, type[Record]]

    def bind_all(self, own: Iterable[str]) -> None:
        """Bind the built-in registries, and those of users' own whose tables are given."""
        mine = set(own) | {table for table, registry in REGISTRIES.items() if not registry.meta.origin}
        for table, registry in REGISTRIES.items():
            if table in mine and not (table in self._bound and self._bound[table].meta is registry.meta):
                self._bound[table] = bound = self._bind(registry)
                setattr(self, bound.__name__, bound)

    def has(self, table: str) -> bool:
        """Whether it has a registry."""
        return table in self._bound

    def _bind(self, registry: type[R]) -> type[R]:
        def body(namespace: dict[str, Any]) -> None:
            namespace.update(__doc__=registry.__doc__, __module__=registry.__module__, __slots__=())

        return new_class(registry.__name__, (registry,), {"home": self}, body)

    def bound(self, registry: type[R]) -> type[R]:
        """Return the registry of this instance that corresponds to one which may be bound elsewhere."""
        found: Any = self._bound[registry.meta.table]
        return found  # type: ignore[no-any-return]

    @property
    def root(self) -> Path | str:
        """The folder that it lies in, or the URL of a bucket or web server."""
        return self.lake.root

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return bool(self.lake.read_only)

    def refuse_reading_only(self) -> None:
        """Raise ReadOnly if it was opened for reading only."""
        if self.older:
            raise OlderFormat(
                f"the instance at {self.root} was made by an older version and is open for reading only, as {self.older}: "
                "lh.migrate() brings it up to date"
            )
        if self.read_only:
            raise ReadOnly(
                f"the instance at {self.root} was opened for reading only: lh.connect({str(self.root)!r}) writes"
            )
