"""``search``."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from lakehouse.cli.listing import registry_called
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened

__all__ = ["search"]


def search(
    screen: Screen, text: str, *, registry: str | None, fields: Sequence[str], limit: int, min_score: float
) -> None:
    """Find records, the nearest first."""
    if fields and registry is None:
        raise typer.BadParameter("--field goes with --registry", param_hint="--field")
    found = registry_called(registry) if registry is not None else None
    with opened(screen, read_only=True) as lake:
        if found is None:
            hits = lake.search(text, limit=limit, min_score=min_score)
        else:
            hits = lake.bound(found).search(text, limit=limit, field=fields or None, min_score=min_score)
        rows = hits.to_dicts()
    if screen.options.json:
        screen.document(rows)
        return
    if not rows:
        screen.note("nothing is near: --min-score 0.3 shows more, and `lakehouse ls` lists records")
        return
    columns = ("score", "registry", "name", "field", "match", "uid")
    cells = [(f"{row['score']:.2f}", *(row[name] for name in columns[1:])) for row in rows]
    screen.table(columns, cells, spare=("uid", "field"))
