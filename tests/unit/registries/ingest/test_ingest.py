from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from lakehouse.errors import Busy, InputError, InvalidData, NotFound
from registries.ingest import ingest as module
from registries.ingest.state import State

KEYS = ["run1/a.txt", "run1/below/b.txt", "run1/t.csv"]


def keys(lake):
    return sorted(lake.Artifact.filter().arrow()["key"].to_pylist())


def test_a_folder_becomes_artifacts_in_one_commit_and_a_second_run_changes_nothing(lake, ingest, folder):
    before = len(lake.snapshots())
    report = ingest(folder)
    assert report.counts == {"new": 3}
    assert keys(lake) == KEYS
    assert len(lake.snapshots()) == before + 1
    table = lake.Artifact.get(key="run1/t.csv")
    assert (table.kind, table.n_rows, table.load()["age"].tolist()) == ("dataframe", 2, [31, 45])
    again = ingest(folder)
    assert again.counts == {"unchanged": 3}
    assert len(lake.snapshots()) == before + 1
    assert {one.uid for one in again.outcomes} == {one.uid for one in report.outcomes}


def test_a_changed_file_is_the_next_version(lake, ingest, folder):
    ingest(folder)
    (folder / "a.txt").write_text("changed")
    assert ingest(folder).counts == {"unchanged": 2, "new version": 1}
    found = lake.Artifact.get(key="run1/a.txt")
    assert (found.version, found.load()) == (1, b"changed")


def test_a_folder_in_a_registered_storage_is_registered_where_it_lies(lake, ingest, folder):
    lake.Storage(root=str(folder.parent / "run1")).save()
    assert ingest(folder).counts == {"new": 3}
    assert keys(lake) == ["a.txt", "below/b.txt", "t.csv"]
    assert lake.Artifact.get(key="below/b.txt").path == folder / "below" / "b.txt"
    assert not (lake.root / "storage" / "objects").exists()


def test_what_is_copied_is_whole_and_stored_once(lake, ingest, folder):
    (folder / "same.txt").write_text("a")
    ingest(folder)
    first, second = lake.Artifact.get(key="run1/a.txt"), lake.Artifact.get(key="run1/same.txt")
    assert first.path == second.path
    assert first.load() == b"a"
    assert lake.check(deep=True).ok


def test_a_dry_run_tells_what_would_be_and_saves_nothing(lake, ingest, folder):
    before = len(lake.snapshots())
    report = ingest(folder, dry_run=True)
    assert report.counts == {"new": 3}
    assert "dry run" in report.summary()
    assert len(lake.snapshots()) == before
    assert not (lake.root / "storage" / "objects").exists()


def test_a_manifest_gives_keys_descriptions_labels_and_values(lake, ingest, folder):
    lake.save([lake.ULabel(name="treated"), lake.ULabel(name="pilot")])
    lake.Feature(name="temperature", dtype="float").save()
    (folder / "manifest.csv").write_text(
        "path,key,description,labels,features\n"
        'a.txt,raw/one.txt,The first,treated; pilot,"{""temperature"": 21.5}"\n'
        "below/b.txt,,,,\n"
    )
    report = ingest(folder / "manifest.csv", labels=("pilot",))
    assert report.counts == {"new": 2}
    first = lake.Artifact.get(key="raw/one.txt")
    assert (first.description, first.features.get_values()) == ("The first", {"temperature": 21.5})
    assert first.labels.all() == {None: ["pilot", "treated"]}
    assert lake.Artifact.get(key="below/b.txt").labels.all() == {None: ["pilot"]}
    assert ingest(folder / "manifest.csv", labels=("pilot",)).counts == {"unchanged": 2}


def test_a_frame_and_a_pattern_are_sources_too(lake, ingest, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert ingest(pl.DataFrame({"path": [str(folder / "a.txt")], "key": ["x.txt"]})).counts == {"new": 1}
    assert ingest("**/*.txt").counts == {"new": 2}
    assert keys(lake) == ["a.txt", "below/b.txt", "x.txt"]


def test_a_folder_that_is_one_thing_is_one_artifact(lake, ingest, folder):
    import zarr

    zarr.save_array(str(folder / "x.zarr"), np.arange(6))
    assert ingest(folder).counts == {"new": 4}
    assert lake.Artifact.get(key="run1/x.zarr").load().tolist() == [0, 1, 2, 3, 4, 5]
    assert ingest(folder).counts == {"unchanged": 4}
    assert [one.key for one in ingest(folder / "x.zarr").outcomes] == ["x.zarr"]


def test_files_are_validated_and_annotated_by_a_schema(lake, ingest, folder):
    from validation import Rule

    lake.save([lake.ULabel(name="D1"), lake.ULabel(name="D2")])
    lake.Schema([Rule("donor", "cat[ULabel]"), Rule("age", "int", ge=0)], name="donors").save()
    (folder / "bad.csv").write_text("donor,age\nD1,-3\n")
    report = ingest(str(folder / "*.csv"), schema="donors", on_error="skip")
    assert report.counts == {"new": 1, "failed": 1}
    assert report.failures[0].reason == "invalid"
    assert "not at least 0" in report.failures[0].message
    good = lake.Artifact.get(key="t.csv")
    assert good.labels.all() == {"donor": ["D1", "D2"]}
    assert lake.Artifact.filter(schemas__name="donors").one() == good
    threads = ingest(str(folder / "*.csv"), schema="donors", on_error="skip", executor=ThreadPoolExecutor(2))
    assert threads.counts == {"unchanged": 1, "failed": 1}


def test_stopping_registers_no_more_and_the_error_has_the_report(lake, ingest, folder):
    (folder / "broken.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(InvalidData, match=r"broken\.parquet") as caught:
        ingest(folder)
    assert [one.reason for one in caught.value.report.failures] == ["unreadable"]
    assert lake.Artifact.filter().count() == 0


def test_quarantine_keeps_the_bytes_of_what_cannot_be_read(lake, ingest, folder):
    (folder / "broken.parquet").write_bytes(b"PAR1 nothing else")
    assert ingest(folder, on_error="quarantine").counts == {"new": 3, "quarantined": 1}
    kept = lake.Artifact.filter(ulabels__name="quarantined").one()
    assert (kept.key, kept.format, kept.load()) == ("quarantine/run1/broken.parquet", "blob", b"PAR1 nothing else")
    assert "cannot be read as parquet" in kept.description
    before = len(lake.snapshots())
    assert ingest(folder, on_error="quarantine").counts == {"unchanged": 3, "quarantined": 1}
    assert len(lake.snapshots()) == before


def test_many_batches_are_many_commits_and_none_is_repeated(lake, ingest, folder, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    for n in range(9):
        (folder / f"n{n}.txt").write_text(f"{n}")
    before = len(lake.snapshots())
    monkeypatch.setattr("registries.ingest.pool._FILES", 2)
    assert ingest(folder).counts == {"new": 12}
    assert len(lake.snapshots()) - before == 6
    assert ingest(folder).counts == {"unchanged": 12}
    assert len(lake.snapshots()) - before == 6


def test_without_what_earlier_runs_saw_nothing_is_saved_twice_either(lake, ingest, folder):
    ingest(folder)
    before = len(lake.snapshots())
    assert ingest(folder, resume=False).counts == {"unchanged": 3}
    for part in State(lake.lake.id, str(folder)).folder.glob("part-*"):
        part.write_bytes(b"damaged")
    assert ingest(folder).counts == {"unchanged": 3}
    assert len(lake.snapshots()) == before


def test_a_second_ingest_of_one_folder_at_the_same_time_is_refused(lake, ingest, folder):
    with State(lake.lake.id, str(folder)).held(), pytest.raises(Busy, match="under way"):
        ingest(folder)
    assert ingest(folder).counts == {"new": 3}


def test_two_from_two_machines_at_once_register_each_file_once(lake, folder, tmp_path, monkeypatch):
    from registries.ingest import Ingest, Options
    from registries.instance import Instance

    for n in range(40):
        (folder / f"n{n}.txt").write_text(f"{n}")
    monkeypatch.setattr(State, "held", lambda self: threading.Lock())  # machines do not see each other's locks
    other, reports = Instance.open(lake.root, user="grace"), []
    runs = [Ingest(home, folder, Options(executor=ThreadPoolExecutor(2))) for home in (lake, other)]
    threads = [threading.Thread(target=lambda run=run: reports.append(run.run())) for run in runs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    other.close()
    assert len(reports) == 2
    assert lake.sql("select count(*), count(distinct key), max(version) from artifact").fetchall() == [(43, 43, 0)]
    assert {(one.key, one.uid) for one in reports[0].outcomes} == {(one.key, one.uid) for one in reports[1].outcomes}


def test_the_report_is_a_frame_json_and_a_summary_that_says_what_to_do(lake, ingest, folder):
    (folder / "broken.parquet").write_bytes(b"PAR1 nothing else")
    report = ingest(folder, on_error="skip")
    assert report.pl().filter(pl.col("outcome") == "failed")["path"].to_list() == [str(folder / "broken.parquet")]
    told = json.loads(report.to_json())
    assert told["counts"] == {"new": 3, "failed": 1}
    assert "have them sent again" in report.summary()
    assert len(report.df()) == 4
    assert not report.ok


def test_progress_is_told_up_to_the_end(ingest, folder):
    told = []
    ingest(folder, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_error": "ignore"}, "stop, skip, quarantine"),
        ({"executor": "fast"}, "executor of concurrent.futures"),
        ({"workers": 0}, "from 1 on"),
        ({"most_vanished": 2}, "from 0 to 1"),
        ({"labels": ("no such",)}, "create_labels=True"),
    ],
)
def test_odd_options_are_refused_with_what_is_accepted(ingest, folder, options, said):
    with pytest.raises((InputError, NotFound), match=said):
        ingest(folder, **options)


def test_what_is_no_source_is_refused(lake, ingest, folder, tmp_path):
    with pytest.raises(InputError, match="a manifest"):
        ingest(7)
    with pytest.raises(InputError, match="no manifest"):
        ingest(folder / "a.txt")
    with pytest.raises(NotFound):
        ingest(tmp_path / "nowhere")
    with pytest.raises(NotFound, match="no file matches"):
        ingest(str(tmp_path / "*.h5ad"))
    with pytest.raises(InputError, match="holds this instance"):
        ingest(tmp_path)
    with pytest.raises(InputError, match="follows a folder"):
        ingest(str(folder / "*.txt"), sync=True)
    os.mkdir(folder / "empty")
    assert ingest(folder / "empty").outcomes == []
