"""Names, look-ups and keys that come from anywhere."""

from __future__ import annotations

import datetime as dt

import pytest

from lakehouse.errors import InputError, InvalidKey, InvalidName, LakehouseError, RecordNotFound, UnknownField

ODD = [
    "'; DROP TABLE artifact;--", 'a" OR 1=1', 'a""b', "%", "_", "back\\slash\\", "$1", "?", "%s", "select", "uid",
    "created_at", "(a+)+$", "x" * 900, "caf\u00e9", "\u65e5\u672c\u8a9e",
]  # fmt: skip
REFUSED = ["", " ", "a\0b", "a\nb", "a\u202eb", "a\u200bb", "\ud800", "x" * 1_001, " a", "a "]


@pytest.fixture
def artifact(lake):
    return lake.Artifact(b"x", key="a.txt").save()


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_features_labels_and_slots_round_trip(lake, artifact, name):
    lake.Feature(name=name, dtype="int").save()
    lake.Feature(name=f"{name} kind", dtype="cat[ULabel]").save()
    artifact.features.add_values({name: 3})
    artifact.labels.add(name, feature=f"{name} kind", create=True)
    assert artifact.features.get_values() == {name: 3, f"{name} kind": name}
    if "__" not in name:
        assert lake.Artifact.filter(**{f"features__{name}": 3}).one() == artifact
        assert lake.Artifact.filter(**{f"features__{name} kind": name}).one() == artifact
    assert lake.ULabel.from_values([name]).unknown == []
    assert lake.ULabel.filter(name__contains=name).one().name == name
    frame = lake.Artifact.filter().df(include=["features", "ulabels"])
    assert 3 in [frame[column][0] for column in frame if column.removeprefix("features__") == name]
    artifact.features.remove_values([name, f"{name} kind"])
    assert lake.Artifact.filter().count() == 1


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_cannot_be_seen_or_stored_are_refused_everywhere(lake, artifact, name):
    for call in (
        lambda: lake.ULabel(name=name).save(),
        lambda: lake.ULabel.upsert_df([{"name": name}]),
        lambda: lake.save([lake.ULabel(name=f"l{i}") for i in range(150)] + [lake.ULabel(name=name)]),
        lambda: lake.Feature(name=name, dtype="int").save(),
        lambda: lake.Modality(name=name).save(),
        lambda: artifact.labels.add(name, create=True),
        lambda: artifact.features.add_values({name: 1}),
        lambda: artifact.features.add_set(lake.FeatureSet.of([lake.Gene(symbol="G").save()]), slot=name),
    ):
        with pytest.raises(InputError):
            call()
    assert lake.ULabel.filter().count() == lake.Feature.filter().count() == 0
    assert artifact.features.sets() == {}


def test_twins_of_one_name_are_one_record_in_bulk_too(lake):
    lake.ULabel(name="caf\u00e9").save()
    assert lake.ULabel.from_values(["cafe\u0301"]).unknown == []
    assert lake.ULabel.upsert_df([{"name": "cafe\u0301", "description": "x"}]).updated == 1
    assert lake.ULabel.filter().count() == 1


@pytest.mark.parametrize(
    "lookups",
    [
        {"features__temperature__nothing": 1},
        {"features__temperature": "warm"},
        {"features__temperature__gt": float("nan")},
        {"features__temperature__gt": 2**70},
        {"features__temperature__gt": None},
        {"features__temperature__in": 3},
        {"features__nothing__gt": 1},
        {"features": 1},
        {"features__": 1},
        {"feature_sets__nothing": 1},
        {"genes__nothing": 1},
        {"ulabels__name__nothing": 1},
        {"deleted_at": "never"},
        {"created_at__gt": "0000-01-01"},
        {"created_at__gt": "10000-01-01"},
        {"size": True},
    ],
)
def test_look_ups_that_make_no_sense_are_refused_with_the_choices(lake, lookups):
    lake.Feature(name="temperature", dtype="float").save()
    with pytest.raises((InputError, RecordNotFound)) as caught:
        lake.Artifact.filter(**lookups).count()
    assert len(str(caught.value)) > 20


@pytest.mark.parametrize("column", ["size; drop table artifact", "size desc", "", "-", "--size", "nothing", 3])
def test_orders_that_are_no_columns_are_refused(lake, column):
    with pytest.raises(UnknownField):
        lake.Artifact.filter().order_by(column)
    with pytest.raises(UnknownField):
        lake.Artifact.filter().distinct(column)


@pytest.mark.parametrize(
    "path", ["nothing", "ulabels__nothing", "size__name", "created_by__run__nothing", 3, "features__x"]
)
def test_included_columns_that_there_are_not_are_refused(lake, artifact, path):
    with pytest.raises(InputError):
        lake.Artifact.filter().df(include=[path])


def test_unsaved_records_in_relations_are_refused(lake, artifact):
    label, gene = lake.ULabel(name="x"), lake.Gene(symbol="G")
    for call in (
        lambda: artifact.labels.add(label),
        lambda: lake.FeatureSet.of([gene]),
        lambda: lake.Run(transform=lake.Transform(name="t")),
        lambda: lake.Artifact(b"y", key="b.txt").labels.add("x", create=True),
        lambda: lake.Artifact(b"y", key="b.txt").features.add_values({"x": 1}),
        lambda: lake.Artifact(b"y", key="b.txt").delete(),
        label.delete,
    ):
        with pytest.raises(InputError, match="not saved"):
            call()
    assert lake.ULabel.filter().count() == 0


def test_records_of_another_instance_are_refused_in_relations(lake, other, artifact):
    label = other.ULabel(name="x").save()
    theirs = other.Artifact(b"x", key="a.txt").save()
    for call in (
        lambda: artifact.labels.add(label),
        lambda: artifact.labels.add_from(theirs),
        lambda: artifact.features.add_values({other.Feature(name="n", dtype="int").save(): 1}),
        lambda: lake.Artifact.filter(ulabels=label),
    ):
        with pytest.raises(InputError, match="belongs to the instance"):
            call()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda lake: lake.ULabel(name=3), "ULabel.name = 3 is a int: str is accepted"),
        (lambda lake: lake.Feature(name="x", dtype=object), "Feature.dtype"),
        (lambda lake: lake.Feature(name="x", dtype=[]), "Feature.dtype"),
        (lambda lake: lake.Feature(name="x", dtype="int", nullable="yes"), "Feature.nullable = 'yes' is a str: bool"),
        (lambda lake: lake.Feature(name="x", dtype="int", unit=3), "Feature.unit = 3"),
        (lambda lake: lake.Modality(), "Modality needs name"),
        (lambda lake: lake.Run(transform="x", started_at="today"), "Run.started_at = 'today' is a str: datetime"),
        (lambda lake: lake.Run(transform="x", started_at=dt.datetime(2026, 1, 1)), "Run.started_at"),
        (lambda lake: lake.Artifact.from_arrow([1]), "from_arrow"),
        (lambda lake: lake.FeatureSet.of("CD8A"), "FeatureSet.of"),
    ],
)
def test_type_errors_in_constructors_name_field_value_and_what_is_accepted(lake, make, message):
    with pytest.raises(InputError) as caught:
        make(lake)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "~/x", "a\\..\\x", "C:\\x", "x" * 1_025, "a/", "%2e%2e/x"])
def test_replacing_and_restoring_keep_keys_that_are_admitted_only(lake, artifact, key):
    with pytest.raises((InvalidKey, InvalidName)):
        lake.Artifact(b"1", key=key).save()
    newer = artifact.replace(b"y")
    newer.delete()
    assert lake.Artifact.get(key="a.txt") == artifact


def test_errors_of_ours_are_all_that_is_raised_for_odd_arguments(lake, artifact):
    for call in (
        lambda: lake.ULabel.from_values({"a": 1}.values()),
        lambda: lake.ULabel.upsert_df(None),
        lambda: lake.ULabel.upsert_df([{"name": "a", "description": {"b": 1}}]),
        lambda: lake.ULabel.from_df([1, 2]),
        lambda: lake.ULabel.lookup(field="nothing"),
        lambda: artifact.features.add_values([("a", 1)]),
        lambda: artifact.features.add_values({3: 1}),
        lambda: artifact.features.remove_values([3]),
        lambda: artifact.labels.add_from("a.txt"),
        lambda: artifact.features.add_set("genes", slot="var"),
    ):
        with pytest.raises(LakehouseError):
            call()
