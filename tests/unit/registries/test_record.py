from __future__ import annotations

import datetime as dt
import logging

import pytest

from lakehouse.errors import ChangedSinceRead, Duplicate, InputError, UnknownField
from registries import Artifact, Feature, Run, Storage, Transform, ULabel, User
from registries.binding import REGISTRIES


def test_constructor_names_field_value_and_accepted_types():
    with pytest.raises(InputError, match=r"ULabel\.name = 3 is a int: str is accepted"):
        ULabel(name=3)
    with pytest.raises(InputError, match=r"ULabel\.description = b'x' is a bytes: str or None is accepted"):
        ULabel(name="x", description=b"x")


def test_a_value_without_a_field_is_answered_with_how_to_write_it():
    for registry, given, written in (
        (ULabel, "treated", r"ULabel\(name='treated'\)"),
        (User, "ada", r"User\(handle='ada'\)"),
    ):
        with pytest.raises(InputError, match=f"fields go by name: {written}"):
            registry(given)


def test_a_root_with_a_secret_is_refused_before_anything_shows_it():
    for root in ("s3://key:secret@bucket/x", "https://host/x?signature=secret"):
        with pytest.raises(InputError, match="holds a key, a password or a signature") as caught:
            Storage(root=root)
        assert "secret" not in str(caught.value)
    storage = Storage(root="s3://bucket")
    with pytest.raises(InputError):
        storage.root = "s3://key:secret@bucket"
    assert "secret" not in repr(storage)


def test_constructor_suggests_the_field_that_was_meant():
    with pytest.raises(UnknownField, match="did you mean 'description'"):
        ULabel(name="x", descripton="y")
    with pytest.raises(UnknownField, match="did you mean 'description'"):
        ULabel(name="x").descripton = "y"


def test_constructor_names_the_missing_field():
    with pytest.raises(InputError, match="Feature needs dtype: str is accepted"):
        Feature(name="x")


def test_what_save_sets_cannot_be_given_or_assigned():
    with pytest.raises(UnknownField):
        ULabel(name="x", uid="y")
    with pytest.raises(InputError, match="set by save"):
        ULabel(name="x").uid = "y"


def test_class_access_gives_the_column_and_instance_access_the_value():
    assert (ULabel.name.name, ULabel.name.unique, ULabel.name.nullable) == ("name", True, False)
    assert ULabel.description.nullable
    assert Run.transform.references == "transform"
    assert ULabel(name="x").name == "x"


def test_specs_carry_columns_comments_keys_and_references():
    spec = Artifact.spec()
    assert spec.schema.names[0] == "uid"
    assert spec.schema.names[-3:] == ["created_at", "created_by", "run"]
    assert all(field.metadata[b"comment"] for field in spec.schema)
    assert ("key", "version") in spec.unique
    assert spec.references["storage"] == "storage"
    assert [table for table in REGISTRIES if table != table.lower()] == []


def test_every_row_carries_time_user_and_run(lake):
    before = dt.datetime.now(dt.UTC)
    transform = lake.Transform(name="normalise", version="3").save()
    run = lake.Run(transform=transform, started_at=before).save()
    with lake.use_run(run):
        label = lake.ULabel(name="treated").save()
    assert before <= label.created_at <= dt.datetime.now(dt.UTC)
    assert label.created_at.utcoffset() == dt.timedelta(0)
    assert lake.User.get(label.created_by).handle == "ada"
    assert label.run == run.uid
    assert lake.ULabel(name="later").save().run is None
    assert lake.ULabel.filter(run__transform__name="normalise").one() == label


def test_the_user_row_comes_with_the_first_record_and_only_once(lake):
    assert lake.User.filter().count() == 0
    lake.ULabel(name="a").save()
    lake.ULabel(name="b").save()
    assert [user.handle for user in lake.User.filter().all()] == ["ada"]
    assert len(lake.snapshots()) <= 3


def test_saving_an_existing_name_rebinds_and_says_so(lake, caplog):
    first = lake.ULabel(name="treated", description="with the drug").save()
    commits = len(lake.snapshots())
    twin = lake.ULabel(name="treated")
    with caplog.at_level(logging.INFO, "lakehouse"):
        assert twin.save() is twin
    assert (twin.uid, twin.description) == (first.uid, "with the drug")
    assert "exists already" in caplog.text
    assert len(lake.snapshots()) == commits


def test_rebinding_keeps_the_existing_values_and_warns(lake, caplog):
    lake.ULabel(name="treated", description="with the drug").save()
    with caplog.at_level(logging.WARNING, "lakehouse"):
        twin = lake.ULabel(name="treated", description="something else").save()
    assert twin.description == "with the drug"
    assert "keeps its description" in caplog.text


def test_saving_an_unchanged_record_changes_nothing(lake):
    label = lake.ULabel(name="treated").save()
    commits = len(lake.snapshots())
    label.save()
    label.description = None
    label.save()
    assert len(lake.snapshots()) == commits


def test_changed_fields_are_updated_under_the_same_uid(lake):
    label = lake.ULabel(name="treated").save()
    label.description = "new"
    label.save()
    assert lake.ULabel.get(label.uid).description == "new"
    assert lake.ULabel.filter().count() == 1


def test_a_change_made_by_somebody_else_reaches_the_caller(lake):
    mine = lake.ULabel(name="treated").save()
    theirs = lake.ULabel.get(name="treated")
    theirs.description = "theirs"
    theirs.save()
    mine.description = "mine"
    with pytest.raises(ChangedSinceRead):
        mine.save()
    assert lake.ULabel.get(name="treated").description == "theirs"


def test_renaming_to_a_taken_name_is_refused(lake):
    lake.ULabel(name="taken").save()
    label = lake.ULabel(name="free").save()
    label.name = "taken"
    with pytest.raises(Duplicate, match="taken"):
        label.save()
    assert {record.name for record in lake.ULabel.filter()} == {"taken", "free"}


def test_a_freed_name_can_be_used_again(lake):
    label = lake.ULabel(name="old").save()
    label.name = "new"
    label.save()
    assert lake.ULabel(name="old").save().uid != label.uid


def test_records_are_equal_by_registry_and_uid(lake):
    label = lake.ULabel(name="x").save()
    assert label == lake.ULabel.get(name="x")
    assert len({label, lake.ULabel.get(name="x")}) == 1
    assert ULabel(name="x") != ULabel(name="x")
    assert label != lake.Feature(name="x", dtype="int").save()


def test_repr_shows_the_fields_that_are_set():
    assert repr(ULabel(name="treated")) == "ULabel(name='treated')"


def test_rows_go_to_and_from_dicts(lake):
    label = lake.ULabel(name="x").save()
    row = label.to_row()
    assert list(row) == lake.ULabel.spec().schema.names
    assert lake.ULabel.from_row(row, lake) == label


@pytest.mark.parametrize(
    "dtype", ["int", "float", "str", "bool", "date", "datetime", "json", "cat", "cat[ULabel]", "vector[8]", "list[int]"]
)
def test_feature_dtypes_are_admitted(lake, dtype):
    assert lake.Feature(name=dtype, dtype=dtype).save().dtype == dtype


@pytest.mark.parametrize(
    "dtype", ["", "flaot", "cat[Nothing]", "cat[]", "vector[0]", "list[list[int]]", "cat[ULabel", "int; drop table x"]
)
def test_unknown_dtypes_are_refused(lake, dtype):
    with pytest.raises(InputError):
        lake.Feature(name="x", dtype=dtype).save()
    assert lake.Feature.filter().count() == 0


def test_a_feature_of_the_same_name_and_another_dtype_is_refused(lake):
    lake.Feature(name="age", dtype="int").save()
    with pytest.raises(InputError, match="exists with dtype 'int'"):
        lake.Feature(name="age", dtype="float").save()


def test_transforms_are_one_per_name_and_version(lake):
    first = lake.Transform(name="n", version="1").save()
    assert lake.Transform(name="n", version="1").save() == first
    assert lake.Transform(name="n", version="2").save() != first
    with pytest.raises(InputError, match="did you mean 'notebook'"):
        lake.Transform(name="n", kind="notebok").save()


def test_unsaved_or_foreign_records_are_refused_in_references(lake, other):
    with pytest.raises(InputError, match="not saved"):
        lake.Run(transform=Transform(name="x"))
    with pytest.raises(InputError, match="refers to a transform"):
        lake.Run(transform=lake.ULabel(name="x").save())
    theirs = other.Transform(name="theirs").save()
    with pytest.raises(InputError, match="belongs to the instance"):
        lake.Run(transform=theirs).save()
    assert lake.Run.filter().count() == 0


def test_whole_numbers_beyond_64_bits_and_naive_times_are_refused(lake):
    transform = lake.Transform(name="x").save()
    with pytest.raises(InputError, match="started_at"):
        lake.Run(transform=transform, started_at=dt.datetime(2026, 1, 1))
    with pytest.raises(InputError, match="started_at"):
        lake.Run(transform=transform, started_at="2026-01-01")
