from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec
from lakehouse.errors import ConfigurationError, InvalidName
from tests.unit.engine.support import LABEL, UID, add, plain, rows_of


def spec(*fields: object, **rules: object) -> TableSpec:
    return TableSpec("label", pa.schema([UID, *fields]), **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["", "Label", "1x", "a-b", "a.b", 'a"b', "a b", "../x", "x" * 64, "'; DROP TABLE x;--", "é", "a\x00"]
)
def test_table_name_that_is_no_snake_case_is_refused(name: str) -> None:
    with pytest.raises(InvalidName, match="snake case"):
        TableSpec(name, pa.schema([UID]))


@pytest.mark.parametrize(
    "schema",
    [
        pa.schema([("name", pa.string()), UID]),
        pa.schema([("uid", pa.int64())]),
        pa.schema([UID, ("Name", pa.string()), ("name", pa.string())]),
        pa.schema([UID, ("kind", pa.dictionary(pa.int8(), pa.string()))]),
        pa.schema([]),
    ],
    ids=["uid not first", "uid no string", "names differ in case only", "dictionary", "no columns"],
)
def test_columns_that_delta_cannot_hold_are_refused(schema: pa.Schema) -> None:
    with pytest.raises(ConfigurationError):
        TableSpec("label", schema)


def test_rules_over_unknown_columns_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'nme'"):
        spec(("name", pa.string()), unique=(("nme",),))
    with pytest.raises(ConfigurationError, match="'owner'"):
        spec(("name", pa.string()), references={"owner": "user"})


def test_rules_and_columns_survive_the_catalog(lake: Lake) -> None:
    comment = pa.field("size", pa.int64(), metadata={b"comment": b"bytes"})
    lake.ensure([TableSpec("thing", pa.schema([UID, comment]), unique=(("size",),), comment="what we have")])
    with Lake.open(lake.root) as again:
        found = again.schemas.current("thing").spec
    assert found.unique == (("size",),)
    assert found.comment == "what we have"
    assert found.schema.field("size").metadata == {b"comment": b"bytes"}


def test_added_column_is_null_in_older_rows(lake: Lake) -> None:
    add(lake, "a")
    lake.ensure([spec(("name", pa.string()), ("n", pa.int64()), ("unit", pa.string()), unique=(("name",),))])
    lake.run(lambda txn: txn.insert("label", [{"uid": "b", "unit": "mm"}]))
    assert [row["unit"] for row in rows_of(lake)] == [None, "mm"]
    assert lake.snapshot().get("label", "a")["unit"] is None
    assert "unit" not in lake.snapshot(1).schema("label").names


def test_older_program_keeps_the_columns_of_a_newer_one(lake: Lake) -> None:
    wide = spec(("name", pa.string()), ("n", pa.int64()), ("unit", pa.string()), unique=(("name",),))
    lake.ensure([wide])
    before = lake.head()
    with Lake.open(lake.root, [LABEL]) as older:
        assert "unit" in older.snapshot().schema("label").names
        assert older.head() == before


def test_changed_type_is_refused_and_changes_nothing(lake: Lake) -> None:
    before = lake.head()
    with pytest.raises(ConfigurationError, match=r"label\.n is int64 in the instance and string"):
        lake.ensure([spec(("name", pa.string()), ("n", pa.string()), unique=(("name",),))])
    assert lake.head() == before


def test_added_column_that_may_not_be_null_is_refused(lake: Lake) -> None:
    wanted = spec(
        ("name", pa.string()), ("n", pa.int64()), pa.field("m", pa.int64(), nullable=False), unique=(("name",),)
    )
    with pytest.raises(ConfigurationError, match="must be nullable"):
        lake.ensure([wanted])


def test_unique_rule_over_rows_that_are_there_is_refused(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [{"uid": "a", "n": 1}, {"uid": "b", "n": 1}]))
    with pytest.raises(ConfigurationError, match="unique"):
        lake.ensure([spec(("name", pa.string()), ("n", pa.int64()), unique=(("name",), ("n",)))])


def test_reference_over_a_column_that_is_there_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match="reference"):
        lake.ensure([spec(("name", pa.string()), ("n", pa.int64()), unique=(("name",),), references={"name": "event"})])


def test_rules_over_added_columns_hold_from_then_on(lake: Lake) -> None:
    from lakehouse.errors import Duplicate, ReferenceMissing

    wide = spec(
        ("name", pa.string()),
        ("n", pa.int64()),
        ("code", pa.string()),
        ("event", pa.string()),
        unique=(("name",), ("code",)),
        references={"event": "event"},
    )
    add(lake, "a")
    lake.ensure([wide])
    lake.run(lambda txn: txn.insert("label", [{"uid": "b", "code": "x"}]))
    with pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("label", [{"uid": "c", "code": "x"}]))
    with pytest.raises(ReferenceMissing):
        lake.run(lambda txn: txn.insert("label", [{"uid": "c", "event": "nowhere"}]))


def test_older_program_does_not_drop_a_rule_of_a_newer_one(lake: Lake) -> None:
    from lakehouse.errors import Duplicate

    wide = spec(("name", pa.string()), ("n", pa.int64()), ("code", pa.string()), unique=(("name",), ("code",)))
    lake.ensure([wide])
    with Lake.open(lake.root, [LABEL]) as older:
        older.run(lambda txn: txn.insert("label", [{"uid": "a", "code": "x"}]))
        with pytest.raises(Duplicate):
            older.run(lambda txn: txn.insert("label", [{"uid": "b", "code": "x"}]))


def test_changed_comment_alone_does_not_stop_publishing(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    lake.ensure([TableSpec("label", LABEL.schema, unique=LABEL.unique, comment="what things are called")])
    add(lake, "b")
    lake.flush()
    assert [row["uid"] for row in plain(lake)] == ["a", "b"]
