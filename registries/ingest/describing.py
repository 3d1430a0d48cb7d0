"""Describing files, and validating them against a schema."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from formats.registry import by_name
from lakehouse.errors import InvalidData, InvalidFile
from registries.curate import Curator
from registries.curated import collect
from registries.ingest.findings import Finding
from registries.ingest.plan import Plan
from registries.instance import Instance
from registries.parts import opened_parts
from validation import Spec

if TYPE_CHECKING:
    from validation import Report

__all__ = ["described", "share"]

_shared: dict[str, Instance] = {}


def share(home: Instance | None, root: str) -> None:
    """Let workers that are threads of this process use an open instance; None ends that."""
    if home is None:
        _shared.pop(root, None)
    else:
        _shared[root] = home


def described(path: Path, found: Finding, plan: Plan) -> Finding:
    """Return a finding with what its format tells, and whether it conforms to the schema."""
    if found.format == "blob" and (not found.size or plan.spec is None):
        return found
    try:
        if found.format != "blob":
            told = by_name(found.format).describe(path)
            found = found._replace(kind=told.kind, n_rows=told.n_rows)
        return _validated(path, found, plan) if plan.spec is not None else found
    except InvalidFile as error:
        return found._replace(reason="unreadable", message=str(error))
    except InvalidData as error:
        return found._replace(reason="invalid", message=str(error))


def _validated(path: Path, found: Finding, plan: Plan) -> Finding:
    assert plan.spec is not None
    spec = _spec(*plan.spec)
    report: Report = Curator(path, spec, _home(plan)).validate()
    report.raise_if_invalid()
    with opened_parts(path) as parts:
        return found._replace(collected=collect(spec, parts))


@lru_cache(8)
def _spec(text: str, name: str) -> Spec:
    return Spec(Spec.from_json(text).slots, name)


def _home(plan: Plan) -> Instance:
    if (known := _shared.get(plan.root)) is None:
        known = _shared[plan.root] = Instance.open(plan.root, read_only=True, remote=plan.remote)
    return known
