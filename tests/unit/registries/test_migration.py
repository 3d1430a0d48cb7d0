"""Migrations: what is planned and applied, what is refused, and that instances of every format open and lose nothing."""

from __future__ import annotations

import logging
import sqlite3
import zipfile
from pathlib import Path
from types import new_class

import pyarrow as pa
import pytest

import lakehouse as lh
from lakehouse.cli import main
from lakehouse.engine import Lake, TableSpec
from lakehouse.engine.catalog_sqlite import FORMAT
from lakehouse.engine.findings import Severity
from lakehouse.errors import (
    ConfigurationError,
    Duplicate,
    InputError,
    NewerFormat,
    OlderFormat,
    ReadOnly,
    ReferenceMissing,
)
from registries import Instance, binding
from registries.adding import add
from registries.binding import REGISTRIES
from registries.migrated import broken_rules, recorded
from registries.migration import planned
from registries.retyped import retyped, values_lost

RELEASED = sorted((Path(__file__).parents[2] / "released").glob("*.zip"))


@pytest.fixture(autouse=True)
def _as_before():
    there = dict(REGISTRIES)
    yield
    REGISTRIES.clear()
    REGISTRIES.update(there)
    if (current := binding.set_current(None)) is not None:
        current.close()


def column(hint, **options):
    return hint, lh.column(doc="x", **options)


def declared(**columns):
    """Declare a version of the registry ``Batch``."""

    def body(namespace):
        namespace["__annotations__"] = {n: lh.Column[kind] for n, (kind, _) in columns.items()}
        namespace.update({n: made for n, (_, made) in columns.items()}, __module__=__name__)

    return new_class("Batch", (lh.Record,), {"natural": ("name",), "carried": "batches"}, body)


def name():
    return str, lh.column(doc="x", unique=True)


def size():
    return column(int | None, default=None)


def note():
    return column(str | None, default=None)


@pytest.fixture
def batches(lake):
    """An instance with two batches, the first one published."""
    add(lake, [declared(name=name(), size=size(), note=note())])
    lake.Batch(name="a", size=1, note="one").save()
    lake.flush()
    lake.Batch(name="b", size=2).save()
    lake.Artifact(b"\0", key="x.bin").save().batches.add("a")
    return lake


def rows(lake, at=None):
    return sorted(lake.snapshot(at).rows("batch").to_pylist(), key=lambda row: row["name"])


def test_added_columns_take_metadata_alone_and_others_rewrite_in_one_commit(batches):
    wider = declared(name=name(), size=column(float | None, default=None), note=note(),
                     kind=column(str, default="wet"), seen=column(int | None, default=None))  # fmt: skip
    plan = planned(batches, [wider])
    assert repr(plan) == (
        "batch: size becomes double (was int64), kind is added, seen is added (rows are written anew)"
    )
    before, old = batches.lake.head(), rows(batches)
    done = plan.apply()
    assert done.commit == before + 1 == batches.lake.head()
    assert [(r["size"], r["note"], r["kind"], r["seen"]) for r in rows(batches)] == [
        (1.0, "one", "wet", None),
        (2.0, None, "wet", None),
    ]
    assert rows(batches, before) == old
    assert batches.Batch(name="c", size=0.5).save().kind == "wet"
    assert batches.Artifact.filter(batches__name="a").count() == 1
    batches.flush()
    assert not batches.check().of(Severity.HARM)
    assert not planned(batches, [wider])
    plain = declared(name=name(), size=column(float | None, default=None), note=note(), kind=column(str, default="wet"), seen=column(int | None, default=None), late=column(str | None, default=None))  # fmt: skip
    assert repr(planned(batches, [plain])) == "batch: late is added"


def test_a_column_is_renamed_with_its_values(batches):
    renamed = declared(name=name(), size=size(), remark=column(str | None, default=None, was="note"))
    plan = planned(batches, [renamed])
    assert repr(plan) == "batch: note is called remark (rows are written anew)"
    plan.apply()
    assert [row["remark"] for row in rows(batches)] == ["one", None]
    assert batches.Batch.get(name="a").remark == "one"


def test_values_are_lost_only_on_demand_and_time_travel_shows_them(batches):
    smaller = declared(name=name(), size=size())
    plan = planned(batches, [smaller])
    assert plan.losses == ["batch: 1 values of note"]
    before = batches.lake.head()
    with pytest.raises(InputError, match="would lose batch: 1 values of note: pass allow_loss=True"):
        plan.apply()
    assert batches.lake.head() == before
    plan.apply(allow_loss=True)
    assert "note" not in rows(batches)[0]
    assert rows(batches, before)[0]["note"] == "one"
    assert batches.sql("select note from batch order by name", at=before).fetchall() == [("one",), (None,)]
    numbers = declared(name=name(), size=column(bool | None, default=None))
    assert planned(batches, [numbers]).losses == ["batch: 1 values of size"]


def test_rows_that_break_a_new_rule_stop_a_migration(batches):
    must = declared(name=name(), size=size(), note=column(str))
    with pytest.raises(ConfigurationError, match="note must have a value, and 1 rows have none: declare a default"):
        planned(batches, [must]).apply()
    batches.Batch(name="c", note="one").save()
    unique = declared(name=name(), size=size(), note=column(str | None, default=None, unique=True))
    with pytest.raises(Duplicate, match="note cannot become unique: 1 values"):
        planned(batches, [unique]).apply()
    referring = declared(name=name(), size=size())
    referring.meta.columns["note"] = lh.reference("ulabel", doc="x", default=None)
    referring.meta.columns["note"].name = "note"
    referring.meta.columns["note"].nullable = True
    with pytest.raises(ReferenceMissing, match="which ulabel lacks"):
        planned(batches, [referring]).apply()
    limited = declared(name=name(), size=column(int | None, default=None, ge=2), note=note())
    planned(batches, [limited]).apply()
    assert broken_rules(batches) == ["Batch.size = 1 is not at least 2"]


def test_a_class_with_more_columns_opens_its_instance_for_reading_until_it_is_migrated(batches, caplog):
    root = batches.root
    batches.close()
    wider = declared(name=name(), size=size(), note=note(),
                     unit=column(str | None, default=None))  # fmt: skip
    with caplog.at_level(logging.WARNING, "lakehouse"), Instance.open(root, user="ada") as older:
        assert "open for reading only: lh.migrate()" in caplog.text
        assert older.read_only
        assert older.Batch.get(name="a").unit is None
        with pytest.raises(OlderFormat, match=r"lacks what this version has \(batch\).*lh\.migrate"):
            older.Batch(name="c").save()
    lh.connect(root, user="ada")
    assert repr(lh.migration()) == "batch: unit is added"
    with pytest.raises(OlderFormat, match=r"lh\.migrate\(\)"):
        lh.migration().apply()
    assert lh.migrate(wider).steps[0].table == "batch"
    assert lh.registry("batch")(name="c", unit="mm").save().unit == "mm"
    assert recorded(lh.current())[0]["message"] == "migration: batch: unit is added"


def test_a_module_that_lacks_columns_loses_none_of_their_values(batches):
    root = batches.root
    batches.close()
    declared(name=name(), size=size())
    with Instance.open(root, user="ada") as lake:
        batch = lake.Batch.get(name="a")
        batch.size = 7
        batch.save()
        assert [(row["size"], row["note"]) for row in rows(lake)] == [(7, "one"), (2, None)]


def test_an_older_program_refuses_to_write_what_a_newer_one_migrated_and_reads_it(batches):
    root = batches.root
    batches.close()
    with Lake.open(root) as newer:
        spec = newer.schemas.current("ulabel").spec
        newer.ensure([
            TableSpec("ulabel", spec.schema.append(pa.field("mood", pa.string())), spec.unique, spec.references),
            TableSpec("weather", pa.schema([pa.field("uid", pa.string(), nullable=False)])),
        ])  # fmt: skip
        head = newer.head()
    with pytest.raises(NewerFormat, match=r"newer version.*ulabel\.mood, weather.*pip install --upgrade"):
        Instance.open(root)
    with Instance.open(root, read_only=True) as reader:
        assert reader.Batch.filter().count() == 2
        with pytest.raises(ReadOnly):
            reader.ULabel(name="x").save()
    con = sqlite3.connect(root / "catalog.db")
    con.execute("PRAGMA user_version = 999")
    con.close()
    for read_only in (True, False):
        with pytest.raises(NewerFormat, match="pip install --upgrade"):
            Instance.open(root, read_only=read_only)
    con = sqlite3.connect(root / "catalog.db")
    assert con.execute("SELECT max(id) FROM commits").fetchone() == (head,)
    con.close()


@pytest.mark.parametrize("released", RELEASED, ids=[path.stem for path in RELEASED])
def test_an_instance_of_every_released_format_is_read_migrated_and_written(released, tmp_path, capsys):
    root = tmp_path / "lake"
    with zipfile.ZipFile(released) as packed:
        packed.extractall(root)
    with Instance.open(root, user="ada") as older:
        _says_what_it_said(older)
        if older.older:
            with pytest.raises(OlderFormat):
                older.ULabel(name="late").save()
    if RELEASED.index(released) == 0:
        assert main(["save", str(released), "--instance", str(root)]) == 1
        told = capsys.readouterr().err
        assert "`lakehouse migrate apply` brings it up to date" in told
        assert "lh." not in told
    assert main(["migrate", "plan", "--instance", str(root)]) == 0
    assert main(["migrate", "apply", "--instance", str(root)]) == 0
    assert main(["migrate", "check", "--instance", str(root)]) == 0
    assert "nothing is left to migrate" in capsys.readouterr().out
    with Instance.open(root, user="ada") as lake:
        _says_what_it_said(lake)
        lake.ULabel(name="late").save()
        lake.flush()
        assert lake.ULabel.filter(name="late").at("first").count() == 0
        assert lake.sql("select count(*) from ulabel").fetchall() == [(2,)]


def _says_what_it_said(lake):
    artifact = lake.Artifact.get(key="raw/a.bin")
    assert Path(artifact.path).read_bytes() == b"\x00\x01"
    assert [label.name for label in artifact.ulabels.get()] == ["treated"]
    assert artifact.features.get_values() == {"temperature": 21.5}
    assert lake.ULabel.get(name="treated").synonyms == ["drugged"]
    assert lake.CellType.filter(descendant_of="lymphocyte").count() == 2
    assert lake.Artifact.get(key="raw/b.bin").run == lake.Run.filter(host="node7").one().uid
    assert [tag.name for tag in lake.tags()] == ["first"]


def test_the_format_of_this_version_is_among_the_released_ones(tmp_path):
    """A change of format without an instance of it in ``tests/released`` would go untested in later versions."""
    found = set()
    for released in RELEASED:
        with zipfile.ZipFile(released) as packed:
            packed.extract("catalog.db", tmp_path)
        con = sqlite3.connect(tmp_path / "catalog.db")
        found.add(con.execute("PRAGMA user_version").fetchone()[0])
        con.close()
    assert FORMAT in found


@pytest.mark.parametrize(
    ("values", "kind", "expected", "lost"),
    [
        ([1, 2, None], pa.float64(), [1.0, 2.0, None], 0),
        ([1.5, 2.0], pa.int64(), [None, 2], 1),
        (["1", "x"], pa.int64(), [1, None], 1),
        (["a", ""], pa.list_(pa.string()), [["a"], [""]], 0),
        ([["a"], [], ["a", "b"]], pa.string(), ["a", None, None], 1),
        ([2**60 + 1], pa.float64(), [None], 1),
    ],
)
def test_values_become_another_type_where_nothing_is_lost(values, kind, expected, lost):
    given = pa.chunked_array([values])
    assert retyped(given, kind).to_pylist() == expected
    assert values_lost(given, kind) == lost
