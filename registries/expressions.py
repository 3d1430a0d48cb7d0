"""Conditions as values: ``lh.Q(...)`` and what comparing a column gives, combined with ``&``, ``|`` and ``~``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakehouse.errors import InputError, shown

__all__ = ["Q"]


@dataclass(frozen=True, init=False, repr=False)
class Q:
    """A condition out of look-ups, all of which have to hold.

    ``Artifact.size > 1e6`` is ``Q(size__gt=1e6)``.

    Examples
    --------
    >>> Q(suffix=".csv") | ~Q(size__gt=10)
    Q(suffix='.csv') | ~Q(size__gt=10)
    """

    lookups: tuple[tuple[str, Any], ...]
    joint: str
    parts: tuple[Q, ...]

    def __init__(self, *parts: Q, **lookups: Any) -> None:
        for part in parts:
            _check(part)
        self._set(tuple(lookups.items()), "and", parts)

    def _set(self, lookups: tuple[tuple[str, Any], ...], joint: str, parts: tuple[Q, ...]) -> None:
        for name, value in (("lookups", lookups), ("joint", joint), ("parts", parts)):
            object.__setattr__(self, name, value)

    @classmethod
    def _of(cls, joint: str, *parts: Q) -> Q:
        for part in parts:
            _check(part)
        made = cls.__new__(cls)
        made._set((), joint, parts)
        return made

    def __and__(self, other: Q) -> Q:
        return self._of("and", self, other)

    def __or__(self, other: Q) -> Q:
        return self._of("or", self, other)

    def __invert__(self) -> Q:
        return self._of("not", self)

    def __bool__(self) -> bool:
        raise InputError(f"{self!r} has no truth value: combine conditions with &, | and ~, in brackets")

    def __repr__(self) -> str:
        if self.joint == "not":
            return f"~{self.parts[0].bracketed}"
        if self.joint == "or":
            return " | ".join(part.bracketed for part in self.parts)
        own = ", ".join(f"{lookup}={shown(value, 40)}" for lookup, value in self.lookups)
        listed = [f"Q({own})"] if own or not self.parts else []
        return " & ".join(listed + [part.bracketed for part in self.parts])

    @property
    def bracketed(self) -> str:
        """The text in brackets, where it is made of several."""
        several = len(self.parts) > 1 or (self.parts and self.lookups)
        return f"({self!r})" if several else repr(self)


def _check(part: object) -> None:
    if not isinstance(part, Q):
        raise InputError(
            f"{shown(part)} is a {type(part).__name__}: a condition is lh.Q(...), a comparison of a column such as "
            "Artifact.size > 1e6, or these with &, | and ~ in brackets"
        )
