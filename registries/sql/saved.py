"""Views that users give a name: queries that are kept in the instance, with its history and its time travel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehouse.engine import Snapshot
from lakehouse.engine.sql import Unchecked
from lakehouse.errors import InputError, InvalidName, InvalidQuery, shown
from registries.binding import REGISTRIES
from registries.column import Column, column
from registries.parsed import parsed, tables_in
from registries.record import Record

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["View", "all_saved_views", "saved_views"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_WORD = re.compile(r"\w+")
_OURS = re.compile(
    r"(artifact|dataset|run|transform)_(all|latest|label|feature|annotated)|dataset_artifact|lineage_edge|registry_column|ancestors|descendants"
    r"|search(_.*)?|content|obs|var|main|temp|_.*|(.*)_(parent|ancestor)"
)


class View(Record, table="saved_view", natural=("name",)):
    """A query with a name: ``lh.sql`` sees it as a view.

    Examples
    --------
    >>> import tempfile
    >>> from registries import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> _ = lake.View(name="heavy", query="select key from artifact where size > 1e9").save()
    >>> lake.sql("select count(*) from heavy").fetchall()
    [(0,)]
    >>> lake.close()
    """

    name: Column[str] = column(doc="What SQL calls it; unique.", unique=True)
    query: Column[str] = column(doc="One SELECT.")
    description: Column[str | None] = column(doc="What it shows.", default=None)

    def check(self) -> None:
        """Check that SQL can call it so, and means nothing else by that."""
        super().check()
        if not _NAME.fullmatch(self.name):
            raise InvalidName(
                f"View.name {shown(self.name)}: lower-case letters, digits and _ are accepted, a letter first, "
                "at most 63 characters"
            )
        if self.name in REGISTRIES or _OURS.fullmatch(self.name):
            raise InvalidName(f"View.name {shown(self.name)} is taken by what SQL has already: choose another")

    def prepare(self, home: Instance) -> None:
        """Try the query."""
        self.check()
        if self.name in _named(self.query):
            raise InputError(f"View.query of {shown(self.name)} names the view itself: name other views or tables")
        saved_views(home.snapshot(), self.query, instead={self.name: self.query})
        home.sql(self.query)


def saved_views(snapshot: Snapshot, query: str, *, instead: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the saved views that a statement may mean, each after those that it names itself.

    Parameters
    ----------
    instead
        Queries that are to be saved under their names.

    Raises
    ------
    InvalidQuery
        When views name one another in a circle.
    """
    if "saved_view" not in snapshot.tables or snapshot.state("saved_view").is_empty:
        return {}
    rows = snapshot.rows("saved_view").select(["name", "query"]).to_pylist()
    known = {row["name"]: row["query"] for row in rows if row["name"] not in snapshot.tables} | dict(instead or {})
    found: dict[str, str] = {}
    if known.keys() & _words(query):  # parsing takes a millisecond
        for name in sorted(_named(query) & known.keys()):
            _add(name, known, found, ())
    return found


def all_saved_views(snapshot: Snapshot) -> dict[str, str]:
    """Return all saved views, each after those that it names itself."""
    if "saved_view" not in snapshot.tables:
        return {}
    return saved_views(snapshot, "select * from " + ", ".join(snapshot.rows("saved_view")["name"].to_pylist() or ["x"]))


def _add(name: str, known: dict[str, str], found: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise InvalidQuery(f"the saved views {', '.join((*above, name))} name one another in a circle: change one")
    for inner in sorted(_named(known[name]) & known.keys() - found.keys()):
        _add(inner, known, found, (*above, name))
    found[name] = Unchecked(known[name])


def _named(query: str) -> set[str]:
    """Return the tables and views that a statement names; its words, where it cannot be parsed."""
    tree = parsed(query)
    if tree is None or tree.get("error"):
        return _words(query)
    return {name.lower() for schema, name in tables_in(tree) if schema in ("", "main", "temp")}


def _words(query: str) -> set[str]:
    return set(_WORD.findall(query.lower()))
