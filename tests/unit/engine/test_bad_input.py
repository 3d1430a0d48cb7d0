from __future__ import annotations

import json
import math
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec
from lakehouse.errors import Diverged, InputError, IntegrityError, LakehouseError, UnknownField
from tests.unit.engine.support import QUIET, UID, add, label, plain, quiet, rows_of, uids

ODD_NAMES = {
    "SQL": "'; DROP TABLE label;--",
    "quotes": 'a" OR 1=1',
    "doubled quotes": 'a""b',
    "percent": "100%_done",
    "backslash": "ends with \\",
    "NUL": "a\x00b",
    "newline": "a\nb\r\n",
    "right to left": "a\u202eb",
    "NFC": "\u00e9",
    "NFD": "e\u0301",
    "zero width": "a\u200bb",
    "separators": "a\x1fb\x1ec",
    "1 MB": "x" * 1_000_000,
    "empty": "",
    "blank": "   ",
    "reserved": "select",
    "parameters": "$1 ? %s {0}",
    "beyond the BMP": "\U0001f9ec",
    "63 bytes": "y" * 63 + "1",
    "63 bytes too": "y" * 63 + "2",
}


@pytest.mark.parametrize("small_rows", [0, 200_000])
def test_odd_names_are_kept_apart_and_come_back(make: object, small_rows: int) -> None:
    lake: Lake = make(small_rows=small_rows)  # type: ignore[operator]
    rows = [label(f"{n:02}", name) for n, name in enumerate(ODD_NAMES.values())]
    lake.run(lambda txn: txn.insert("label", rows[::2]))
    lake.flush()
    for row in rows[1::2]:
        lake.run(lambda txn, row=row: txn.insert("label", [row]))
    for _ in range(2):
        assert rows_of(lake) == rows
        for row in rows:
            assert lake.snapshot().lookup("label", "name", [row["name"]]).to_pylist() == [row]
        lake.flush()
    assert plain(lake) == rows


@pytest.mark.parametrize("uid", [name for name in ODD_NAMES.values() if len(name) < 100])
def test_odd_uids_come_back(lake: Lake, uid: str) -> None:
    add(lake, uid, "zz")
    lake.flush()
    lake.run(lambda txn: txn.upsert("label", [label(uid, "changed")]))
    lake.flush()
    assert lake.snapshot().get("label", uid) == label(uid, "changed")
    lake.run(lambda txn: txn.delete("label", [uid]))
    assert uids(lake) == ["zz"]


MISFITS: dict[str, dict[str, Any]] = {
    "no uid": {"name": "x"},
    "uid is a number": {"uid": 5},
    "lone surrogate": {"uid": "a", "name": "\ud800"},
    "surrogate uid": {"uid": "\udfff"},
    "beyond 2^63": {"uid": "a", "n": 2**63},
    "below -2^63": {"uid": "a", "n": -(2**63) - 1},
    "far beyond": {"uid": "a", "n": 10**40},
    "text for a number": {"uid": "a", "n": "5"},
    "a float with a fraction": {"uid": "a", "n": 1.5},
    "bytes that are no text": {"uid": "a", "name": b"\xff"},
    "a list": {"uid": "a", "name": ["x"]},
    "an object": {"uid": "a", "name": object()},
}


@pytest.mark.parametrize("case", MISFITS)
@pytest.mark.parametrize("op", ["insert", "upsert"])
def test_value_that_does_not_fit_is_refused_and_nothing_is_written(lake: Lake, case: str, op: str) -> None:
    before = lake.head()
    with pytest.raises(InputError, match=r"label"):
        lake.run(lambda txn: getattr(txn, op)("label", [label("ok"), MISFITS[case]]))
    assert lake.head() == before


def test_message_of_a_misfit_names_column_type_and_value(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"label\.n takes int64, not 9223372036854775808"):
        lake.run(lambda txn: txn.insert("label", [label("ok"), {"uid": "a", "n": 2**63}]))


@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"uid": ["a"], "n": ["x"]}),
        pa.table({"uid": pa.array([None], pa.string())}),
        pa.table({"name": ["x"]}),
        pa.table({"uid": ["a"], "n": pa.array([2**63], pa.uint64())}),
        pa.table({"uid": ["a"], "name": [["x"]]}),
    ],
    ids=["text", "null uid", "no uid", "unsigned", "list"],
)
def test_arrow_that_does_not_fit_is_refused(lake: Lake, rows: pa.Table) -> None:
    with pytest.raises(InputError):
        lake.run(lambda txn: txn.insert("label", rows))
    assert uids(lake) == []


def test_unknown_column_and_table_suggest_the_near_one(lake: Lake) -> None:
    with pytest.raises(UnknownField, match="did you mean 'name'"):
        lake.run(lambda txn: txn.insert("label", [{"uid": "a", "nmae": "x"}]))
    with pytest.raises(UnknownField, match="did you mean 'name'"):
        lake.run(lambda txn: txn.insert("label", pa.table({"uid": ["a"], "nmae": ["x"]})))
    for use in (
        lambda txn: txn.insert("lable", [{"uid": "a"}]),
        lambda txn: txn.delete("lable", ["a"]),
        lambda txn: txn.snapshot.get("lable", "a"),
        lambda txn: txn.snapshot.arrow("SELECT 1", tables=["lable"]),
    ):
        with pytest.raises(UnknownField, match="did you mean 'label'"):
            lake.run(use)


@pytest.mark.parametrize("value", ["\ud800", b"\xff", 5, ["a"], {"a": 1}, object], ids=str)
def test_lookup_of_what_cannot_be_there_is_refused_or_finds_nothing(make: object, value: object) -> None:
    for small_rows in (0, 200_000):
        lake: Lake = make(f"lake{small_rows}", small_rows=small_rows)  # type: ignore[operator]
        add(lake, "a")
        lake.flush()
        try:
            assert lake.snapshot().lookup("label", "name", [value]).num_rows == 0
        except InputError as error:
            assert "name" in str(error)


@pytest.mark.parametrize("small_rows", [0, 200_000])
def test_extreme_numbers_and_times_come_back(make: object, small_rows: int) -> None:
    lake: Lake = make(small_rows=small_rows)  # type: ignore[operator]
    sizes = [math.inf, -math.inf, math.nan, -0.0, 5e-324, 1.7e308, None]
    times = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
    rows = [{"uid": f"s{n}", "at": None, "size": v} for n, v in enumerate(sizes)]
    rows += [{"uid": f"t{n}", "at": v, "size": None} for n, v in enumerate(times)]
    lake.run(lambda txn: txn.insert("event", rows))
    for _ in range(2):
        for row in rows:
            assert repr(lake.snapshot().get("event", row["uid"])) == repr({**row, "at": row["at"]}).replace(
                "datetime.timezone.utc", repr(_zone(lake, row))
            )
        lake.flush()
    ends = [label("min", n=-(2**63)), label("max", n=2**63 - 1)]
    lake.run(lambda txn: txn.insert("label", ends))
    lake.flush()
    assert sorted(r["n"] for r in plain(lake)) == [-(2**63), 2**63 - 1]


def _zone(lake: Lake, row: dict[str, Any]) -> object:
    found = lake.snapshot().get("event", row["uid"])
    assert found is not None
    return found["at"].tzinfo if found["at"] is not None else UTC


def test_row_read_with_nan_can_be_changed_as_read(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("event", [{"uid": "a", "size": math.nan}]))
    read = lake.snapshot().get("event", "a")
    assert read is not None
    lake.run(lambda txn: txn.upsert("event", [{**read, "size": 1.0}], as_read=[read]))
    assert lake.snapshot().get("event", "a")["size"] == 1.0  # type: ignore[index]


@pytest.mark.parametrize("what", ["message", "user"])
def test_lone_surrogate_in_a_message_or_user_is_refused(lake: Lake, what: str) -> None:
    before = lake.head()
    if what == "user":
        lake.user = "\ud800"
    with pytest.raises(LakehouseError):
        lake.run(lambda txn: txn.insert("label", [label("a")]), message="\ud800" if what == "message" else "")
    lake.user = "ann"
    assert lake.head() == before
    add(lake, "b")


def test_column_named_like_sql_works_everywhere(lake: Lake) -> None:
    odd = ['a"b', "select", "order by", "naïve", "%", "uid2; DROP"]
    lake.ensure([TableSpec("odd", pa.schema([UID, *((name, pa.string()) for name in odd)]))])
    row = {"uid": "a", **{name: f"<{name}>" for name in odd}}
    lake.run(lambda txn: txn.insert("odd", [row]))
    lake.flush()
    for small_rows in (0, 200_000):
        with Lake.open(lake.root, options=quiet(small_rows=small_rows)) as again:
            for name in odd:
                assert again.snapshot().lookup("odd", name, [f"<{name}>"]).to_pylist() == [row]
    assert plain(lake, "odd") == [row]


# -- a foreign hand in the log -----------------------------------------------------------------------------------------
def _ours(lake: Lake, version: int) -> list[dict[str, Any]]:
    log = lake.root / "tables" / "label" / "_delta_log"
    return [json.loads(line) for line in (log / f"{version:020d}.json").read_text().splitlines()]


def _forge(lake: Lake, version: int, actions: list[dict[str, Any]]) -> Path:
    path = lake.root / "tables" / "label" / "_delta_log" / f"{version:020d}.json"
    path.write_text("\n".join(map(json.dumps, actions)))
    return path


@pytest.fixture
def published(lake: Lake) -> Lake:
    """Return a lake with two published versions of ``label`` and a row in the tail."""
    add(lake, "a")
    lake.flush()
    add(lake, "b")
    return lake


def test_foreign_commit_at_the_next_version_is_diverged_and_left_alone(published: Lake) -> None:
    add_action = next(a for a in _ours(published, 1) if "add" in a)
    path = _forge(published, 2, [{"commitInfo": {"operation": "WRITE"}}, add_action])
    before = path.read_bytes()
    with pytest.raises(Diverged, match="another program"):
        published.flush()
    assert path.read_bytes() == before
    assert uids(published) == ["a", "b"]
    path.unlink()
    published.flush()
    assert plain(published) == rows_of(published)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(
    "outside",
    ["../../outside.parquet", "/etc/passwd", "file:///etc/passwd", "%2e%2e/outside.parquet", "..\\x", "s3://b/x"],
)
def test_entry_that_names_files_outside_is_never_adopted(published: Lake, outside: str, last: bool) -> None:
    actions = _ours(published, 1)
    for action in actions:
        if "add" in action:
            action["add"]["path"] = outside
    _forge(published, 2, actions)
    if not last:
        _forge(published, 3, _ours(published, 1))
        with pytest.raises(Diverged):
            published.flush()
    else:
        published.flush()
        assert plain(published) == rows_of(published)
    with published.catalog.read() as session:
        assert not [f for f in session.files("label", published.head()) if "outside" in f.path or "/" in f.path]
    assert uids(published) == ["a", "b"]


def test_gap_in_the_log_is_diverged(published: Lake) -> None:
    _forge(published, 3, _ours(published, 1))
    with pytest.raises(Diverged):
        published.flush()
    assert uids(published) == ["a", "b"]


def test_deleted_delta_log_is_diverged_and_reading_goes_on(published: Lake) -> None:
    import shutil

    shutil.rmtree(published.root / "tables" / "label" / "_delta_log")
    with pytest.raises(Diverged, match="restore the folder from a backup"):
        published.flush()
    assert uids(published) == ["a", "b"]


@pytest.mark.catalogs("sqlite")  # the file itself is exchanged or damaged
def test_catalog_restored_from_an_old_backup_is_diverged_and_swallows_nothing(tmp_path: Path, make: object) -> None:
    lake: Lake = make()  # type: ignore[operator]
    add(lake, "a")
    lake.flush()
    copy = sqlite3.connect(tmp_path / "backup.db")
    source = sqlite3.connect(lake.root / "catalog.db")
    source.backup(copy)
    source.close()
    copy.close()
    add(lake, "lost")
    lake.flush()
    lake.close()
    for path in lake.root.glob("catalog.db*"):
        path.unlink()
    (tmp_path / "backup.db").rename(lake.root / "catalog.db")
    with Lake.open(lake.root, options=QUIET) as again:
        assert uids(again) == ["a"]
        add(again, "new")
        with pytest.raises(Diverged, match="older backup"):
            again.flush()
        assert [r["uid"] for r in plain(again)] == ["a", "lost"]
        assert uids(again) == ["a", "new"]


@pytest.mark.catalogs("sqlite")  # the file itself is exchanged or damaged
def test_damaged_rows_in_the_catalog_are_an_integrity_error_at_worst(published: Lake) -> None:
    published.close()
    con = sqlite3.connect(published.root / "catalog.db")
    con.execute("UPDATE change SET body = x'00ff00ff'")
    con.commit()
    con.close()
    with Lake.open(published.root, options=QUIET) as again, pytest.raises(IntegrityError):
        uids(again)
