from __future__ import annotations

import pytest

from lakehouse.errors import ChangedSinceRead, InputError, RecordNotFound, StillReferenced


@pytest.fixture
def versions(lake):
    return [lake.Artifact(text, key="a.txt").save() for text in (b"one", b"two", b"three")]


def test_what_is_deleted_is_seen_no_more_and_comes_back_as_it_was(lake, versions):
    newest = versions[2]
    newest.labels.add("treated", create=True)
    newest.delete()
    assert newest.deleted_at is not None
    assert lake.Artifact.get(key="a.txt") == versions[1]
    assert lake.Artifact.get(versions[0].uid[:16]) == versions[1]
    assert lake.Artifact.filter().count() == 2
    assert lake.Artifact.filter(is_latest=True).one() == versions[1]
    assert (versions[1].is_latest, newest.is_latest) == (True, False)
    assert versions[0].versions == versions[:2]
    assert lake.ULabel.filter(artifacts__key="a.txt").count() == 0
    assert lake.sql("select count(*) from artifact").fetchall() == [(2,)]
    assert lake.sql("select version from artifact_latest").fetchall() == [(1,)]
    assert lake.sql("select count(*) from artifact_all").fetchall() == [(3,)]
    assert lake.Artifact.filter(deleted_at__isnull=False).all() == [newest]
    assert lake.Artifact.filter().with_trash.count() == 3

    again = lake.Artifact.get(newest.uid).restore()
    assert again.is_latest
    assert [label.name for label in again.labels.get()] == ["treated"]
    assert lake.Artifact.get(key="a.txt") == newest


def test_content_saved_again_after_its_deletion_is_a_new_version_of_the_family(lake, versions):
    versions[2].delete()
    again = lake.Artifact(b"three", key="a.txt").save()
    assert (again.version, again.uid[:16], again.path) == (3, versions[0].uid[:16], versions[2].path)


def test_deleting_for_good_takes_labels_values_and_sets_along_and_leaves_shared_bytes(lake, versions):
    twin = lake.Artifact(b"one", key="b.txt").save()
    first = versions[0]
    first.labels.add("treated", create=True)
    lake.Feature(name="x", dtype="int").save()
    first.features.add_values({"x": 1})
    first.features.add_set(lake.FeatureSet.of([lake.Gene(symbol="CD8A").save()]), slot="var")
    first.delete(permanent=True)
    for table in ("artifact_ulabel", "artifact_value", "artifact_feature_set"):
        assert lake.sql(f"select count(*) from {table}").fetchall() == [(0,)]
    assert not first.is_saved
    assert lake.sql("select count(*) from artifact_all").fetchall() == [(3,)]
    assert twin.load() == b"one"
    with pytest.raises(InputError, match="not saved"):
        first.delete()


def test_a_label_that_is_carried_is_not_deleted(lake, versions):
    versions[0].labels.add("treated", create=True)
    label = lake.ULabel.get(name="treated")
    with pytest.raises(StillReferenced, match=r"'treated' is in use by 1 artifact \('a.txt'\)"):
        label.delete()
    versions[0].labels.remove("treated")
    label.delete()
    assert lake.ULabel.filter().count() == 0
    with pytest.raises(RecordNotFound):
        lake.ULabel.get(name="treated")


def test_a_deletion_that_is_rolled_back_leaves_the_record_as_it_was(lake, versions):
    with pytest.raises(ZeroDivisionError), lake.transaction():
        versions[0].delete()
        versions[1].delete(permanent=True)
        raise ZeroDivisionError
    assert versions[0].deleted_at is None
    assert versions[1].is_saved
    assert lake.Artifact.filter().count() == 3


def test_an_artifact_that_somebody_changed_is_not_deleted_unseen(lake, versions):
    other = lake.Artifact.get(versions[0].uid)
    other.description = "kept for the audit"
    other.save()
    with pytest.raises(ChangedSinceRead):
        versions[0].delete()


def test_replacing_makes_the_next_version_with_and_without_a_key(lake, versions):
    newer = versions[1].replace(b"four")
    assert (newer.version, newer.key) == (3, "a.txt")
    assert newer.replace(b"four") == newer
    bare = lake.Artifact(b"bare").save()
    second = bare.replace(b"bare 2")
    assert (second.version, second.uid[:16]) == (1, bare.uid[:16])
    assert (bare.is_latest, second.is_latest) == (False, True)
    assert bare.versions == [bare, second]
    assert bare.replace(b"bare 2") == second
    assert lake.Artifact(b"bare").save() == bare


def test_files_that_lie_in_a_registered_folder_outlive_their_artifact(lake, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "reads.txt").write_text("ACGT")
    lake.Storage(root=str(folder)).save()
    lake.Artifact(folder / "reads.txt").save().delete(permanent=True)
    lake.vacuum(retention=0)
    assert (folder / "reads.txt").read_text() == "ACGT"
