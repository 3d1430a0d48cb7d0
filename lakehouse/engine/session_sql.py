"""The questions and changes of a catalog session, in SQL that SQLite and Postgres share."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from lakehouse.engine.catalog import ChangeRow, CommitInfo, Meta, Pin, Publication, Tag, from_micros, to_micros
from lakehouse.engine.changes import DataFile, Op, Segment, decode
from lakehouse.engine.faults import reach
from lakehouse.engine.table import KEYS, TableSpec, TableVersion
from lakehouse.errors import Duplicate, shown

__all__ = ["SqlSession"]

_META = "SELECT lake, home, oldest_readable, swept_before, epoch, holder, until, head_json, schema_commit FROM meta"
_COMMIT = "SELECT id, uid, at, who, run, message FROM commits"


class SqlSession:
    """One transaction on an open connection; who opened it also commits it."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def _all(self, sql: str, *values: Any) -> list[Any]:
        return self._con.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: Any) -> Any:
        row = self._con.execute(sql, values).fetchone()
        return row[0] if row else None

    # -- reading ---------------------------------------------------------------------------------------------------
    def meta(self) -> Meta:
        """Return the facts about the lake."""
        return Meta(*self._con.execute(_META).fetchone())

    def head(self) -> int:
        """Return the newest commit, 0 when there is none."""
        found: int = self._one("SELECT coalesce(max(id), 0) FROM commits")
        return found

    def tables(self) -> list[TableVersion]:
        """Return every schema version of every table, oldest first."""
        rows = self._all("SELECT name, version, since, rules, body FROM table_schema ORDER BY name, version")
        return [
            TableVersion(TableSpec.restore(name, pa.ipc.read_schema(pa.py_buffer(body)), rules), version, since)
            for name, version, since, rules, body in rows
        ]

    def publication(self, table: str, at: int) -> Publication | None:
        """Return the newest publication at or below a commit."""
        sql = "SELECT version, id FROM publication WHERE tbl = ? AND id <= ? ORDER BY version DESC LIMIT 1"
        rows = self._all(sql, table, at)
        return Publication(*rows[0]) if rows else None

    def files(self, table: str, published: int) -> list[DataFile]:
        """Return the files of a publication, by lowest uid."""
        sql = "WHERE tbl = ? AND born <= ? AND (died IS NULL OR died > ?) ORDER BY low"
        return self._files(sql, table, published, published)

    def kept_files(self, table: str) -> list[DataFile]:
        """Return the published files that some retained commit may be read from."""
        return self._files("WHERE tbl = ? ORDER BY low", table)

    def _files(self, where: str, *values: Any) -> list[DataFile]:
        rows = self._all(f"SELECT path, size, n, low, high, version, stats FROM file {where}", *values)
        return [
            DataFile(path, size, n, low, high, version, json.loads(stats) if stats else {})
            for path, size, n, low, high, version, stats in rows
        ]

    def segments(self, table: str, above: int, upto: int, versions: Sequence[TableVersion]) -> list[Segment]:
        """Return the segments of a table in ``(above, upto]``, in order."""
        sql = "SELECT id, op, version, body, staged FROM change WHERE tbl = ? AND id > ? AND id <= ? ORDER BY id, seq"
        schemas = {v.version: v.schema for v in versions}
        return [
            decode(commit, op, version, body, None if staged else KEYS if op == Op.DELETE else schemas[version])
            for commit, op, version, body, staged in self._all(sql, table, above, upto)
        ]

    def outcome(self, client_txn: str) -> int | None:
        """Return the commit that a client transaction became, if it did."""
        found: int | None = self._one("SELECT id FROM commits WHERE client_txn = ?", client_txn)
        return found

    def commit(self, commit: int) -> CommitInfo | None:
        """Return one commit."""
        rows = self._all(_COMMIT + " WHERE id = ?", commit)
        return _info(rows[0]) if rows else None

    def commits(self, limit: int | None) -> list[CommitInfo]:
        """Return the newest commits, newest first."""
        rows = self._all(_COMMIT + " ORDER BY id DESC LIMIT ?", -1 if limit is None else limit)
        return [_info(row) for row in rows]

    def commits_after(self, above: int, upto: int, limit: int) -> list[tuple[CommitInfo, int, int]]:
        """Return commits in ``(above, upto]``, the oldest first, with their rows and bytes."""
        sql = _COMMIT.replace(" FROM", ", n, bytes FROM") + " WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
        return [(_info(row[:6]), row[6], row[7]) for row in self._all(sql, above, upto, limit)]

    def commit_at(self, micros: int) -> int:
        """Return the newest commit at or before a time, 0 when there is none."""
        found: int = self._one("SELECT coalesce(max(id), 0) FROM commits WHERE at <= ?", micros)
        return found

    def tags(self) -> list[Tag]:
        """Return all tags, by commit and name."""
        rows = self._all("SELECT name, id, at, who, message FROM tag ORDER BY id, name")
        return [Tag(name, commit, from_micros(at), who, message) for name, commit, at, who, message in rows]

    def is_tagged(self, commit: int) -> bool:
        """Whether a commit has a name."""
        return bool(self._all("SELECT 1 FROM tag WHERE id = ? LIMIT 1", commit))

    def tail_size(self, above: int) -> tuple[int, int, int]:
        """Return commits, rows and bytes above a commit."""
        sql = "SELECT count(*), coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM commits WHERE id > ?"
        commits, rows, size = self._all(sql, above)[0]
        return commits, rows, size

    def claimed(self, table: str, group: str) -> pa.Array:
        """Return the unique values that are claimed one by one."""
        rows = self._all("SELECT val FROM unique_value WHERE tbl = ? AND grp = ?", table, group)
        return pa.array([value for (value,) in rows], pa.string())

    def has_filter(self, table: str, group: str) -> bool:
        """Whether bulk inserts left hashes of their unique values."""
        return bool(self._all("SELECT 1 FROM unique_block WHERE tbl = ? AND grp = ? LIMIT 1", table, group))

    def filter_depths(self, table: str, group: str) -> list[int]:
        """Return the bits that number the buckets of runs, each once."""
        sql = "SELECT max(bucket) FROM unique_block WHERE tbl = ? AND grp = ? AND bucket < ?"
        found, below = list[int](), 1 << 62
        while (bucket := self._one(sql, table, group, below)) is not None:
            found.append(bucket.bit_length() - 1)
            below = 1 << found[-1]
        return found

    def filter_blocks(self, table: str, group: str, first: int, last: int) -> list[bytes]:
        """Return the blocks of sorted hashes with numbers from first to last."""
        sql = "SELECT body FROM unique_block WHERE tbl = ? AND grp = ? AND bucket BETWEEN ? AND ?"
        return [body for (body,) in self._all(sql, table, group, first, last)]

    def filter_bytes(self, table: str, group: str) -> int:
        """Return the size of all blocks."""
        sql = "SELECT coalesce(sum(length(body)), 0) FROM unique_block WHERE tbl = ? AND grp = ?"
        return int(self._one(sql, table, group))

    def referenced_paths(self, table: str) -> set[str]:
        """Return every data file that a publication or a change row names."""
        used = {path for (path,) in self._all("SELECT path FROM file WHERE tbl = ?", table)}
        for commit, op, version, body in self._all(
            "SELECT id, op, version, body FROM change WHERE tbl = ? AND staged", table
        ):
            used |= {f.path for f in decode(commit, op, version, body, None).files}
        return used

    # -- under the head lock ---------------------------------------------------------------------------------------
    def append(
        self, client_txn: str, now: int, user: str, run: str | None, message: str, changes: Sequence[ChangeRow]
    ) -> int:
        """Append a commit with its segments and return its id."""
        rows = self._all("SELECT id, at FROM commits ORDER BY id DESC LIMIT 1")
        last, last_at = rows[0] if rows else (0, 0)
        new = last + 1
        at = max(now, last_at + 1)  # the clock may be set back: time still grows with the commits
        total, size = sum(c.rows for c in changes), sum(len(c.body) for c in changes)
        self._con.execute(
            "INSERT INTO commits VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (new, uuid.uuid4().hex, client_txn, at, user, run, message, total, size),
        )
        reach("lock.mid_append")
        self._con.executemany(
            "INSERT INTO change VALUES(?, ?, ?, ?, ?, ?, ?)",
            [(c.table, new, seq, c.op, c.schema, c.body, c.staged) for seq, c in enumerate(changes)],
        )
        return new

    def add_schema(self, version: TableVersion) -> None:
        """Record a table or a new schema of it."""
        spec, body = version.spec, version.schema.serialize().to_pybytes()
        self._con.execute(
            "INSERT INTO table_schema VALUES(?, ?, ?, ?, ?)",
            (spec.name, version.version, version.since, spec.rules(), body),
        )
        self._con.execute("UPDATE meta SET schema_commit = ?", (version.since,))

    def claim(self, table: str, group: str, values: Sequence[str]) -> None:
        """Take unique values; raises ``Duplicate``."""
        rows = [(table, group, value) for value in sorted(values)]
        try:
            self._con.executemany("INSERT INTO unique_value VALUES(?, ?, ?)", rows)
        except sqlite3.IntegrityError as error:
            taken = next((v for v in values if self._is_claimed(table, group, v)), values[0])
            raise Duplicate(f"{table}.{group} {shown(taken)} is already taken: look that record up instead") from error

    def _is_claimed(self, table: str, group: str, value: str) -> bool:
        sql = "SELECT 1 FROM unique_value WHERE tbl = ? AND grp = ? AND val = ?"
        return bool(self._all(sql, table, group, value))

    def release(self, table: str, group: str, values: Iterable[str]) -> None:
        """Give up unique values; one that stands in the filter only is given up with its row."""
        sql = "DELETE FROM unique_value WHERE tbl = ? AND grp = ? AND val = ?"
        self._con.executemany(sql, [(table, group, value) for value in values])

    def add_filter(self, table: str, group: str, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Add the sorted hashes of a bulk insert, by bucket."""
        rows = [(table, group, bucket, body) for bucket, body in blocks]
        self._con.executemany("INSERT INTO unique_block VALUES(?, ?, ?, ?)", rows)

    def drop_filter(self, table: str, group: str, first: int, last: int) -> None:
        """Remove the blocks with numbers from first to last, after they were merged."""
        self._con.execute(
            "DELETE FROM unique_block WHERE tbl = ? AND grp = ? AND bucket BETWEEN ? AND ?", (table, group, first, last)
        )

    def set_lease(self, holder: str, until: float, *, new_epoch: bool) -> int:
        """Take (``new_epoch``) or renew the lease; returns its epoch."""
        sql = "UPDATE meta SET epoch = epoch + ?, holder = ?, until = ?"
        self._con.execute(sql, (int(new_epoch), holder, until))
        return self.meta().epoch

    def ratify(
        self, table: str, old: int, new: Publication, now: int, adds: Sequence[DataFile], removes: Sequence[str]
    ) -> bool:
        """Append a publication if ``old`` is still the newest version (-1: none); False when it is not."""
        sql = (
            "INSERT INTO publication SELECT ?, ?, ?, ? "
            "WHERE (SELECT coalesce(max(version), -1) FROM publication WHERE tbl = ?) = ?"
        )
        if self._con.execute(sql, (table, new.version, new.commit, now, table, old)).rowcount != 1:
            return False
        self._con.executemany(
            "INSERT INTO file VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            [(table, f.path, f.size, f.rows, f.low, f.high, f.schema, new.commit, json.dumps(f.stats)) for f in adds],
        )
        self._con.executemany(
            "UPDATE file SET died = ? WHERE tbl = ? AND path = ?", [(new.commit, table, path) for path in removes]
        )
        return True

    def set_head_json(self, commit: int) -> None:
        """Remember what ``head.json`` names."""
        self._con.execute("UPDATE meta SET head_json = ?", (commit,))

    def set_home(self, home: str) -> None:
        """Remember where the root lies."""
        self._con.execute("UPDATE meta SET home = ?", (home,))

    # -- catalogs that are brought back ------------------------------------------------------------------------------
    def note(self, info: CommitInfo) -> None:
        """Record a commit without changes under a given id and uid."""
        self._con.execute(
            "INSERT INTO commits VALUES(?, ?, ?, ?, ?, ?, ?, 0, 0)",
            (info.id, info.uid, uuid.uuid4().hex, to_micros(info.at), info.user, info.run, info.message),
        )

    def reset(self, meta: Meta) -> None:
        """Replace the facts about the lake."""
        self._con.execute(
            "UPDATE meta SET lake = ?, home = ?, oldest_readable = ?, swept_before = ?, epoch = ?, holder = ?, "
            "until = ?, head_json = ?, schema_commit = ?",
            (
                meta.lake, meta.home, meta.oldest_readable, meta.swept_before, meta.epoch, meta.holder,
                meta.until, meta.head_json, meta.schema_commit,
            ),
        )  # fmt: skip

    # -- retention -------------------------------------------------------------------------------------------------
    def pin(self, name: str, commit: int, until: float) -> None:
        """Keep a commit readable until a time."""
        self._con.execute("INSERT INTO pin VALUES(?, ?, ?)", (name, commit, until))

    def pins(self) -> list[Pin]:
        """Return all pins, by commit; those whose time is over may be among them."""
        rows = self._all("SELECT name, id, until FROM pin ORDER BY id, name")
        return [Pin(name, commit, from_micros(int(until * 1e6))) for name, commit, until in rows]

    def unpin(self, name: str) -> None:
        """Drop a pin."""
        self._con.execute("DELETE FROM pin WHERE name = ?", (name,))

    def add_tag(self, name: str, commit: int, now: int, user: str, message: str) -> None:
        """Name a commit; the name is free."""
        self._con.execute("INSERT INTO tag VALUES(?, ?, ?, ?, ?)", (name, commit, now, user, message))

    def drop_tag(self, name: str) -> None:
        """Forget a name."""
        self._con.execute("DELETE FROM tag WHERE name = ?", (name,))

    def horizon_candidates(self, cutoff: int, now: float) -> int:
        """Return the newest commit below which nothing is retained, pinned or recently replaced."""
        self._con.execute("DELETE FROM pin WHERE until < ?", (now,))
        aged = self.commit_at(cutoff)
        pinned = self._one("SELECT min(id) FROM (SELECT id FROM pin UNION ALL SELECT head_json FROM meta)")
        # what a young publication replaced may just have been opened by a plain Delta reader
        young = self._one("SELECT min(id) FROM publication WHERE at > ? AND version > 0", cutoff)
        oldest: int = min(aged, pinned, aged if young is None else young - 1)
        return oldest

    def advance_horizon(self, oldest: int, swept_before: int) -> None:
        """Move the horizon (never back) and forget what neither it nor a tagged commit needs."""
        self._con.execute(
            "UPDATE meta SET oldest_readable = max(oldest_readable, ?), swept_before = max(swept_before, ?)",
            (oldest, swept_before),
        )
        oldest = self.meta().oldest_readable
        tagged = sorted({tag.commit for tag in self.tags() if tag.commit < oldest})
        for (table,) in self._all("SELECT DISTINCT name FROM table_schema"):
            if (base := self.publication(table, oldest)) is not None:
                self._forget(table, base, [(commit, self.publication(table, commit)) for commit in tagged])

    def _forget(self, table: str, base: Publication, kept: list[tuple[int, Publication | None]]) -> None:
        """Forget what lies below a publication, except what the kept commits (ascending) are read from."""
        spans = [(p.commit if p else 0, commit) for commit, p in kept]  # the segments that each of them needs
        gaps = pairwise([0, *(edge for span in spans for edge in span), base.commit])
        for low, high in [gap for i, gap in enumerate(gaps) if not i % 2 and gap[0] < gap[1]]:
            self._con.execute("DELETE FROM change WHERE tbl = ? AND id > ? AND id <= ?", (table, low, high))
        bases = sorted({(p.version, p.commit) for p in (base, *(p for _, p in kept)) if p is not None})
        for low, high in pairwise([-1, *(version for version, _ in bases)]):
            self._con.execute(
                "DELETE FROM publication WHERE tbl = ? AND version > ? AND version < ?", (table, low, high)
            )
        for low, high in pairwise([-1, *(commit for _, commit in bases)]):  # of a file that lived in between only
            self._con.execute("DELETE FROM file WHERE tbl = ? AND born > ? AND died <= ?", (table, low, high))


def _info(row: tuple[int, str, int, str, str | None, str]) -> CommitInfo:
    commit, uid, at, who, run, message = row
    return CommitInfo(commit, uid, from_micros(at), who, run, message)
