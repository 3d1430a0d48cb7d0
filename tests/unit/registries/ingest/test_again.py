"""What a run does with files that an earlier one saw, or that change under it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest

from lakehouse import config
from registries.ingest import Ingest, Options, keeping, pool, work
from registries.ingest.batch import Batch
from registries.ingest.findings import Finding, Findings
from registries.ingest.state import State
from registries.sealed import read_sealed
from validation import Rule


@pytest.fixture
def in_place(lake, folder):
    lake.Storage(root=str(folder)).save()
    return folder


@pytest.fixture
def reads(monkeypatch):
    """The files that were read."""
    found = []

    def noted(paths, plan, own=work.examine):
        found.extend(paths)
        return own(paths, plan)

    monkeypatch.setattr(pool, "examine", noted)
    return found


@pytest.fixture
def here(lake):
    """An ingest in threads of this process."""

    def run(source, **options):
        return Ingest(lake, source, Options(executor=ThreadPoolExecutor(2), **options)).run()

    return run


def test_a_schema_that_comes_later_is_asked_though_files_are_as_they_were(lake, here, folder):
    files = str(folder / "*.csv")
    (folder / "bad.csv").write_text("donor,age\nD1,-3\n")
    assert here(files).counts == {"new": 2}
    lake.Schema([Rule("age", "int", ge=0)], name="ages").save()
    assert here(files, schema="ages", on_error="skip").counts == {"failed": 1, "unchanged": 1}
    assert lake.Artifact.filter(schemas__name="ages").one().key == "t.csv"
    before = len(lake.snapshots())
    assert here(files, schema="ages", on_error="skip").counts == {"unchanged": 1, "failed": 1}
    assert len(lake.snapshots()) == before


def test_labels_and_values_reach_unchanged_files_without_reading_them(lake, here, folder, reads):
    (folder / "m.csv").write_text("path\na.txt\nbelow/b.txt\n")
    assert here(folder / "m.csv").counts == {"new": 2}
    lake.Feature(name="depth", dtype="int").save()
    (folder / "m.csv").write_text('path,features\na.txt,"{""depth"": 3}"\nbelow/b.txt,\n')
    reads.clear()
    assert here(folder / "m.csv", labels=("pilot",), create_labels=True).counts == {"unchanged": 2}
    assert reads == []
    assert lake.Artifact.filter(ulabels__name="pilot").count() == 2
    assert lake.Artifact.get(key="a.txt").features.get_values() == {"depth": 3}


def test_values_replace_those_before_and_categorical_ones_are_labels(lake, here, folder):
    lake.save([lake.Feature(name="depth", dtype="list[int]"), lake.Feature(name="donor", dtype="cat[ULabel]")])
    lake.ULabel(name="D1").save()
    cell = '"{""depth"": %s, ""donor"": ""D1""}"'
    (folder / "m.csv").write_text(f"path,features\na.txt,{cell % [1, 2]}\nbelow/b.txt,{cell % [3]}\n")
    assert here(folder / "m.csv").counts == {"new": 2}
    first, second = lake.Artifact.get(key="a.txt"), lake.Artifact.get(key="below/b.txt")
    assert first.features.get_values() == {"depth": [1, 2], "donor": "D1"}
    assert second.features.get_values() == {"depth": [3], "donor": "D1"}
    (folder / "m.csv").write_text(f"path,features\na.txt,{cell % [2]}\nbelow/b.txt,{cell % [3]}\n")
    assert here(folder / "m.csv").counts == {"unchanged": 2}
    assert first.features.get_values() == {"depth": [2], "donor": "D1"}
    before = len(lake.snapshots())
    here(folder / "m.csv")
    assert len(lake.snapshots()) == before


@pytest.mark.parametrize("looking", ["here", "beside"])
@pytest.mark.parametrize("size", ["the same size", "another size"])
def test_a_file_that_is_written_to_before_the_commit_fails_alone(lake, here, in_place, monkeypatch, size, looking):
    (in_place / "a.txt").write_text("old")
    monkeypatch.setattr("registries.ingest.lookout._MANY", 1 if looking == "beside" else 1_000)

    def written(*given, own=keeping.Keeping):
        (in_place / "a.txt").write_text("new" if size == "the same size" else "newer")
        return own(*given)

    monkeypatch.setattr("registries.ingest.registering.Keeping", written)
    report = here(in_place, on_error="skip")
    assert report.counts == {"new": 2, "failed": 1}
    assert [one.reason for one in report.failures] == ["changed"]
    assert lake.check(deep=True).ok
    monkeypatch.undo()
    assert here(in_place).counts == {"unchanged": 2, "new": 1}


def test_a_file_that_is_only_linked_to_before_the_commit_is_registered(lake, here, in_place, tmp_path, monkeypatch):
    def linked(*given, own=keeping.Keeping):
        os.link(in_place / "a.txt", tmp_path / "backup")
        return own(*given)

    monkeypatch.setattr("registries.ingest.registering.Keeping", linked)
    assert here(in_place).counts == {"new": 3}


def test_an_object_that_a_vacuum_takes_before_the_commit_is_stored_again(lake, here, folder, monkeypatch):
    def swept(*given, own=keeping.Keeping):
        for path in (lake.root / "storage" / "objects").rglob("*.txt"):
            path.unlink()
        return own(*given)

    monkeypatch.setattr("registries.ingest.registering.Keeping", swept)
    assert here(folder).counts == {"new": 3}
    assert lake.check(deep=True).ok


def test_names_that_differ_only_in_how_letters_are_composed_do_not_share_a_key(lake, here, folder):
    (folder / "caf\u00e9.txt").write_text("1")
    (folder / "cafe\u0301.txt").write_text("2")
    report = here(folder, on_error="skip")
    assert report.counts == {"new": 4, "failed": 1}
    assert "has the key of" in report.failures[0].message


def test_large_files_are_shared_out_one_by_one(here, folder, reads, monkeypatch):
    monkeypatch.setattr(work, "_BYTES", 10)
    for n in range(60):
        (folder / f"n{n:02}.txt").write_text("x" * 20)
    assert here(folder).counts == {"new": 63}
    assert len(set(reads)) == 63


def test_nothing_to_read_is_no_fault_whoever_reads(lake, folder):
    (folder / "empty").mkdir()
    assert Ingest(lake, folder / "empty", Options()).run().counts == {}
    assert Ingest(lake, folder, Options()).run().counts == {"new": 3}
    assert Ingest(lake, folder, Options()).run().counts == {"unchanged": 3}
    (folder / "m.csv").write_text("path\nnowhere.txt\n")
    assert Ingest(lake, folder / "m.csv", Options(on_error="skip")).run().counts == {"failed": 1}


@pytest.mark.parametrize("looking", ["here", "beside"])
def test_a_file_of_a_time_beyond_what_arrow_counts_is_registered_like_others(
    lake, here, in_place, monkeypatch, looking
):
    monkeypatch.setattr("registries.ingest.lookout._MANY", 1 if looking == "beside" else 1_000)
    os.utime(in_place / "a.txt", (10_413_792_000, 10_413_792_000))  # the year 2300
    if os.stat(in_place / "a.txt").st_mtime_ns < 2**63:
        pytest.skip("this file system has no such times")
    assert here(in_place).counts == {"new": 3}
    assert here(in_place).counts == {"unchanged": 3}


def test_a_memory_with_another_bit_anywhere_costs_reading_again(lake, here, folder, reads):
    assert here(folder).counts == {"new": 3}
    (part,) = (config.cache_settings()[0] / "ingest").rglob("part-*")
    data, whole = part.read_bytes(), len(reads)
    for place in range(0, len(data), 89):
        for other in part.parent.glob("part-*"):
            other.unlink()
        part.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        reads.clear()
        assert here(folder).counts == {"unchanged": 3}
        assert len(reads) == whole


def test_a_memory_that_an_older_version_wrote_is_known_and_brought_up_to_date(lake, here, folder, reads):
    assert here(folder).counts == {"new": 3}
    (part,) = (config.cache_settings()[0] / "ingest").rglob("part-*")
    table = read_sealed(part)
    pq.write_table(table, part.with_suffix(".parquet"), compression="zstd")
    part.unlink()
    reads.clear()
    (folder / "a.txt").unlink()
    assert here(folder, sync=True, settle=0).counts == {"unchanged": 2, "vanished": 1}
    assert reads == []
    assert [path.suffix for path in part.parent.glob("part-*")] == [part.suffix]
    assert here(folder, sync=True, settle=0).counts == {"unchanged": 2}


def test_an_older_memory_that_is_damaged_costs_reading_again(lake, here, folder, reads):
    assert here(folder).counts == {"new": 3}
    (part,) = (config.cache_settings()[0] / "ingest").rglob("part-*")
    table, whole = read_sealed(part), len(reads)
    part.unlink()
    pq.write_table(table, part.with_suffix(".parquet"), compression="none")
    data = part.with_suffix(".parquet").read_bytes()
    part.with_suffix(".parquet").write_bytes(data.replace(b"a.txt", b"\xff.txt"))
    reads.clear()
    assert here(folder).counts == {"unchanged": 3}
    assert len(reads) == whole


def test_what_cannot_be_written_as_text_is_left_out_of_the_memory(lake, tmp_path):
    found = Findings.of([Finding("aa", 1, mtime=1, ctime=1), Finding("bb", 1, mtime=1, ctime=1, message="\udce9")])
    state = State("lake", "source")
    state.add(Batch(["/a", "/b"], ["a", "b"], found=found))
    assert state.load()["path"].to_pylist() == ["/a"]
