"""The questions and changes of a catalog session, in SQL that SQLite and Postgres share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pyarrow as pa

from lakehouse.engine.catalog import ChangeRow, CommitInfo, Intent, Meta, Pin, Publication, Tag, from_micros, to_micros
from lakehouse.engine.changes import DataFile, Op, Segment, decode
from lakehouse.engine.faults import reach
from lakehouse.engine.statements import Statements
from lakehouse.engine.table import KEYS, TableVersion
from lakehouse.errors import Duplicate, shown

__all__ = ["LAST", "META", "SqlSession"]

META = "SELECT lake, home, oldest_readable, swept_before, epoch, holder, until, head_json, schema_commit FROM meta"
LAST = "SELECT id, at FROM commits ORDER BY id DESC LIMIT 1"
_ALL = 2**62
_COMMIT = "SELECT id, uid, at, who, run, message FROM commits"


class SqlSession:
    """One transaction on an open connection; who opened it also commits it."""

    def __init__(self, db: Statements) -> None:
        self._db = db
        self._meta: Meta | None = None
        self._last: tuple[int, int] | None = None
        self.appended: str | None = None
        """The client transaction that was appended in this session."""

    def _one(self, sql: str, *values: Any) -> Any:
        rows = self._db.rows(sql, *values)
        return rows[0][0] if rows else None

    def learn(self, meta: Sequence[Any], last: Sequence[Any] | None) -> None:
        """Take in what was fetched on opening the transaction: the rows of ``META`` and ``LAST``."""
        self._meta, self._last = Meta(*meta), (last[0], last[1]) if last else (0, 0)

    # -- reading ---------------------------------------------------------------------------------------------------
    def meta(self) -> Meta:
        """Return the facts about the lake."""
        if self._meta is None:
            self._meta = Meta(*self._db.rows(META)[0])
        return self._meta

    def _set_meta(self, assignments: str, *values: Any) -> None:
        self._db.run(f"UPDATE meta SET {assignments}", *values)
        self._meta = None

    def _newest(self) -> tuple[int, int]:
        """Return the id and the time of the newest commit."""
        if self._last is None:
            rows = self._db.rows(LAST)
            self._last = (rows[0][0], rows[0][1]) if rows else (0, 0)
        return self._last

    def head(self) -> int:
        """Return the newest commit, 0 when there is none."""
        return self._newest()[0]

    def tables(self) -> list[TableVersion]:
        """Return every schema version of every table, oldest first."""
        rows = self._db.rows("SELECT name, version, since, rules, body FROM table_schema ORDER BY name, version")
        return [
            TableVersion.restore(name, pa.ipc.read_schema(pa.py_buffer(body)), rules, version, since)
            for name, version, since, rules, body in rows
        ]

    def publication(self, table: str, at: int) -> Publication | None:
        """Return the newest publication at or below a commit."""
        sql = "SELECT version, id FROM publication WHERE tbl = ? AND id <= ? ORDER BY version DESC LIMIT 1"
        rows = self._db.rows(sql, table, at)
        return Publication(*rows[0]) if rows else None

    def files(self, table: str, published: int) -> list[DataFile]:
        """Return the files of a publication, by lowest uid."""
        sql = "WHERE tbl = ? AND born <= ? AND (died IS NULL OR died > ?) ORDER BY low"
        return self._files(sql, table, published, published)

    def kept_files(self, table: str) -> list[DataFile]:
        """Return the published files that some retained commit may be read from."""
        return self._files("WHERE tbl = ? ORDER BY low", table)

    def _files(self, where: str, *values: Any) -> list[DataFile]:
        rows = self._db.rows(f"SELECT path, size, n, low, high, version, stats FROM file {where}", *values)
        text = self._db.unpacked
        return [
            DataFile(path, size, n, text(low), text(high), version, json.loads(stats) if stats else {})
            for path, size, n, low, high, version, stats in rows
        ]

    def segments(self, table: str, above: int, upto: int, versions: Sequence[TableVersion]) -> list[Segment]:
        """Return the segments of a table in ``(above, upto]``, in order."""
        sql = "SELECT id, op, version, body, staged FROM change WHERE tbl = ? AND id > ? AND id <= ? ORDER BY id, seq"
        schemas = {v.version: v.schema for v in versions}
        return [
            decode(commit, op, version, body, None if staged else KEYS if op == Op.DELETE else schemas[version])
            for commit, op, version, body, staged in self._db.rows(sql, table, above, upto)
        ]

    def outcome(self, client_txn: str) -> int | None:
        """Return the commit that a client transaction became, if it did."""
        found: int | None = self._one("SELECT id FROM commits WHERE client_txn = ?", client_txn)
        return found

    def commit(self, commit: int) -> CommitInfo | None:
        """Return one commit."""
        rows = self._db.rows(_COMMIT + " WHERE id = ?", commit)
        return _info(rows[0]) if rows else None

    def commits(self, limit: int | None) -> list[CommitInfo]:
        """Return the newest commits, newest first."""
        rows = self._db.rows(_COMMIT + " ORDER BY id DESC LIMIT ?", _ALL if limit is None else limit)
        return [_info(row) for row in rows]

    def commits_after(self, above: int, upto: int, limit: int) -> list[tuple[CommitInfo, int, int]]:
        """Return commits in ``(above, upto]``, the oldest first, with their rows and bytes."""
        sql = _COMMIT.replace(" FROM", ", n, bytes FROM") + " WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
        return [(_info(row[:6]), row[6], row[7]) for row in self._db.rows(sql, above, upto, limit)]

    def commit_at(self, micros: int) -> int:
        """Return the newest commit at or before a time, 0 when there is none."""
        found: int = self._one("SELECT coalesce(max(id), 0) FROM commits WHERE at <= ?", micros)
        return found

    def tags(self) -> list[Tag]:
        """Return all tags, by commit and name."""
        rows = self._db.rows("SELECT name, id, at, who, message FROM tag ORDER BY id, name")
        return [Tag(name, commit, from_micros(at), who, message) for name, commit, at, who, message in rows]

    def is_tagged(self, commit: int) -> bool:
        """Whether a commit has a name."""
        return bool(self._db.rows("SELECT 1 FROM tag WHERE id = ? LIMIT 1", commit))

    def tail_size(self, above: int) -> tuple[int, int, int]:
        """Return commits, rows and bytes above a commit."""
        sql = (
            "SELECT count(*), CAST(coalesce(sum(n), 0) AS BIGINT), CAST(coalesce(sum(bytes), 0) AS BIGINT) "
            "FROM commits WHERE id > ?"
        )
        commits, rows, size = self._db.rows(sql, above)[0]
        return commits, rows, size

    def claimed(self, table: str, group: str) -> pa.Array:
        """Return the unique values that are claimed one by one."""
        rows = self._db.rows("SELECT val FROM unique_value WHERE tbl = ? AND grp = ?", table, group)
        return pa.array([self._db.unpacked(value) for (value,) in rows], pa.string())

    def has_filter(self, table: str, group: str) -> bool:
        """Whether bulk inserts left hashes of their unique values."""
        return bool(self._db.rows("SELECT 1 FROM unique_block WHERE tbl = ? AND grp = ? LIMIT 1", table, group))

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
        return [body for (body,) in self._db.rows(sql, table, group, first, last)]

    def filter_bytes(self, table: str, group: str) -> int:
        """Return the size of all blocks."""
        sql = "SELECT coalesce(sum(length(body)), 0) FROM unique_block WHERE tbl = ? AND grp = ?"
        return int(self._one(sql, table, group))

    def intent(self, uid: str) -> Intent | None:
        """Return an intent that is not forgotten yet."""
        rows = self._db.rows("SELECT tbl, version, adds, removes FROM intent WHERE uid = ?", uid)
        if not rows:
            return None
        table, version, adds, removes = rows[0]
        return Intent(uid, table, version, tuple(json.loads(adds)), tuple(json.loads(removes)))

    def referenced_paths(self, table: str) -> set[str]:
        """Return every data file that a publication or a change row names."""
        used = {path for (path,) in self._db.rows("SELECT path FROM file WHERE tbl = ?", table)}
        for commit, op, version, body in self._db.rows(
            "SELECT id, op, version, body FROM change WHERE tbl = ? AND staged", table
        ):
            used |= {f.path for f in decode(commit, op, version, body, None).files}
        return used

    # -- under the head lock ---------------------------------------------------------------------------------------
    def append(
        self, client_txn: str, now: int, user: str, run: str | None, message: str, changes: Sequence[ChangeRow]
    ) -> int:
        """Append a commit with its segments and return its id."""
        last, last_at = self._newest()
        new = last + 1
        at = max(now, last_at + 1)  # the clock may be set back: time still grows with the commits
        total, size = sum(c.rows for c in changes), sum(len(c.body) for c in changes)
        self._db.run(
            "INSERT INTO commits VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(new, os.urandom(16).hex(), client_txn, at, user, run, message, total, size),
        )
        reach("lock.mid_append")
        self._db.many(
            "INSERT INTO change VALUES(?, ?, ?, ?, ?, ?, ?)",
            [(c.table, new, seq, c.op, c.schema, c.body, c.staged) for seq, c in enumerate(changes)],
        )
        self._last, self.appended = (new, at), client_txn
        return new

    def add_schema(self, version: TableVersion) -> None:
        """Record a table or a new schema of it."""
        spec, body = version.spec, version.schema.serialize().to_pybytes()
        self._db.run(
            "INSERT INTO table_schema VALUES(?, ?, ?, ?, ?)",
            *(spec.name, version.version, version.since, version.rules(), body),
        )
        self._set_meta("schema_commit = ?", version.since)

    def claim(self, table: str, group: str, values: Sequence[str]) -> None:
        """Take unique values; raises ``Duplicate``."""
        taken = self._db.claim(table, group, sorted(values))
        if taken is not None:
            raise Duplicate(f"{table}.{group} {shown(taken)} is already taken: look that record up instead")

    def release(self, table: str, group: str, values: Iterable[str]) -> None:
        """Give up unique values; one that stands in the filter only is given up with its row."""
        sql = f"DELETE FROM unique_value WHERE tbl = ? AND grp = ? AND {self._db.is_value}"
        self._db.many(sql, [(table, group, self._db.packed(value)) for value in values])

    def forget_claims(self, table: str, group: str) -> None:
        """Give up every value of a unique group, with its filter."""
        for kept in ("unique_value", "unique_block"):
            self._db.run(f"DELETE FROM {kept} WHERE tbl = ? AND grp = ?", table, group)

    def add_filter(self, table: str, group: str, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Add the sorted hashes of a bulk insert, by bucket."""
        rows = [(table, group, bucket, body) for bucket, body in blocks]
        self._db.many("INSERT INTO unique_block VALUES(?, ?, ?, ?)", rows)

    def drop_filter(self, table: str, group: str, first: int, last: int) -> None:
        """Remove the blocks with numbers from first to last, after they were merged."""
        sql = "DELETE FROM unique_block WHERE tbl = ? AND grp = ? AND bucket BETWEEN ? AND ?"
        self._db.run(sql, table, group, first, last)

    def set_lease(self, holder: str, until: float, *, new_epoch: bool) -> int:
        """Take (``new_epoch``) or renew the lease; returns its epoch."""
        self._set_meta("epoch = epoch + ?, holder = ?, until = ?", int(new_epoch), holder, until)
        return self.meta().epoch

    def ratify(
        self, table: str, old: int, new: Publication, now: int, adds: Sequence[DataFile], removes: Sequence[str]
    ) -> bool:
        """Append a publication if ``old`` is still the newest version (-1: none); False when it is not."""
        newest = self._one("SELECT coalesce(max(version), -1) FROM publication WHERE tbl = ?", table)
        if newest != old:
            return False
        self._db.run("INSERT INTO publication VALUES(?, ?, ?, ?)", table, new.version, new.commit, now)
        self._db.many(
            "INSERT INTO file VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            [self._file_row(table, file, new.commit) for file in adds],
        )
        self._db.many(
            "UPDATE file SET died = ? WHERE tbl = ? AND path = ?", [(new.commit, table, path) for path in removes]
        )
        self._db.run("DELETE FROM intent WHERE tbl = ? AND version <= ?", table, new.version)
        return True

    def _file_row(self, table: str, file: DataFile, born: int) -> tuple[Any, ...]:
        low, high = self._db.packed(file.low), self._db.packed(file.high)
        return table, file.path, file.size, file.rows, low, high, file.schema, born, json.dumps(file.stats)

    def intend(self, intent: Intent) -> None:
        """Record what maintenance is about to commit to a Delta log."""
        row = (intent.uid, intent.table, intent.version, json.dumps(intent.adds), json.dumps(intent.removes))
        self._db.run("INSERT INTO intent VALUES(?, ?, ?, ?, ?)", *row)

    def set_head_json(self, commit: int) -> None:
        """Remember what ``head.json`` names."""
        self._set_meta("head_json = ?", commit)

    def set_home(self, home: str) -> None:
        """Remember where the root lies."""
        self._set_meta("home = ?", home)

    # -- catalogs that are brought back ------------------------------------------------------------------------------
    def note(self, info: CommitInfo) -> None:
        """Record a commit without changes under a given id and uid."""
        self._db.run(
            "INSERT INTO commits VALUES(?, ?, ?, ?, ?, ?, ?, 0, 0)",
            *(info.id, info.uid, os.urandom(16).hex(), to_micros(info.at), info.user, info.run, info.message),
        )
        self._last = None

    def reset(self, meta: Meta) -> None:
        """Replace the facts about the lake."""
        names = [field.name for field in fields(meta)]
        self._set_meta(", ".join(f"{name} = ?" for name in names), *(getattr(meta, name) for name in names))

    # -- retention -------------------------------------------------------------------------------------------------
    def pin(self, name: str, commit: int, until: float) -> None:
        """Keep a commit readable until a time."""
        self._db.run("INSERT INTO pin VALUES(?, ?, ?)", name, commit, until)

    def pins(self) -> list[Pin]:
        """Return all pins, by commit; those whose time is over may be among them."""
        rows = self._db.rows("SELECT name, id, until FROM pin ORDER BY id, name")
        return [Pin(name, commit, from_micros(int(until * 1e6))) for name, commit, until in rows]

    def unpin(self, name: str) -> None:
        """Drop a pin."""
        self._db.run("DELETE FROM pin WHERE name = ?", name)

    def add_tag(self, name: str, commit: int, now: int, user: str, message: str) -> None:
        """Name a commit; the name is free."""
        self._db.run("INSERT INTO tag VALUES(?, ?, ?, ?, ?)", name, commit, now, user, message)

    def drop_tag(self, name: str) -> None:
        """Forget a name."""
        self._db.run("DELETE FROM tag WHERE name = ?", name)

    def horizon_candidates(self, cutoff: int, now: float) -> int:
        """Return the newest commit below which nothing is retained, pinned or recently replaced."""
        self._db.run("DELETE FROM pin WHERE until < ?", now)
        aged = self.commit_at(cutoff)
        pinned = self._one("SELECT min(id) FROM (SELECT id FROM pin UNION ALL SELECT head_json FROM meta) AS held")
        # what a young publication replaced may just have been opened by a plain Delta reader
        young = self._one("SELECT min(id) FROM publication WHERE at > ? AND version > 0", cutoff)
        oldest: int = min(aged, pinned, aged if young is None else young - 1)
        return oldest

    def advance_horizon(self, oldest: int, swept_before: int) -> None:
        """Move the horizon (never back) and forget what neither it nor a tagged commit needs."""
        meta = self.meta()
        later = max(meta.oldest_readable, oldest), max(meta.swept_before, swept_before)
        self._set_meta("oldest_readable = ?, swept_before = ?", *later)
        oldest = self.meta().oldest_readable
        tagged = sorted({tag.commit for tag in self.tags() if tag.commit < oldest})
        for (table,) in self._db.rows("SELECT DISTINCT name FROM table_schema"):
            if (base := self.publication(table, oldest)) is not None:
                self._forget(table, base, [(commit, self.publication(table, commit)) for commit in tagged])

    def _forget(self, table: str, base: Publication, kept: list[tuple[int, Publication | None]]) -> None:
        """Forget what lies below a publication, except what the kept commits (ascending) are read from."""
        spans = [(p.commit if p else 0, commit) for commit, p in kept]  # the segments that each of them needs
        gaps = pairwise([0, *(edge for span in spans for edge in span), base.commit])
        for low, high in [gap for i, gap in enumerate(gaps) if not i % 2 and gap[0] < gap[1]]:
            self._db.run("DELETE FROM change WHERE tbl = ? AND id > ? AND id <= ?", table, low, high)
        bases = sorted({(p.version, p.commit) for p in (base, *(p for _, p in kept)) if p is not None})
        for low, high in pairwise([-1, *(version for version, _ in bases)]):
            self._db.run("DELETE FROM publication WHERE tbl = ? AND version > ? AND version < ?", table, low, high)
        for low, high in pairwise([-1, *(commit for _, commit in bases)]):  # of a file that lived in between only
            self._db.run("DELETE FROM file WHERE tbl = ? AND born > ? AND died <= ?", table, low, high)


def _info(row: tuple[int, str, int, str, str | None, str]) -> CommitInfo:
    commit, uid, at, who, run, message = row
    return CommitInfo(commit, uid, from_micros(at), who, run, message)
