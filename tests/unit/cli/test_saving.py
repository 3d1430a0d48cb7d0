from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from formats import hashing


def test_a_file_is_found_under_its_own_name(lake):
    assert {row["key"] for row in lake("ls", "--json").document} == {"penguins.csv", "notes.txt"}


def test_what_was_saved_is_told_with_its_outcome(lake):
    assert lake("save", "penguins.csv", "--json").document[0]["outcome"] == "unchanged"
    Path("penguins.csv").write_text("species,mass\nAdelie,1\n")
    (row,) = lake("save", "penguins.csv", "--json", "--label", "birds", "--description", "one bird").document
    assert (row["outcome"], row["version"], row["n_rows"]) == ("new version", 1, 1)
    assert row["labels"] == ["birds"] and row["description"] == "one bird"


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["a.csv", "--key", "raw/b.csv"], ["raw/b.csv"]),
        (["a.csv", "--key", "raw/"], ["raw/a.csv"]),
        (["a.csv", "sub/c.csv", "--key", "raw"], ["raw/a.csv", "raw/c.csv"]),
        (["sub", "-r"], ["sub/c.csv", "sub/deep/d.csv"]),
        (["sub", "-r", "--key", "x/y"], ["x/y/c.csv", "x/y/deep/d.csv"]),
        (["sub", "a.csv", "--recursive", "--key", "x"], ["x/a.csv", "x/sub/c.csv", "x/sub/deep/d.csv"]),
    ],
)
def test_keys_follow_from_names_folders_and_the_given_key(run, arguments, keys):
    run("init", "mylake")
    Path("sub/deep").mkdir(parents=True)
    for name in ("a.csv", "sub/c.csv", "sub/deep/d.csv", "sub/.hidden"):
        Path(name).write_text(f"x\n{len(name)}\n")
    assert sorted(row["key"] for row in run("save", *arguments, "--json").document) == keys


def test_saving_the_working_folder_leaves_the_instance_itself_out(lake):
    assert lake("save", ".", "-r").code == 0
    assert not any("catalog" in row["key"] for row in lake("ls", "--json").document)


def test_a_folder_without_recursive_is_refused_with_the_option(lake):
    Path("sub").mkdir()
    failed = lake("save", "sub")
    assert failed.code == 1 and "--recursive" in failed.err
    assert lake("save", "sub", "-r").code == 3


def test_two_files_with_one_key_are_refused(lake):
    Path("sub").mkdir()
    Path("sub/penguins.csv").write_text("x\n1\n")
    failed = lake("save", "penguins.csv", "sub/penguins.csv")
    assert failed.code == 1 and "--key" in failed.err and "sub/penguins.csv" in failed.err


def test_one_bad_file_among_many_saves_none(lake):
    Path("good.csv").write_text("x\n1\n")
    Path("bad.h5ad").write_bytes(b"no HDF5")
    failed = lake("save", "good.csv", "bad.h5ad")
    assert failed.code == 1 and "None of the 2 files was saved" in failed.err and "--format blob" in failed.err
    assert lake("info", "--json").document["records"]["artifact"] == 2
    assert lake("save", "good.csv", "bad.h5ad", "--format", "blob").code == 0


def test_an_unknown_label_is_not_found_with_the_near_one_and_saves_nothing(lake):
    Path("new.csv").write_text("x\n1\n")
    failed = lake("save", "new.csv", "--label", "bird")
    assert failed.code == 3 and "'birds'" in failed.err and "--create-labels" in failed.err
    assert lake("info", "--json").document["records"]["artifact"] == 2


def test_a_missing_file_is_not_found(lake):
    failed = lake("save", "nothing.csv")
    assert failed.code == 3 and "nothing.csv" in failed.err


@pytest.mark.parametrize("key", ["../x.csv", "/x.csv", "a\x1b[31m.csv", "a.parquet", "_delta_log/x.csv"])
def test_a_key_that_is_not_admitted_is_refused_and_shown_escaped(lake, key):
    Path("a.csv").write_text("x\n1\n")
    failed = lake("save", "a.csv", "--key", key)
    assert failed.code == 1 and failed.err.startswith("error: key ") and "\x1b" not in failed.err


def test_a_named_pipe_is_refused(lake):
    os.mkfifo("pipe.csv")
    assert lake("save", "pipe.csv").code == 1


def test_a_file_name_that_is_no_utf8_asks_for_a_key(lake):
    Path(os.fsdecode(b"\xff.txt")).write_text("x")
    assert lake("save", os.fsdecode(b"\xff.txt")).code == 1
    assert lake("save", os.fsdecode(b"\xff.txt"), "--key", "plain.txt").code == 0


def test_a_file_that_lies_in_the_storage_is_registered_in_place(lake):
    place = Path("mylake/storage/raw/x.csv")
    place.parent.mkdir(parents=True)
    place.write_text("x\n1\n")
    (row,) = lake("save", place, "--json").document
    assert (row["key"], row["path"]) == ("raw/x.csv", "raw/x.csv")


def test_saving_the_instances_own_folder_leaves_its_own_files_out(run):
    run("init", ".")
    Path("a.csv").write_text("x\n1\n")
    Path("tables of mine").mkdir()
    Path("tables of mine/b.csv").write_text("x\n2\n")
    assert run("save", "a.csv").code == run("flush").code == 0
    saved = run("save", ".", "-r", "--key", "all", "--json")
    assert saved.code == 0, saved.err
    assert sorted(row["key"] for row in saved.document) == ["all/a.csv", "all/tables of mine/b.csv"]


def test_a_catalog_that_lies_apart_is_left_out(run):
    run("init", "mylake", "--catalog", "apart/my.db")
    Path("apart/a.csv").write_text("x\n1\n")
    saved = run("save", "apart", "-r", "--json")
    assert [row["key"] for row in saved.document] == ["apart/a.csv"]


def test_a_link_that_leads_nowhere_is_passed_over_with_a_note(lake):
    Path("sub").mkdir()
    Path("sub/good.csv").write_text("x\n1\n")
    Path("sub/dangling.csv").symlink_to("nothing.csv")
    saved = lake("save", "sub", "-r")
    assert saved.code == 0 and "sub/good.csv" in saved.out
    assert "sub/dangling.csv" in saved.err and "leads nowhere" in saved.err


def test_all_unreadable_files_are_named_with_the_way_out(lake):
    Path("sub").mkdir()
    Path("sub/good.csv").write_text("x\n1\n")
    for number in range(12):
        Path(f"sub/bad{number:02}.h5ad").write_bytes(b"no HDF5 %d" % number)
    failed = lake("save", "sub", "-r")
    assert failed.code == 1 and "12 of 13 files cannot be read" in failed.err
    assert all(f"bad{number:02}.h5ad" in failed.err for number in range(10))
    assert "bad10.h5ad" not in failed.err and "2 more" in failed.err
    assert "--format blob" in failed.err and "second call" in failed.err
    assert lake("info", "--json").document["records"]["artifact"] == 2


def test_files_that_may_not_be_read_are_named_beside_the_broken_ones(lake, monkeypatch):
    real = hashing.hash_file

    def refused(path: Path, **options: Any) -> str:
        if path.name.startswith("secret"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(hashing, "hash_file", refused)
    Path("bad.h5ad").write_bytes(b"no HDF5")
    for name in ("secret1.csv", "secret2.csv"):
        Path(name).write_text("x\n1\n")
    failed = lake("save", "secret1.csv", "bad.h5ad", "secret2.csv")
    assert failed.code == 1 and all(name in failed.err for name in ("secret1.csv", "bad.h5ad", "secret2.csv"))
    assert "--format blob" in failed.err
    failed = lake("save", "secret1.csv", "secret2.csv")
    assert failed.code == 4 and "secret2.csv" in failed.err and "--format blob" not in failed.err


def test_a_folder_that_is_one_thing_is_one_artifact_with_and_without_recursive(lake):
    import numpy as np
    import zarr

    zarr.create_array("deep/x.zarr", data=np.arange(4))
    Path("deep/a.csv").write_text("a\n1\n")
    lake("save", "deep/x.zarr")
    lake("save", "deep", "--recursive")
    keys = {row["key"] for row in lake("ls", "--json").document}
    assert {"deep/a.csv", "deep/x.zarr", "x.zarr"} <= keys
    assert not any("zarr.json" in key for key in keys)
