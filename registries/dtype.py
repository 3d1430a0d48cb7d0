"""The type of a feature's values, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registries.binding import REGISTRIES

if TYPE_CHECKING:
    from registries.record import Record

__all__ = ["SCALARS", "Choice", "DType"]

SCALARS = ("int", "float", "str", "bool", "date", "datetime", "json", "cat")
"""What stands alone."""


@dataclass(frozen=True)
class Choice:
    """A registry whose records are values of a categorical, and the look-ups that they meet."""

    table: str
    lookups: tuple[tuple[str, Any], ...] = ()

    @property
    def registry(self) -> type[Record]:
        """The registry, not bound to an instance."""
        return REGISTRIES[self.table]

    def __str__(self) -> str:
        name = self.registry.__name__
        inner = ", ".join(f"{lookup}={value!r}" for lookup, value in self.lookups)
        return f"{name}({inner})" if inner else name


@dataclass(frozen=True)
class DType:
    """The type of a feature's values.

    Attributes
    ----------
    kind
        One of ``SCALARS``, or ``vector``.
    choices
        Of a categorical, where its values are looked for, in this order; empty for any label.
    length
        Of a vector.
    many
        Whether a value is a list of these.

    Examples
    --------
    >>> str(DType("vector", length=3)), str(DType("int", many=True))
    ('vector[3]', 'list[int]')
    """

    kind: str
    choices: tuple[Choice, ...] = ()
    length: int | None = None
    many: bool = False

    @property
    def is_categorical(self) -> bool:
        """Whether its values are records."""
        return self.kind == "cat"

    def __str__(self) -> str:
        inner = "|".join(map(str, self.choices)) or (str(self.length) if self.length else "")
        text = f"{self.kind}[{inner}]" if inner else self.kind
        return f"list[{text}]" if self.many else text
