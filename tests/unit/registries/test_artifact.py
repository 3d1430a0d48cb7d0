from __future__ import annotations

import logging
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lakehouse.errors import (
    DataLoss,
    InputError,
    InvalidFile,
    InvalidKey,
    InvalidQuery,
    LakehouseError,
    NotFound,
    UnknownFormat,
)
from registries import Artifact

FRAME = pd.DataFrame({"donor": ["a", "b"], "age": [30, 40]})


def objects(lake):
    return sorted((lake.root / "storage" / "objects").rglob("*.*"))


def test_a_frame_round_trips_with_its_facts(lake):
    artifact = lake.Artifact.from_df(FRAME, key="samples.parquet", description="two donors").save()
    assert (artifact.kind, artifact.format, artifact.suffix, artifact.n_rows) == ("dataframe", "parquet", ".parquet", 2)
    assert artifact.size == artifact.path.stat().st_size
    pd.testing.assert_frame_equal(lake.Artifact.get(key="samples.parquet").load(), FRAME)


@pytest.mark.parametrize("key", ["samples.csv", "samples.tsv", "samples.csv.gz"])
def test_the_keys_suffix_decides_the_format(lake, key):
    artifact = lake.Artifact(FRAME, key=key).save()
    assert (artifact.format, artifact.suffix) == ("csv", key.removeprefix("samples"))
    assert artifact.load()["age"].tolist() == [30, 40]


def test_frames_of_arrow_and_polars_are_admitted(lake):
    import polars as pl

    assert lake.Artifact.from_df(pa.table({"a": [1, 2, 3]}), key="a.parquet").save().n_rows == 3
    assert lake.Artifact.from_df(pl.DataFrame({"a": [1, 2]}), key="b.parquet").save().n_rows == 2


def test_an_anndata_round_trips(lake):
    import anndata
    import numpy as np

    adata = anndata.AnnData(
        np.ones((3, 2), dtype="float32"), obs=pd.DataFrame({"donor": list("abc")}, index=list("xyz"))
    )
    artifact = lake.Artifact.from_anndata(adata, key="raw/cells.h5ad").save()
    assert (artifact.kind, artifact.n_rows, artifact.suffix) == ("AnnData", 3, ".h5ad")
    assert artifact.load().shape == (3, 2)
    assert "donor" in str(artifact.describe())
    rows = lake.sql('select donor from obs."raw/cells.h5ad" order by 1').fetchall()
    assert rows == [("a",), ("b",), ("c",)]


def test_a_file_is_copied_and_opaque_ones_are_at_home(lake, tmp_path):
    file = tmp_path / "reads.fastq.gz"
    file.write_bytes(b"\x1f\x8b opaque")
    artifact = lake.Artifact(file, key="raw/reads.fastq.gz").save()
    assert (artifact.kind, artifact.suffix) == ("blob", ".fastq.gz")
    file.unlink()
    assert artifact.load() == b"\x1f\x8b opaque"


def test_a_file_in_the_storage_is_registered_where_it_lies(lake):
    file = lake.root / "storage" / "raw" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_text("donor,age\na,30\n")
    artifact = lake.Artifact(str(file)).save()
    assert (artifact.key, artifact.path) == ("raw/a.csv", file)
    assert lake.Artifact.filter(path="raw/a.csv").one() == artifact
    assert not (lake.root / "storage" / "objects").exists()
    file.write_text("changed behind our back")
    with pytest.raises(DataLoss, match="were saved"):
        artifact.load()


def test_same_content_same_key_is_the_existing_record(lake, caplog):
    first = lake.Artifact(FRAME, key="a.parquet").save()
    commits = len(lake.snapshots())
    with caplog.at_level(logging.INFO, "lakehouse"):
        assert lake.Artifact(FRAME, key="a.parquet").save() == first
    assert "exists already" in caplog.text
    assert len(lake.snapshots()) == commits


def test_same_content_other_key_is_a_second_artifact_sharing_the_object(lake):
    first = lake.Artifact(FRAME, key="a.parquet").save()
    second = lake.Artifact(FRAME, key="b.parquet").save()
    assert first.uid[:16] != second.uid[:16]
    assert first.path == second.path
    assert len(objects(lake)) == 1


def test_content_without_key_is_the_existing_one_whatever_its_suffix_and_of_the_same_suffix_first(lake, tmp_path):
    text = lake.Artifact(b"a,b\n1,2\n", key="a.txt").save()
    table = lake.Artifact(b"a,b\n1,2\n", key="a.csv").save()
    assert text.path != table.path, "readers go by the suffix of a path"
    assert lake.Artifact(b"a,b\n1,2\n").save() == text
    for suffix, found in ((".csv", table), (".txt", text), (".tsv", text)):
        (tmp_path / f"copy{suffix}").write_bytes(b"a,b\n1,2\n")
        assert lake.Artifact(tmp_path / f"copy{suffix}").save() == found
    assert lake.Artifact.filter().count() == 2


def test_same_content_without_key_is_the_existing_one(lake):
    first = lake.Artifact(FRAME, key="a.parquet").save()
    assert lake.Artifact(FRAME).save() == first
    keyless = lake.Artifact(b"else").save()
    assert keyless.key is None
    assert lake.Artifact(b"else").save() == keyless


def test_new_content_under_a_known_key_is_the_next_version(lake):
    first = lake.Artifact(b"1", key="a.txt").save()
    second = lake.Artifact(b"2", key="a.txt").save()
    assert second.uid[:16] == first.uid[:16]
    assert (first.version, second.version) == (0, 1)
    assert (first.is_latest, second.is_latest) == (False, True)
    assert [version.load() for version in first.versions] == [b"1", b"2"]
    assert lake.Artifact.get(key="a.txt") == lake.Artifact.get(first.uid[:16]) == second
    assert lake.Artifact.get(key="a.txt", version=0) == first
    assert lake.Artifact.filter(key="a.txt", is_latest=True).one() == second
    assert lake.Artifact.filter(key="a.txt", is_latest=False).one() == first


def test_older_content_saved_again_is_a_new_version_sharing_bytes(lake):
    first = lake.Artifact(b"1", key="a.txt").save()
    lake.Artifact(b"2", key="a.txt").save()
    third = lake.Artifact(b"1", key="a.txt").save()
    assert third.version == 2
    assert third.path == first.path


def test_empty_files_never_merge(lake):
    first, second = lake.Artifact(b"").save(), lake.Artifact(b"").save()
    assert first != second
    keyed = lake.Artifact(b"", key="a.txt").save()
    assert keyed not in (first, second)
    assert lake.Artifact(b"", key="a.txt").save() == keyed
    assert keyed.load() == b""


def test_an_empty_table_file_is_admitted(lake, tmp_path):
    (tmp_path / "empty.csv").write_bytes(b"")
    artifact = lake.Artifact(tmp_path / "empty.csv", key="empty.csv").save()
    assert (artifact.size, artifact.n_rows, artifact.format) == (0, 0, "csv")
    assert "empty.csv" in str(artifact.describe())
    for name in ("empty.csv", "empty.tsv", "empty.jsonl"):
        (tmp_path / name).write_bytes(b"")
        for source in (tmp_path / name, b""):
            found = lake.Artifact(source, key=f"{type(source).__name__}/{name}").save()
            assert (found.load().shape, found.load(as_="polars").shape, found.kind) == ((0, 0), (0, 0), "dataframe")
            assert "shape: 0 x 0" in str(found.describe())
            with found.open() as lazy:
                assert lazy.collect().shape == (0, 0)
            with pytest.raises(InvalidQuery, match="no columns"):
                lake.sql(f'select * from content."{found.key}"')


def test_what_is_read_and_not_written_is_said_to_be_so(lake):
    with pytest.raises(
        UnknownFormat, match=r"called \.zarr\.zip are read, and not written; data of type ndarray is written as \.zarr"
    ):
        lake.Artifact(np.zeros((2, 2)), key="x.zarr.zip").save()


def test_a_changed_description_is_an_update_and_the_key_stays(lake):
    artifact = lake.Artifact(b"1", key="a.txt").save()
    artifact.description = "what it is"
    artifact.save()
    assert lake.Artifact.get(artifact.uid).description == "what it is"
    with pytest.raises(InputError, match="keeps its key"):
        artifact.key = "b.txt"


BAD_KEYS = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "~/x",
    "%2e%2e/x",
    "..\\x",
    "C:\\x",
    "file:///x",
    "_delta_log/x",
    ".lakehouse",
    "",
    " x",
    "x ",
    "x/",
    "x.",
    "a\0b",
    "a\nb",
    "k" * 1025,
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: ascii(key[:12]))
def test_keys_that_are_not_admitted_leave_nothing_behind(lake, key):
    with pytest.raises(InvalidKey):
        lake.Artifact(b"1", key=key).save()
    assert lake.Artifact.filter().count() == 0
    assert not objects(lake)


@pytest.mark.parametrize(
    "key", ["a b.txt", "[x]*?.txt", "A.txt", "a/b.txt", "ünï.txt", "'; drop table artifact;--.txt", 'q"q.txt']
)
def test_odd_keys_round_trip_also_in_sql(lake, key):
    artifact = lake.Artifact(FRAME, key=key.replace(".txt", ".csv")).save()
    assert lake.Artifact.get(key=artifact.key) == artifact
    quoted = artifact.key.replace('"', '""')
    assert lake.sql(f'select count(*) from content."{quoted}"').fetchall() == [(2,)]


def test_keys_that_differ_in_case_or_begin_another_are_apart(lake):
    keys = ["a.txt", "A.txt", "a.txt/b.txt"]
    for key in keys:
        lake.Artifact(key.encode(), key=key).save()
    assert [lake.Artifact.get(key=key).load() for key in keys] == [key.encode() for key in keys]


def test_sources_that_are_no_files_are_refused(lake, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path, tmp_path / "pipe", "/dev/null", "http://169.254.169.254/x", "s3://key:secret@bucket/x"):
        with pytest.raises(InvalidKey) as caught:
            lake.Artifact(source).save()
        assert "secret" not in str(caught.value)
    with pytest.raises(NotFound):
        lake.Artifact(tmp_path / "missing.csv").save()
    assert lake.Artifact.filter().count() == 0


def test_a_link_out_of_the_storage_is_refused(lake, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (lake.root / "storage").mkdir(exist_ok=True)
    (lake.root / "storage" / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InvalidKey, match="link"):
        lake.Artifact(lake.root / "storage" / "link.txt").save()


def test_broken_files_and_wrong_suffixes_are_refused_with_the_way_out(lake, tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no footer")
    with pytest.raises(InvalidFile) as caught:
        lake.Artifact(broken, key="broken.parquet").save()
    assert "format='blob'" in "".join(caught.value.__notes__)
    assert lake.Artifact(broken, key="broken.parquet", format="blob").save().load() == b"PAR1 no footer"
    with pytest.raises(InvalidKey, match=r"\.csv"):
        lake.Artifact(broken, key="broken.csv").save()


def test_objects_that_no_format_writes_are_refused(lake):
    with pytest.raises(UnknownFormat):
        lake.Artifact({"a": 1}, key="a.parquet").save()
    with pytest.raises(UnknownFormat):
        lake.Artifact(FRAME, key="a.h5ad").save()
    with pytest.raises(UnknownFormat):
        lake.Artifact(FRAME, key="a.csv", format="nothing").save()
    for wrong in (None, 3):
        with pytest.raises(InputError, match="is accepted"):
            Artifact(wrong)
    with pytest.raises(InputError, match=r"Artifact\.key = 3"):
        Artifact(b"x", key=3)
    with pytest.raises(InputError, match="from_df"):
        Artifact.from_df({"a": [1]})
    with pytest.raises(InputError, match="from_anndata"):
        Artifact.from_anndata(FRAME)


def test_unsaved_artifacts_say_what_to_do_first(lake):
    artifact = lake.Artifact(b"x")
    for act in (
        artifact.load,
        artifact.open,
        artifact.describe,
        lambda: artifact.path,
        lambda: artifact.labels.add("x"),
    ):
        with pytest.raises(InputError, match=r"save\(\)"):
            act()


def test_bytes_that_are_gone_are_reported_as_a_loss(lake):
    artifact = lake.Artifact(b"x", key="a.txt").save()
    artifact.path.unlink()
    with pytest.raises(DataLoss, match="gone"):
        artifact.load()


def _gone(path):
    path.unlink()


def _truncated(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_gone, _truncated])
@pytest.mark.parametrize("key", ["x.csv", "second.csv", None])
def test_saving_the_same_content_again_puts_lost_bytes_back(lake, damage, key):
    artifact = lake.Artifact(b"a,b\n1,2\n", key="x.csv").save()
    damage(artifact.path if damage is _gone else lake.root / "storage" / artifact.to_row()["path"])
    with pytest.raises(DataLoss, match="save the same content again, or restore it from a backup"):
        artifact.load()
    again = lake.Artifact(b"a,b\n1,2\n", key=key, suffix=".csv").save()
    assert (again == artifact) == (key != "second.csv")
    assert artifact.path.read_bytes() == again.path.read_bytes() == b"a,b\n1,2\n"


@pytest.mark.parametrize("key", ["raw/a.csv", "b.csv", None])
def test_content_of_a_file_in_place_that_was_changed_is_stored_anew_and_the_file_left_alone(lake, key):
    file = lake.root / "storage" / "raw" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a\n1\n")
    first = lake.Artifact(file).save()
    file.write_bytes(b"changed since")
    again = lake.Artifact(b"a\n1\n", key=key, suffix=".csv").save()
    assert again != first and again.path.read_bytes() == b"a\n1\n"
    assert file.read_bytes() == b"changed since"
    assert lake.Artifact(b"a\n1\n", key=key, suffix=".csv").save() == again


@pytest.mark.parametrize("damage", [_gone, _truncated])
def test_a_file_in_place_that_is_lost_before_it_is_committed_leaves_no_row(lake, damage):
    file = lake.root / "storage" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a\n1\n")
    artifact = lake.Artifact(file)
    artifact.prepare(lake)
    damage(file)
    with pytest.raises(InvalidFile, match="since it was hashed"):
        artifact.save()
    assert lake.Artifact.filter().count() == 0


def test_a_frame_without_columns_is_said_to_have_none_in_sql(lake):
    lake.Artifact.from_df(pd.DataFrame(index=range(2)), key="empty.parquet").save()
    with pytest.raises(InvalidQuery, match=r"empty\.parquet.*no columns"):
        lake.sql('select * from content."empty.parquet"')


@pytest.mark.parametrize("name", ["empty.csv.gz", "empty.h5ad", "empty.parquet", "empty.txt"])
def test_a_file_of_zero_bytes_is_a_blob_whatever_its_suffix(lake, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    for source in (tmp_path / name, b""):
        artifact = lake.Artifact(source, key=f"{type(source).__name__}/{name}").save()
        assert (artifact.format, artifact.kind, artifact.n_rows) == ("blob", "blob", None)
        assert artifact.load() == b""


def test_a_failed_transaction_leaves_no_row(lake):
    with pytest.raises(RuntimeError), lake.transaction():
        lake.Artifact(b"x", key="a.txt").save()
        raise RuntimeError("stop")
    assert lake.Artifact.filter().count() == lake.Storage.filter().count() == 0
    assert lake.Artifact(b"x", key="a.txt").save().load() == b"x"


def test_describe_reads_as_a_tree(lake):
    artifact = lake.Artifact(FRAME, key="a.parquet", description="two donors").save()
    lake.Feature(name="condition", dtype="cat[ULabel]").save()
    artifact.labels.add("treated", feature="condition", create=True)
    text = repr(artifact.describe())
    for part in ("Artifact a.parquet", "two donors", "shape: 2 x 2", "by: ada", "donor: string", "condition: treated"):
        assert part in text
    assert artifact.describe().as_dict()["labels"] == {"condition": ["treated"]}


def test_open_and_backed_are_lazy(lake):
    artifact = lake.Artifact(FRAME, key="a.parquet").save()
    assert type(artifact.open()) is type(artifact.backed())


def test_two_keys_saved_together_share_one_transaction(lake):
    first, second = lake.save([lake.Artifact(b"1", key="a.txt"), lake.Artifact(b"2", key="a.txt")])
    assert (first.version, second.version) == (0, 1)
    with pytest.raises(LakehouseError):
        lake.save([lake.Artifact(b"3", key="a.txt"), lake.Artifact(b"4", key="../x")])
    assert lake.Artifact.filter(key="a.txt").count() == 2


def test_an_artifact_that_was_looked_up_can_be_described_anew(lake):
    lake.Artifact(b"1", key="a.txt").save()
    lake.Artifact(b"1", key="b.txt").save()
    found = lake.Artifact.get(key="b.txt")
    found.description = "what it is"
    found.save()
    assert lake.Artifact.get(key="b.txt").description == "what it is"
    assert lake.Artifact.filter().count() == 2


def test_temporary_files_are_gone_after_the_save(lake, tmp_path, monkeypatch):
    import anndata
    import numpy as np

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    lake.Artifact(anndata.AnnData(np.ones((3, 2), dtype="float32")), key="a.h5ad").save()
    assert list(scratch.iterdir()) == []


def test_saving_tells_its_progress(lake, tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * 9_000_000)
    told: list[tuple[int, int | None]] = []
    lake.Artifact(path).save(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (9_000_000, 9_000_000)
    assert [done for done, _ in told].count(9_000_000) == 2  # once hashed, once stored
