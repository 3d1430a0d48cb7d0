from __future__ import annotations

import threading

import pandas as pd
import pytest

from lakehouse.errors import InputError, InvalidName, RecordNotFound, StillReferenced


@pytest.fixture(scope="module")
def files(home):
    return home.save([home.Artifact(f"{n}".encode(), key=f"files/{n}.txt") for n in range(12)])


def test_appending_makes_a_version_and_leaves_the_older_one_as_it_is(home, files):
    first = home.Dataset(files[:2], name="grows").save()
    second = first.append(files[2])
    assert (first.version, second.version) == (0, 1)
    assert [one.key for one in first.ordered()] == ["files/0.txt", "files/1.txt"]
    assert [one.key for one in second.ordered()] == ["files/0.txt", "files/1.txt", "files/2.txt"]
    assert home.Dataset.get(name="grows") == second
    assert (first.is_latest, second.is_latest) == (False, True)
    assert (second.n_artifacts, second.size, len(second)) == (3, 3, 3)


def test_appending_what_is_a_member_already_changes_nothing(home, files):
    dataset = home.Dataset(files[:2], name="same").save()
    commits = len(home.snapshots())
    assert dataset.append(files[1]) == dataset
    assert home.Dataset(reversed(files[:2]), name="same").save() == dataset
    assert len(home.snapshots()) == commits


def test_other_members_under_a_name_begin_anew_in_the_next_version(home, files):
    first = home.Dataset(files[:3], name="anew").save()
    second = home.Dataset(files[2:4], name="anew").save()
    third = second.append([files[0], files[2]])
    assert [one.key for one in second.ordered()] == ["files/2.txt", "files/3.txt"]
    assert [one.key for one in third.ordered()] == ["files/2.txt", "files/3.txt", "files/0.txt"]
    assert [one.key for one in first.ordered()] == ["files/0.txt", "files/1.txt", "files/2.txt"]
    assert [one.n_artifacts for one in third.versions] == [3, 2, 3]


def test_a_query_makes_a_dataset_and_its_artifacts_are_a_query_again(home, files):
    dataset = home.Dataset(home.Artifact.filter(key__startswith="files/1"), name="queried").save()
    assert len(dataset) == 3  # 1, 10 and 11
    assert dataset.artifacts.filter(key__endswith="10.txt").one() == files[10]
    assert home.Artifact.filter(datasets__name="queried").count() == 3
    assert home.Dataset.filter(artifacts__key="files/11.txt", name="queried").one() == dataset


def test_sql_sees_the_members_of_every_version(home, files):
    home.Dataset(files[:1], name="in sql").save().append(files[1:3])
    rows = home.sql(
        "select d.version, count(*) from dataset_artifact d join artifact a on a.uid = d.artifact "
        "where d.name = 'in sql' group by 1 order by 1"
    ).fetchall()
    assert rows == [(0, 1), (1, 3)]


def test_the_union_of_feature_sets_is_known_by_slot(home, files):
    genes = home.save([home.Gene(symbol=f"GENE{n}", ensembl_gene_id=f"ENSG{n}") for n in range(4)])
    files[4].features.add_set(home.FeatureSet.of(genes[:2], modality="rna"), slot="var")
    files[5].features.add_set(home.FeatureSet.of(genes[1:3], modality="rna"), slot="var")
    files[6].features.add_set(home.FeatureSet.of(genes[3:], modality="rna"), slot="var")
    first = home.Dataset(files[4:6], name="measured").save()
    second = first.append(files[6])
    assert sorted(one.symbol for one in first.feature_sets()["var"]) == ["GENE0", "GENE1", "GENE2"]
    assert second.feature_sets()["var"].count() == 4


def test_two_who_append_at_once_both_add(home, files):
    dataset = home.Dataset(files[:1], name="raced").save()
    threads = [threading.Thread(target=dataset.append, args=(one,)) for one in files[1:6]]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    newest = home.Dataset.get(name="raced")
    assert (newest.version, len(newest)) == (5, 6)
    assert {one.uid for one in newest.ordered()} == {one.uid for one in files[:6]}
    assert [len(one) for one in newest.versions] == [1, 2, 3, 4, 5, 6]


def test_the_newest_version_alone_is_deleted_and_its_artifacts_stay(home, files):
    first = home.Dataset(files[:1], name="gone").save()
    second = first.append(files[1])
    with pytest.raises(StillReferenced, match="delete the newest first"):
        first.delete(permanent=True)
    second.delete(permanent=True)
    assert not second.is_saved
    assert home.Dataset.get(name="gone") == first
    assert [one.key for one in first.ordered()] == ["files/0.txt"]
    assert home.Artifact.get(key="files/1.txt") == files[1]


def test_an_artifact_that_is_a_member_is_not_deleted_for_good(home, files):
    home.Dataset(files[7:8], name="keeps").save()
    with pytest.raises(StillReferenced, match=r"dataset.*'keeps'"):
        files[7].delete(permanent=True)


def test_frames_are_saved_with_the_dataset_in_one_commit_or_not_at_all(home):
    commits = len(home.snapshots())
    dataset = home.Dataset([pd.DataFrame({"a": [1]})], name="framed").save()
    assert len(home.snapshots()) == commits + 1
    assert [one.key for one in dataset.ordered()] == ["framed/000000.parquet"]
    with pytest.raises(InputError):
        home.Dataset([pd.DataFrame({"a": [2]}), 7], name="half").save()
    with pytest.raises(RecordNotFound):
        home.Artifact.get(key="half/000000.parquet")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([], "has no members"),
        ("files", "artifacts, a query"),
        ([7], "members are artifacts, frames or AnnData"),
        (3.5, "artifacts, a query"),
    ],
)
def test_what_is_no_member_is_refused_with_what_is_accepted(home, source, said):
    with pytest.raises(InputError, match=said):
        home.Dataset(source, name="refused").save()


def test_a_label_an_unsaved_artifact_and_one_of_elsewhere_are_no_members(home, files, tmp_path):
    with pytest.raises(InputError, match="not ULabel"):
        home.Dataset([home.ULabel(name="a label").save()], name="refused").save()
    with pytest.raises(InputError, match="not saved"):
        home.Dataset([home.Artifact(b"x", key="x.txt")], name="refused").save()
    with pytest.raises(InvalidName):
        home.Dataset(files[:1], name="a\0b").save()


def test_a_description_tells_of_members_and_what_was_measured_without_reading_them(home, monkeypatch):
    frames = [
        pd.DataFrame({"told_age": [31, 45], "told_site": ["n", "s"]}),
        pd.DataFrame({"told_age": [27], "told_depth": [1.5]}),
    ]
    tables = [home.Artifact.from_df(frame, key=f"told/{n}.parquet").save() for n, frame in enumerate(frames)]
    kinds = {"told_age": "int", "told_site": "str", "told_depth": "float"}
    columns = {name: home.Feature(name=name, dtype=dtype).save(near=False) for name, dtype in kinds.items()}
    for table, frame in zip(tables, frames, strict=True):
        table.features.add_set(home.FeatureSet.of([columns[name] for name in frame]), slot="columns")
    texts = home.save([home.Artifact(f"{n}".encode(), key=f"told/{n:02}.txt") for n in range(12)])
    dataset = home.Dataset([*tables, *texts], name="told", description="of two kinds").save()
    home.ULabel(name="told pilot").save()
    home.Feature(name="told_score", dtype="float").save()
    dataset.labels.add("told pilot")
    dataset.features.add_values({"told_score": 2.5})
    monkeypatch.setattr("registries.whereabouts.readable", None)  # whoever reads a member fails
    told = dataset.describe()
    assert (told.formats, told.n_members) == ({"blob": 12, "parquet": 2}, 14)
    assert told.members[:3] == ("told/0.parquet", "told/1.parquet", "told/00.txt")
    assert dict(told.measured) == {"columns": "3 Feature: told_age (int), told_depth (float), told_site (str)"}
    text = str(told)
    assert text.startswith("Dataset told\n")
    for line in ("kind: mixed", "version: 0 (latest)", "Members (12 blob, 2 parquet)", "… 4 more", "by: ada"):
        assert line in text
    for line in ("description: of two kinds", "told_score: 2.5 (float)", "ULabel: told pilot"):
        assert line in text
    assert told.as_dict()["members"][0] == "told/0.parquet"
    assert "told/0.parquet" in told._repr_html_()
    newer = dataset.append(home.Artifact(b"more", key="told/more.txt").save()).describe()
    assert (newer.n_members, newer.labels) == (15, {})
    assert "version: 0\n" in str(dataset.describe()) + "\n"
    dataset.delete()
    assert "state: in the trash" in str(dataset.describe())
    with pytest.raises(InputError, match="not saved"):
        home.Dataset(texts[:1], name="never").describe()
