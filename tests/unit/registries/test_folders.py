"""Folders as artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lakehouse.errors import DataLoss, InputError, InvalidFile, InvalidKey


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "slides"
    (top / "inner").mkdir(parents=True)
    (top / "a.txt").write_text("a")
    (top / "inner" / "b.txt").write_text("bb")
    return top


def test_a_folder_is_one_artifact_with_a_count_of_files(lake, tree):
    saved = lake.Artifact.from_dir(tree, key="raw/slides").save()
    assert (saved.format, saved.kind, saved.size, saved.n_files, saved.suffix) == ("folder", "folder", 3, 2, "")
    assert (saved.load() / "inner" / "b.txt").read_text() == "bb"
    assert saved.path.is_relative_to(lake.root)
    assert "a.txt" in str(saved.describe())
    assert lake.sql("select n_files, hash_kind from artifact").fetchall() == [(2, "blake3-folder")]


def test_the_files_of_a_folder_are_called_files_in_its_description(lake, tree):
    described = str(lake.Artifact(tree, key="raw/tree").save().describe())
    assert "Files (" in described
    assert "Columns" not in described


def test_equal_folders_are_stored_once_and_changed_ones_are_a_version(lake, tree):
    first = lake.Artifact(tree, key="raw/slides").save()
    assert lake.Artifact(str(tree), key="raw/slides").save() == first
    assert lake.Artifact(tree, key="raw/other").save().path == first.path
    (tree / "c.txt").write_text("c")
    second = lake.Artifact(tree, key="raw/slides").save()
    assert (second.version, second.n_files) == (1, 3)
    assert not (first.path / "c.txt").exists()


def test_a_folder_in_the_storage_is_registered_in_place(lake, tree):
    inside = Path(lake.stores.own.root) / "incoming" / "slides"
    inside.parent.mkdir(parents=True)
    shutil.copytree(tree, inside)
    saved = lake.Artifact(inside).save()
    assert (saved.key, saved.path) == ("incoming/slides", inside)
    (inside / "a.txt").write_text("longer")
    with pytest.raises(DataLoss, match=r"no longer holds the 2 files"):
        saved.load()


def test_a_lost_file_of_a_folder_is_told_and_put_back_by_saving_again(lake, tree):
    saved = lake.Artifact(tree, key="raw/slides").save()
    (saved.path / "a.txt").unlink()
    with pytest.raises(DataLoss, match="save the same content again"):
        saved.load()
    assert lake.Artifact(tree, key="raw/slides").save() == saved
    assert (saved.load() / "a.txt").read_text() == "a"


def test_folders_that_cannot_be_kept_are_refused_with_the_reason(lake, tree, tmp_path):
    (tree / "out").symlink_to(tmp_path)
    with pytest.raises(InvalidKey, match="leads out"):
        lake.Artifact(tree, key="x").save()
    with pytest.raises(InvalidKey, match="instance itself"):
        lake.Artifact(lake.root, key="x").save()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidFile, match="no file"):
        lake.Artifact(tmp_path / "empty", key="x").save()
    with pytest.raises(InputError, match="is a file"):
        lake.Artifact.from_dir(tree / "a.txt")
    assert lake.Artifact.filter().count() == 0
