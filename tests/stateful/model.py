"""What a lake must show, kept in plain dicts: the rows of each table, and of each commit."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lakehouse.engine import TableSpec

Row = dict[str, Any]
Rows = dict[str, Row]
State = dict[str, Rows]
Operation = tuple[str, str, list[Row]]
"""``insert``, ``upsert`` or ``delete``, the table, and its rows (of a delete: only uids)."""

_UID = pa.field("uid", pa.string(), nullable=False)


class Refused(Exception):
    """The lake must refuse this transaction."""


def specs(extra: Iterable[str] = ()) -> list[TableSpec]:
    """Return the declarations; ``extra`` columns were added to ``label`` later."""
    label = pa.schema([_UID, ("name", pa.string()), ("n", pa.int64()), *((c, pa.string()) for c in extra)])
    link = pa.schema([_UID, ("label", pa.string())])
    return [
        TableSpec("label", label, unique=(("name",),)),
        TableSpec("link", link, references={"label": "label"}),
    ]


@dataclass
class Model:
    """The expected contents."""

    state: State = field(default_factory=lambda: {"label": {}, "link": {}})
    history: dict[int, State] = field(default_factory=dict)
    """Every commit that is still readable."""
    extra: list[str] = field(default_factory=list)
    """Columns that were added to ``label``."""

    def columns(self, table: str) -> list[str]:
        """Return a table's columns."""
        return ["uid", "label"] if table == "link" else ["uid", "name", "n", *self.extra]

    def after(self, operations: Iterable[Operation]) -> State:
        """Return the state after a transaction; raises ``Refused`` where a rule would be broken."""
        state = copy.deepcopy(self.state)
        for op, table, rows in operations:
            for row in rows:
                self._apply(state[table], op, table, row)
        names = [r["name"] for r in state["label"].values() if r["name"] is not None]
        if len(set(names)) < len(names):
            raise Refused("a name twice")
        if any(r["label"] is not None and r["label"] not in state["label"] for r in state["link"].values()):
            raise Refused("a link to nothing")
        return state

    def _apply(self, rows: Rows, op: str, table: str, row: Row) -> None:
        if op == "delete":
            rows.pop(row["uid"], None)
            return
        if op == "insert" and row["uid"] in rows:
            raise Refused("a key twice")
        rows[row["uid"]] = {c: row.get(c) for c in self.columns(table)}

    def committed(self, state: State, commit: int) -> None:
        """Note what a commit made."""
        self.state = state
        self.history[commit] = copy.deepcopy(state)

    def grow(self, column: str, commit: int) -> None:
        """Add a column to ``label``."""
        self.extra.append(column)
        for row in self.state["label"].values():
            row[column] = None
        self.history[commit] = copy.deepcopy(self.state)

    def forget_before(self, oldest: int) -> None:
        """Drop what may no longer be readable."""
        self.history = {c: s for c, s in self.history.items() if c >= oldest}
