"""What must not harm the registries: every entrance with what is hostile, and what is odd but legitimate."""

from __future__ import annotations

import math
import os
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deltalake
import pandas as pd
import pyarrow as pa
import pytest

import lakehouse as lh
from formats import hashing
from lakehouse.errors import (
    DataLoss,
    InputError,
    InvalidFile,
    InvalidKey,
    InvalidName,
    InvalidQuery,
    LakehouseError,
    NotFound,
    ReadOnly,
    Unavailable,
)
from registries.instance import Instance

MEGABYTE = "x" * 1_000_000
NAMED = {"ULabel": {}, "Feature": {"dtype": "int"}, "Transform": {}}
HOSTILE = {
    "nul": "a\0b",
    "newline": "a\nb",
    "right to left": "a\u202egpj.exe",
    "zero width": "trea\u200bted",
    "lone surrogate": "\ud800",
    "empty": "",
    "blank": " \t",
    "megabyte": MEGABYTE,
}
FRAME = pd.DataFrame({"a": [1]})
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the platform has no /proc")
ODD = [
    "'; DROP TABLE ulabel;--",
    'a" OR 1=1',
    'a""b',
    "100%_\\",
    "$1 ? %s",
    "(a+)+$",
    "select",
    "created_at",
    "uid",
    "é" * 40 + "1",
    "é" * 40 + "2",
]


@contextmanager
def refused(lake: Instance, kind: type[LakehouseError], match: str | None = None) -> Iterator[None]:
    """Expect an error of ours that is short and tells a next step, and that nothing was committed."""
    before = lake.snapshot().commit
    with pytest.raises(kind, match=match) as caught:
        yield
    message = str(caught.value)
    assert len(message) < 3_000
    assert ":" in message or ";" in message
    assert "SECRET" not in message
    assert lake.snapshot().commit == before


# Names


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("registry", NAMED)
def test_hostile_names_are_refused_by_every_registry(lake, registry, name):
    with refused(lake, InvalidName, f"{registry}.name"):
        getattr(lake, registry)(name=name, **NAMED[registry]).save()


@pytest.mark.parametrize(
    ("registry", "field", "given"),
    [
        ("User", "handle", {}),
        ("User", "name", {"handle": "eve"}),
        ("Transform", "version", {"name": "t"}),
        ("Feature", "unit", {"name": "f", "dtype": "int"}),
        ("Storage", "root", {}),
    ],
)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_refused_in_short_fields(lake, registry, field, given, text):
    with refused(lake, InvalidName, rf"{registry}\.{field}"):
        getattr(lake, registry)(**given, **{field: text}).save()


@pytest.mark.parametrize("registry", NAMED)
def test_odd_names_come_back_from_every_reader_also_after_publishing(lake, registry):
    records = [getattr(lake, registry)(name=name, **NAMED[registry]).save() for name in ODD]
    for _ in range(2):
        for record in records:
            assert getattr(lake, registry).filter(name=record.name).one() == record
            assert getattr(lake, registry).filter(name__in=[record.name]).one() == record
        lake.flush()
    plain = deltalake.DeltaTable(str(lake.root / "tables" / registry.lower()))
    assert sorted(pa.table(plain.to_pyarrow_dataset().to_table())["name"].to_pylist()) == sorted(ODD)


@pytest.mark.parametrize("operator", ["contains", "icontains", "startswith", "endswith"])
def test_wildcards_and_patterns_mean_themselves(lake, operator):
    for name in ("100%", "1000", "a_b", "aXb", "(a+)+$", "a" * 500 + "b", "back\\"):
        lake.ULabel(name=name).save()
    for needle, found in (("100%", "100%"), ("a_b", "a_b"), ("(a+)+$", "(a+)+$"), ("back\\", "back\\")):
        assert [label.name for label in lake.ULabel.filter(**{f"name__{operator}": needle})] == [found]


def test_twins_in_unicode_are_found_however_they_are_typed(lake):
    composed, apart = "Ménière.csv", unicodedata.normalize("NFD", "Ménière.csv")
    label = lake.ULabel(name=apart).save()
    artifact = lake.Artifact(pd.DataFrame({"a": [1]}), key=apart).save()
    for text in (composed, apart):
        assert lake.ULabel.get(name=text) == label
        assert lake.ULabel.filter(name=text).one() == lake.ULabel.filter(name__in=[text]).one() == label
        assert lake.Artifact.get(key=text) == lake.Artifact.filter(key=text).one() == artifact
        assert lake.sql(f'select a from content."{text}"').fetchall() == [(1,)]


def test_a_megabyte_as_a_field_is_cut_in_the_message(lake):
    for act in (lambda: lake.ULabel(**{MEGABYTE: 1}), lambda: lake.ULabel.filter(**{MEGABYTE: 1})):
        with refused(lake, InputError, "no field"):
            act()
    with refused(lake, InputError, "no look-up"):
        lake.ULabel.filter(**{f"name__{MEGABYTE}": 1})


# Commits, users and limits


@pytest.mark.parametrize(
    "message",
    ["a\0b", "\ud800", None, b"a", 2**63, math.nan, ["a"], MEGABYTE],
    ids=["nul", "surrogate", "none", "bytes", "number", "nan", "list", "megabyte"],
)
def test_messages_that_are_no_text_are_refused_before_the_block_runs(lake, message):
    with refused(lake, InputError, "message"), lake.transaction(message):
        pytest.fail("the block ran")


@pytest.mark.parametrize("message", [*ODD, "two\nlines", "\u202ertl", ""])
def test_odd_messages_come_back(lake, message):
    with lake.transaction(message):
        lake.ULabel(name="x").save()
    assert lake.snapshots(1)[0].message == message


@pytest.mark.parametrize(
    "user", [*(text for text in HOSTILE.values()), 1, b"ada", 1.5, ["ada"]], ids=lambda user: ascii(user)[:20]
)
def test_users_that_cannot_be_stored_are_refused(lake, user):
    with refused(lake, InputError, "user"):
        Instance.open(lake.root, user=user)


@pytest.mark.parametrize("limit", [-1, 2**63, True, 1.5, "1", "1; drop table commits", math.nan, [1]])
def test_limits_of_snapshots_are_whole_numbers(lake, limit):
    with refused(lake, InputError, "limit"):
        lake.snapshots(limit)


@pytest.mark.parametrize("at", ["0000-01-01", "10000-01-01", "x'; drop table x", -1, 2**63, math.inf, True, b"1", ""])
def test_points_in_time_that_are_none_are_refused(lake, at):
    for act in (lambda: lake.sql("from ulabel", at=at), lambda: lake.ULabel.filter().at(at).count()):
        with refused(lake, InputError):
            act()


@pytest.mark.parametrize("records", [1, None, "treated", b"x", [1], ["treated"], [None]])
def test_what_is_no_record_is_not_saved(lake, records):
    with refused(lake, InputError, "record"):
        lake.save(records)


# SQL


@pytest.mark.parametrize("params", [1, 2**63, math.nan, "ab", b"ab", object()])
def test_parameters_that_are_no_list_are_refused(lake, params):
    with refused(lake, InputError, "params"):
        lake.sql("select ?", params)


@pytest.mark.parametrize("value", [*ODD, MEGABYTE, "", "a\0b", 2**63, -(2**100), math.inf, None])
def test_values_are_bound_and_never_become_sql(lake, value):
    assert lake.sql("select ? as v", [value]).fetchall() == [(value,)]
    assert lake.sql("select $v as v", {"v": value}).fetchall() == [(value,)]


@pytest.mark.parametrize(
    "tables", ["t", 1, [("t", 1)], {1: FRAME}, {None: FRAME}, {"": FRAME}, {"\ud800": FRAME}, {("content", "x"): FRAME}]
)
def test_names_of_the_callers_tables_are_text(lake, tables):
    with refused(lake, InputError, "tables"):
        lake.sql("select 1", tables=tables)


@pytest.mark.parametrize("name", [*ODD, "main", "information_schema", "pg_catalog", "a.b", "content", "x" * 64 + "1"])
def test_odd_names_of_the_callers_tables_work(lake, name):
    quoted = name.replace('"', '""')
    assert lake.sql(f'select a from "{quoted}"', tables={name: FRAME}).fetchall() == [(1,)]


def test_an_error_does_not_repeat_a_megabyte_of_statement(lake):
    for statement, params in ((MEGABYTE, None), ("select ?", list(MEGABYTE))):
        with refused(lake, InvalidQuery):
            lake.sql(statement, params)


# Roots and catalogs


@pytest.mark.parametrize(
    "root",
    [
        "s3://key:SECRET@bucket/x",
        Path("s3://key:SECRET@bucket/x"),
        "https://ada:SECRET@host/x",
        "postgresql://ada:SECRET@host/db",
        "file://ada:SECRET@host/x",
        "x\0y",
        "\ud800",
        "new\nline",
        "per%20cent",
        "%2e%2e/x",
        "back\\slash",
        "\udce9",
        "a" * 300,
        "a/" * 3_000,
        MEGABYTE,
        "~no-such-user/x",
        "/dev/null",
        "/dev/null/x",
        "/proc/x",
        "",
        1,
        b"/tmp/x",
    ],
    ids=lambda root: ascii(root)[:20],
)
def test_roots_that_can_hold_no_instance_are_refused_and_leave_nothing(alone, root):
    for act in (lh.init, lh.open, lh.connect):
        with pytest.raises(LakehouseError) as caught:
            act(root)
        assert "SECRET" not in str(caught.value)
        assert len(str(caught.value)) < 1_000
    assert not list(alone.iterdir())


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE x;--", "glob[*]?", "a b", "ha#sh", "naïve", "100%", "e\u0301", "select"]
)
def test_odd_roots_hold_an_instance_that_plain_readers_read(alone, name):
    with Instance.create(name) as lake:
        lake.ULabel(name="x").save()
        lake.flush()
        assert deltalake.DeltaTable(str(lake.root / "tables" / "ulabel")).to_pyarrow_dataset().count_rows() == 1
    with Instance.open(name) as lake:
        assert lake.ULabel.filter().count() == 1


@pytest.mark.parametrize(
    "catalog",
    [
        "s3://key:SECRET@bucket",
        Path("s3://key:SECRET@bucket"),
        "postgresql://ada:SECRET@host/db",
        "file:///tmp/catalog.db",
        "x\0y",
        "\ud800",
        "",
        ".",
        "/dev/null",
        "a" * 300,
        "/dev/null/x",
        1,
        b"x",
    ],
    ids=lambda catalog: ascii(catalog)[:20],
)
def test_catalogs_that_are_no_local_file_are_refused(alone, catalog):
    with pytest.raises(LakehouseError) as caught:
        lh.init("lake", catalog=catalog)
    assert "SECRET" not in str(caught.value)
    assert not list(alone.rglob("*.json"))
    assert not list(alone.rglob("*SECRET*"))


def test_the_catalog_is_for_its_owner_alone(lake):
    lake.ULabel(name="x").save()
    modes = {stat.S_IMODE(file.stat().st_mode) for file in lake.root.glob("catalog.db*")}
    assert modes == {0o600}


@pytest.mark.parametrize(
    "root", ["s3://key:SECRET@bucket", "https://b.s3.amazonaws.com/x?X-Amz-Signature=SECRET", "s3:/key:SECRET@bucket"]
)
def test_a_storage_with_a_secret_in_its_root_is_not_recorded(lake, root):
    with refused(lake, InputError, "holds a key, a password or a signature"):
        lake.Storage(root=root).save()
    assert lake.Storage(root="memory://bucket/folder").save().kind == "memory"


def test_a_read_only_user_saves_labels_deletes_and_publishes_nothing(lake):
    artifact = lake.Artifact(b"1", key="a.txt").save()
    artifact.labels.add("treated", create=True)
    with Instance.open(lake.root, read_only=True, user="eve") as reader:
        mine = reader.Artifact.get(key="a.txt")
        for act in (
            reader.ULabel(name="y").save,
            reader.Artifact(b"x", key="x.txt").save,
            lambda: mine.labels.add("other", create=True),
            lambda: mine.labels.remove("treated"),
            lambda: reader.run(lambda txn: txn.delete("artifact", [mine.uid])),
            reader.flush,
        ):
            with refused(lake, ReadOnly):
                act()


# Sources of artifacts


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("x\0y", InvalidKey),
        (Path("x\0y"), InvalidKey),
        ("\ud800", InvalidKey),
        ("", InvalidKey),
        (MEGABYTE, InvalidKey),
        ("https://b.s3.amazonaws.com/x?X-Amz-Signature=SECRET", InvalidKey),
        (Path("https://b.s3.amazonaws.com/x?X-Amz-Signature=SECRET"), InvalidKey),
        (Path("s3://key:SECRET@bucket/x"), InvalidKey),
        ("file://ada:SECRET@host/x", InvalidKey),
        ("~/no-such-file", NotFound),
        ("no-such-file/../x", NotFound),
        ("/dev/zero", InvalidKey),
        pytest.param("/proc/self/mem", Unavailable, marks=NEEDS_PROC),
        pytest.param("/proc/cpuinfo", InvalidFile, marks=NEEDS_PROC),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_sources_that_cannot_be_read_are_refused(lake, source, kind):
    with refused(lake, kind):
        lake.Artifact(source, key="x").save()
    assert not list(lake.root.rglob("objects/*/*"))


@pytest.mark.parametrize("given", ["path", "bytes path", "keyless"])
@pytest.mark.parametrize("inside", [True, False])
def test_files_whose_names_are_no_utf8_are_saved_and_read(lake, tmp_path, inside, given):
    folder = lake.root / "storage" if inside else tmp_path
    folder.mkdir(exist_ok=True)
    name = os.fsencode(folder) + b"/caf\xe9.csv"
    try:
        Path(os.fsdecode(name)).write_text("a,b\n1,2\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")

    class Named:
        def __fspath__(self) -> bytes:
            return name

    source = Named() if given == "bytes path" else os.fsdecode(name)
    artifact = lake.Artifact(source, key=None if given == "keyless" else "cafe.csv").save()
    assert lake.Artifact.get(artifact.uid).load().b.tolist() == [2]


@pytest.mark.parametrize(
    "name", ["[x]*?{a,b}.csv", "per%20cent.csv", "ha#sh.csv", "qu?ery.csv", 'q"q.csv', "k=v/_x.csv", ".hidden.csv"]
)
def test_odd_files_in_the_storage_are_registered_where_they_lie_and_read_by_sql(lake, name):
    file = lake.root / "storage" / name
    file.parent.mkdir(parents=True)
    file.write_text("a,b\n1,2\n")
    artifact = lake.Artifact(file).save()
    quoted = name.replace('"', '""')
    assert (artifact.key, artifact.path) == (name, file)
    assert lake.sql(f'select * from content."{quoted}"').fetchall() == [(1, 2)]


@pytest.mark.parametrize("name", ["back\\slash.csv", "new\nline.csv", "\u202ertl.csv", "~x.csv", "_delta_log/x.csv"])
def test_files_in_the_storage_whose_names_are_no_keys_need_one(lake, name):
    file = lake.root / "storage" / name
    file.parent.mkdir(parents=True)
    file.write_text("a,b\n1,2\n")
    with refused(lake, InvalidKey):
        lake.Artifact(file).save()
    assert lake.Artifact(file, key="x.csv").save().path == file
    assert lake.sql('select * from content."x.csv"').fetchall() == [(1, 2)]


def test_links_are_followed_into_the_storage_and_never_out_of_it(lake, tmp_path):
    outside, inside = tmp_path / "outside", lake.root / "storage"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.csv").write_text("a\n1\n")
    (inside / "mine.csv").write_text("a\n2\n")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to("loop")
    (tmp_path / "way").symlink_to(inside)
    for source in (inside / "folder" / "secret.csv", inside / "loop"):
        with refused(lake, InvalidKey, "link"):
            lake.Artifact(source).save()
    assert lake.Artifact(tmp_path / "way" / "mine.csv").save().key == "mine.csv"
    assert lake.Artifact(f"{inside}/../storage/mine.csv").save().key == "mine.csv"


def _link(file: Path, outside: Path) -> None:
    file.symlink_to(outside)


def _pipe(file: Path, _: Path) -> None:
    os.mkfifo(file)


def _folder(file: Path, _: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize(("put", "kind"), [(_link, InvalidKey), (_pipe, DataLoss), (_folder, DataLoss)])
def test_what_is_put_in_the_place_of_a_registered_file_is_not_read(
    lake, tmp_path, put: Callable[[Path, Path], None], kind
):
    (tmp_path / "secret.txt").write_text("SECRET")
    file = lake.root / "storage" / "a.txt"
    file.parent.mkdir()
    file.write_text("public")
    artifact = lake.Artifact(file).save()
    file.unlink()
    put(file, tmp_path / "secret.txt")
    with pytest.raises(kind):
        artifact.load()


def test_a_file_that_changes_while_it_is_read_leaves_no_artifact(lake, tmp_path, monkeypatch):
    file = tmp_path / "growing.csv"
    file.write_text("a\n1\n")
    real = hashing.hash_file

    def growing(path: Path, **options: Any) -> str:
        found = real(path, **options)
        path.write_text("a\n1\n2\n")
        return found

    monkeypatch.setattr(hashing, "hash_file", growing)
    with refused(lake, InvalidFile, "changed since"):
        lake.Artifact(file, key="growing.csv").save()
    assert not list(lake.root.rglob("*.csv"))


KEYS = [
    "tables/x.txt",
    "storage/x.txt",
    "objects/ab/x.txt",
    "catalog.db",
    "lake.json",
    "a",
    "a/b",
    "A",
    "A/b",
    "-rf",
    "--help",
    "$1",
    "?",
    "%s",
    "select",
    "uid",
    "k" * 1024,
    "é" * 512,
    "(a+)+$",
]


def test_odd_keys_live_beside_each_other_and_come_back_from_every_reader(lake):
    for key in KEYS:
        lake.Artifact(key.encode(), key=key, format="blob").save()
    lake.flush()
    for key in KEYS:
        assert lake.Artifact.get(key=key).load() == key.encode()
        assert lake.Artifact.filter(key=key).count() == 1
        assert lake.sql("select count(*) from artifact where key = ?", [key]).fetchall() == [(1,)]
    plain = deltalake.DeltaTable(str(lake.root / "tables" / "artifact")).to_pyarrow_dataset().to_table()
    assert sorted(pa.table(plain)["key"].to_pylist()) == sorted(KEYS)


@pytest.mark.parametrize("field", ["suffix", "format", "description", "key"])
@pytest.mark.parametrize("value", ["a\0b", "\ud800", 1, b"a", 2**63, math.nan, ["a"]], ids=lambda value: ascii(value))
def test_fields_of_an_artifact_are_text(lake, field, value):
    given = {"key": "x.txt", field: value}
    with refused(lake, InputError):
        lake.Artifact(b"1", **given).save()
    assert not list(lake.root.rglob("objects/*/*"))


def test_an_instance_whose_delta_log_is_gone_says_so_and_loses_nothing(lake):
    lake.ULabel(name="x").save()
    lake.flush()
    shutil.rmtree(lake.root / "tables" / "ulabel" / "_delta_log")
    lake.ULabel(name="y").save()
    with pytest.raises(LakehouseError, match="ulabel"):
        lake.flush()
    assert lake.ULabel.filter().count() == 2
