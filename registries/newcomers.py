"""New values of a column: public terms are imported with all that is above them, the rest become records of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from registries.vocabulary import organism_of
from validation import Fault

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["add_values", "public_hint"]


def add_values(registry: Any, home: Instance, values: Sequence[str], organism: str | None) -> list[Record]:
    """Save records for values that a registry knows in no spelling, in one commit; return them.

    Parameters
    ----------
    registry
        The registry, bound to ``home``.
    home
        The instance.
    values
        Names; those of public terms, of a source that is on this machine, stand for these in any spelling. What several
        of these go by is left out.
    organism
        Of registries that tell organisms apart.
    """
    options = {"organism": home.Organism.get(organism_of(registry, home, organism))} if organism else {}
    read, own, made = _at_hand(registry, organism), list(values), list[Any]()
    with home.transaction(f"new values of {registry.meta.name}"):
        if read is not None:
            found, several = _public_terms(registry, read(), own)
            own = [value for value in own if value not in found and value not in several]
            if found:
                made += registry.from_values(list(dict.fromkeys(found.values())), organism=organism).save()
        records = [registry(**{registry.meta.title: name, **options}) for name in own]
        home.save(records)
    return [*made, *records]


def _at_hand(registry: Any, organism: str | None) -> Any:
    return registry.at_hand(organism) if hasattr(registry, "at_hand") else None


def _public_terms(registry: Any, entries: Any, values: list[str]) -> tuple[dict[str, str], set[str]]:
    """Return the identifier of the public term that each value means, and the values that mean several."""
    known = entries.vocabulary(fields=(registry.identity_field,))
    found = known.standardize(values, return_field=registry.identity_field, return_mapper=True)
    return found, set(values) - set(found) - set(known.unresolved(values).to_list())


def public_hint(registry: Any, fault: Fault, organism: str | None) -> str | None:
    """Return what to do about a value that a public source on this machine knows; None where it knows none of them."""
    values = [value for value in fault.examples if isinstance(value, str)]
    read = _at_hand(registry, organism) if values else None
    if read is None:
        return None
    entries = read()
    unknown = set(entries.vocabulary().unresolved(values).to_list())
    known = [value for value in values if value not in unknown]
    if not known:
        return None
    return f"{known[0]!r} is in {entries.source}: add_new_from({fault.column!r}) imports it"
