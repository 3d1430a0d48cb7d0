"""What a move keeps in mind: which id became which record, what was added, and what has no counterpart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InvalidName
from lakehouse.ids import derived_uid
from registries.binding import REGISTRIES
from registries.column import MISSING
from registries.lamindb.source import Columns, LaminSource, times
from registries.names import check_name

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance

__all__ = ["Moved", "Mover", "MovingReport", "split"]


@dataclass
class Moved:
    """What became of one registry.

    Attributes
    ----------
    there
        Rows in LaminDB.
    added
        Records that were added here.
    known
        Rows whose record was here already, or that came to the same record.
    """

    there: int = 0
    added: int = 0
    known: int = 0


@dataclass
class MovingReport:
    """What an import did.

    Attributes
    ----------
    moved
        By registry.
    notes
        What was decided on the way, in words.
    lacking
        What has no counterpart here and stayed behind: tables and columns of LaminDB, with their number of values.
    """

    moved: dict[str, Moved] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"{n}: {m.there:,} rows, {m.added:,} added, {m.known:,} known" for n, m in self.moved.items()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"no counterpart: {name} ({count:,})" for name, count in self.lacking.items()]
        return "\n".join(lines)


class Mover:
    """One move; ``ids`` says, by table of LaminDB, which uid here a row's id there became."""

    def __init__(self, home: Instance, source: LaminSource) -> None:
        self.home, self.source = home, source
        self.ids: dict[str, dict[int, str]] = {}
        self.report = MovingReport()

    def note(self, text: str) -> None:
        """Say something in the report, once."""
        if text not in self.report.notes:
            self.report.notes.append(text)

    def uids(self, table: str, ids: Iterable[int | None]) -> list[str | None]:
        """Return the uids that ids became; None where they became none."""
        known = self.ids.get(table, {})
        return [None if one is None else known.get(one) for one in ids]

    def derived(self, table: str, uids: Iterable[str]) -> list[str]:
        """Return uids for rows that have another kind of uid there: always the same, so that a move can be repeated."""
        return [derived_uid("lamindb", table, uid) for uid in uids]

    # -- writing ---------------------------------------------------------------------------------------------------
    def stamped(self, read: Columns) -> dict[str, Any]:
        """Return when, by whom and by which run rows were made, of what was read of them."""
        return {
            "created_at": times(read["created_at"]),
            "created_by": self.uids("lamindb_user", read["created_by_id"]),
            "run": self.uids("lamindb_run", read.get("run_id") or [None] * len(read["created_at"])),
        }

    def insert(self, table: str, columns: Mapping[str, Any], *, there: int | None = None) -> list[bool]:
        """Add rows whose uid is new, in one transaction; return for each whether it was added."""
        rows = _rows(table, columns)
        added: list[bool] = []

        def plan(txn: Transaction) -> None:
            who = self.home.ensure_user(txn)
            made = rows.set_column(*_by(rows, who))
            lacking = set(txn.snapshot.missing(table, made["uid"].combine_chunks()))
            first = pc.index_in(pc.unique(made["uid"]), made["uid"]).to_pylist()  # two rows may come to one record
            places = {place for place in first if made["uid"][place].as_py() in lacking}
            added[:] = [place in places for place in range(len(made))]
            fresh = made.filter(pa.array(added, pa.bool_()))
            if len(fresh):
                txn.insert(table, fresh)

        if len(rows):
            self.home.run(plan)
        self.count(REGISTRIES[table].__name__, len(rows) if there is None else there, sum(added))
        return added

    def count(self, name: str, there: int, added: int) -> None:
        """Count rows in the report."""
        if not there:
            return
        found = self.report.moved.setdefault(name, Moved())
        found.there += there
        found.added += added
        found.known += there - added

    def existing(self, table: str, column: str, values: Sequence[str]) -> dict[str, str]:
        """Return the uids of the records that are here already, by a column's value."""
        rows = self.home.snapshot().lookup(table, column, list(dict.fromkeys(values)))
        return dict(zip(rows[column].to_pylist(), rows["uid"].to_pylist(), strict=True))

    def name(self, text: object, what: str) -> str:
        """Return a text as a name here; what a name may not have is taken out, and told."""
        given = str(text or "")
        try:
            return check_name(given, what)
        except InvalidName as error:
            mended = " ".join("".join(c if c.isprintable() else " " for c in given).split())[:1_000] or "unnamed"
            self.note(f"{what}: {error}; it is called {mended!r} here")
            return mended


def _rows(table: str, columns: Mapping[str, Any]) -> pa.Table:
    """Return columns as the table has them; those that are not given have their defaults."""
    meta = REGISTRIES[table].meta
    count = len(columns["uid"])
    made = []
    for name, declared in meta.columns.items():
        given = columns.get(name)
        if given is None:
            default = None if declared.default is MISSING else declared.initial
            made.append(pa.array([default] * count, declared.arrow_type))
        elif isinstance(given, pa.Array | pa.ChunkedArray):
            made.append(given.cast(declared.arrow_type))
        else:
            made.append(pa.array(given, declared.arrow_type))
    arrays = [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in made]
    loose = pa.schema([declared.field.with_nullable(nullable=True) for declared in meta.columns.values()])
    return pa.Table.from_arrays(arrays, schema=loose)


def _by(rows: pa.Table, who: str) -> tuple[int, str, pa.ChunkedArray]:
    return rows.schema.get_field_index("created_by"), "created_by", pc.fill_null(rows["created_by"], who)


def split(text: str | None) -> list[str]:
    """Return synonyms, which LaminDB joins by bars.

    Examples
    --------
    >>> split("T-cell|T lymphocyte"), split(None)
    (['T-cell', 'T lymphocyte'], [])
    """
    return list(dict.fromkeys(part.strip() for part in (text or "").split("|") if part.strip()))
