"""What artifacts, datasets, runs and transforms have in common: a lineage that can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lakehouse.errors import InputError
from registries.lineage.recipe import Recipe, recipe_of, title_of
from registries.lineage.view import LineageView, viewed

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.lineage.graph import Node
    from registries.record import Record

__all__ = ["Traced"]


class Traced:
    """Beside a record's columns: what it came from and where it went."""

    def view_lineage(self, *, direction: str = "both", depth: int | None = None, collapse: bool = True) -> LineageView:
        """Return what it came from and where it went: a picture in notebooks, a tree in a terminal.

        Parameters
        ----------
        direction
            ``both``, ``upstream`` or ``downstream``.
        depth
            How many steps are followed; from an artifact to the run that made it is one. All, where none is given.
        collapse
            Whether many artifacts or runs that play the same part are shown as one.

        Returns
        -------
        LineageView
            With ``svg``, ``html``, ``mermaid``, ``dot``, ``to_dict()`` and ``save(path)``.
        """
        record = cast("Record", self)
        if not record.is_saved:
            raise InputError(f"{record!r} is not saved: call its save() first")
        title = f"Lineage of {record.meta.table} {title_of(record)}"
        return viewed(record.home_of(), [self], title, direction=direction, depth=depth, collapse=collapse)

    def lineage_start(self, snapshot: Snapshot) -> list[str]:
        """Return the uids of the artifacts and runs that its lineage begins with."""
        del snapshot
        return [cast("Record", self).uid]

    def lineage_node(self) -> Node | None:
        """Return how it is shown itself, where it is neither artifact nor run, and is shown at all."""
        return None

    def recipe(self, *, deep: bool = False) -> Recipe:
        """Return how it is made again: code, parameters, inputs and environment of the run that made it.

        Parameters
        ----------
        deep
            Whether to go back to the very beginning.
        """
        record = cast("Record", self)
        return recipe_of(record.home_of(), record, deep=deep)
