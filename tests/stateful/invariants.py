"""What must always hold between a lake and the model of it."""

from __future__ import annotations

import json

from deltalake import DeltaTable

from lakehouse.engine import Lake
from tests.stateful.model import Model, Rows, State


def rows_agree(lake: Lake, state: State, at: int | None = None) -> None:
    """Scans, user SQL and point look-ups show the rows of the model."""
    snapshot = lake.snapshot(at)
    for table, expected in state.items():
        assert _by_uid(snapshot.arrow(f"SELECT * FROM {table}", tables=[table]).to_pylist()) == expected
        for uid in "ahz":
            assert snapshot.get(table, uid) == expected.get(uid)


def sql_agrees(lake: Lake, state: State, at: int | None = None) -> None:
    """The SQL of users shows all tables at one commit."""
    query = "SELECT count(*), count(DISTINCT name), (SELECT count(*) FROM link JOIN label l ON l.uid = link.label) FROM label"
    names = {r["name"] for r in state["label"].values()} - {None}
    links = sum(r["label"] is not None for r in state["link"].values())
    assert lake.sql(query, at=at).fetchall() == [(len(state["label"]), len(names), links)]


def lookups_agree(lake: Lake, state: State) -> None:
    """Look-ups by any column show what a search through the model shows."""
    snapshot = lake.snapshot()
    for column, values in {"name": ["p", "q", "bulk a0"], "n": [0, 1], "uid": list("abcdefgh")}.items():
        found = _by_uid(snapshot.lookup("label", column, values).to_pylist())
        assert found == {u: r for u, r in state["label"].items() if r[column] in values}
    found = _by_uid(snapshot.lookup("link", "label", ["a", "b"]).to_pylist())
    assert found == {u: r for u, r in state["link"].items() if r["label"] in ("a", "b")}


def unique_values_are_held_by_rows(lake: Lake, state: State) -> None:
    """The catalog's table of unique values holds the live names and nothing else."""
    with lake.catalog.read() as session:
        held = set(session.claimed("label", "name").to_pylist())
    assert held == {r["name"] for r in state["label"].values()} - {None}


def history_is_readable(lake: Lake, model: Model) -> None:
    """Every retained commit shows what it showed when it was made."""
    for commit, state in model.history.items():
        rows_agree(lake, state, commit)


def delta_is_a_prefix(lake: Lake, model: Model) -> None:
    """A plain Delta reader sees, per table, the state at some commit; those in ``head.json`` belong together."""
    head = json.loads((lake.root / "head.json").read_text())
    for table in model.state:
        if not (lake.root / "tables" / table / "_delta_log").exists():
            assert table not in head["tables"]
            continue
        found = DeltaTable(str(lake.root / "tables" / table))
        shown = _by_uid(found.to_pyarrow_table().to_pylist())
        assert shown == model.history[head["commit"]][table]
        assert found.version() == head["tables"][table]["version"]
        files = {uri.rsplit("/", 1)[-1] for uri in found.file_uris()}
        assert files == set(head["tables"][table]["files"])


def _by_uid(rows: list[dict[str, object]]) -> Rows:
    found = {str(row["uid"]): row for row in rows}
    assert len(found) == len(rows), "a row is shown twice"
    return found
