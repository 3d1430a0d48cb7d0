from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from lakehouse.errors import InputError, RecordNotFound, UnknownField
from registries import CellType, ULabel
from registries.dtypes import parse_dtype


@pytest.fixture
def artifact(lake):
    return lake.Artifact(b"x", key="a.txt").save()


VALUES = {
    "int": (3, "gt", 2, 4),
    "float": (21.5, "gte", 21.5, 22),
    "str": ("blue", "startswith", "bl", "re"),
    "bool": (True, "exact", True, False),
    "date": (dt.date(2026, 1, 2), "lt", dt.date(2026, 1, 3), dt.date(2026, 1, 2)),
    "datetime": (
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "gte",
        "2026-01-02",
        dt.datetime(2026, 1, 3, tzinfo=dt.UTC),
    ),
}


@pytest.mark.parametrize("dtype", VALUES)
def test_values_of_each_type_come_back_and_are_found(lake, artifact, dtype):
    value, operator, hit, miss = VALUES[dtype]
    lake.Feature(name="x", dtype=dtype).save()
    artifact.features.add_values({"x": value})
    assert artifact.features.get_values() == {"x": value}
    assert lake.Artifact.filter(**{f"features__x__{operator}": hit}).count() == 1
    assert lake.Artifact.filter(**{f"features__x__{operator}": miss}).count() == 0
    assert lake.Artifact.filter(features__x__isnull=True).count() == 0


def test_vectors_lists_and_json_come_back_as_they_were(lake, artifact):
    lake.Feature(name="embedding", dtype="vector[3]").save()
    lake.Feature(name="counts", dtype="list[int]").save()
    lake.Feature(name="settings", dtype="json").save()
    values = {"embedding": np.array([1.0, 2.0, 3.0]), "counts": [3, 1, 2], "settings": {"a": [1, None]}}
    artifact.features.add_values(values)
    found = artifact.features.get_values()
    assert found == {"counts": [3, 1, 2], "embedding": [1.0, 2.0, 3.0], "settings": {"a": [1, None]}}
    assert lake.Artifact.filter(features__counts=3).count() == 1
    nearest = lake.sql(
        "select list_cosine_similarity(vector, [1.0, 2, 3]) from artifact_value where vector is not null"
    )
    assert nearest.fetchall()[0][0] == pytest.approx(1.0)
    with pytest.raises(InputError, match="vectors are compared in SQL"):
        lake.Artifact.filter(features__embedding=[1.0, 2, 3])


@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [
        ("int", 1.5),
        ("int", True),
        ("int", 2**63),
        ("float", "warm"),
        ("float", float("nan")),
        ("str", 3),
        ("bool", 1),
        ("date", "yesterday"),
        ("datetime", dt.datetime(2026, 1, 1)),
        ("vector[3]", [1.0, 2.0]),
        ("list[int]", 3),
        ("json", {1, 2}),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_dtype(lake, artifact, dtype, wrong):
    lake.Feature(name="x", dtype=dtype).save()
    with pytest.raises(InputError, match=r"feature 'x' = .* its dtype is"):
        artifact.features.add_values({"x": wrong})
    assert artifact.features.get_values() == {}


def test_another_value_replaces_the_one_before_and_the_same_one_changes_nothing(lake, artifact):
    lake.Feature(name="x", dtype="list[int]").save()
    artifact.features.add_values({"x": [1, 2, 3]})
    artifact.features.add_values({"x": [4]})
    commits = len(lake.snapshots())
    artifact.features.add_values({"x": [4]})
    assert artifact.features.get_values() == {"x": [4]}
    assert len(lake.snapshots()) == commits


def test_categorical_values_are_labels_and_are_found_by_name(lake, artifact):
    lake.Feature(name="condition", dtype=ULabel).save()
    artifact.features.add_values({"condition": ["treated", "fed"]}, create=True)
    assert artifact.features.get_values() == {"condition": ["fed", "treated"]}
    assert artifact.labels.all() == {"condition": ["fed", "treated"]}
    assert lake.Artifact.filter(features__condition="treated").one() == artifact
    assert lake.Artifact.filter(features__condition__name__startswith="tre").count() == 1
    assert lake.Artifact.filter(features__condition__isnull=False).count() == 1
    artifact.features.remove_values("condition")
    assert artifact.features.get_values() == {}
    assert lake.Artifact.filter(features__condition="treated").count() == 0


def test_all_values_are_set_or_none(lake, artifact):
    lake.Feature(name="age", dtype="int").save()
    with pytest.raises(RecordNotFound, match="no Feature is called 'agee'; did you mean 'age'"):
        artifact.features.add_values({"age": 3, "agee": 4})
    assert artifact.features.get_values() == {}


def test_runs_have_values_and_labels_too(lake):
    run = lake.Run(transform=lake.Transform(name="align").save()).save()
    lake.Feature(name="threads", dtype="int").save()
    run.features.add_values({"threads": 8})
    run.labels.add("nightly", create=True)
    assert lake.Run.filter(features__threads__gte=8, ulabels__name="nightly").one() == run
    assert lake.Artifact.filter(run__features__threads=8).count() == 0


def test_an_unknown_feature_in_a_look_up_is_named_with_near_ones(lake):
    lake.Feature(name="temperature", dtype="float").save()
    with pytest.raises(RecordNotFound, match="no Feature is called 'temperatur'; did you mean 'temperature'"):
        lake.Artifact.filter(features__temperatur__gt=3)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (float, "float"),
        (ULabel, "cat[ULabel]"),
        ([CellType, ULabel], "cat[CellType|ULabel]"),
        ("list[cat[ULabel|CellType]]", "list[cat[ULabel|CellType]]"),
        ("cat[ULabel(name__startswith='donor ')]", "cat[ULabel(name__startswith='donor ')]"),
        (dt.datetime, "datetime"),
        ("vector[64]", "vector[64]"),
    ],
)
def test_dtypes_may_be_types_registries_and_text(lake, given, text):
    assert lake.Feature(name="x", dtype=given).save().dtype == text
    assert str(parse_dtype(text)) == text


def test_a_query_narrows_what_a_feature_accepts(lake, artifact):
    lake.save([lake.ULabel(name="donor 1"), lake.ULabel(name="treated")])
    feature = lake.Feature(name="donor", dtype=lake.ULabel.filter(name__startswith="donor ")).save()
    artifact.labels.add("donor 1", feature=feature)
    with pytest.raises(RecordNotFound, match="no ULabel is called 'treated'"):
        artifact.labels.add("treated", feature="donor")
    with pytest.raises(InputError, match="'treated' is no value of feature 'donor'"):
        artifact.labels.add(lake.ULabel.get(name="treated"), feature="donor")


@pytest.mark.parametrize(
    "wrong",
    ["flaot", "cat[Nothing]", "vector[0]", "vector[-1]", "vector[x]", "list[list[int]]", "cat[ULabel(nme='x')]", "",
     "cat[ULabel(name=open('/etc/passwd'))]", "((((" * 400, "cat[__import__('os')]", "a\nb", "int; drop"],
)  # fmt: skip
def test_what_is_no_dtype_is_refused_and_never_run(lake, wrong):
    with pytest.raises((InputError, UnknownField)):
        lake.Feature(name="x", dtype=wrong).save()
    assert lake.Feature.filter().count() == 0


def test_a_default_is_checked_against_the_dtype_and_comes_back_as_a_value(lake):
    assert lake.Feature(name="x", dtype="int", default=3, nullable=False).save().default == 3
    assert lake.Feature.get(name="x").default == 3
    with pytest.raises(InputError, match="its dtype is 'int'"):
        lake.Feature(name="y", dtype="int", default="three").save()


def test_names_resolve_through_the_registries_of_the_feature(lake, artifact):
    cell = lake.CellType(name="T cell").save()
    lake.Feature(name="cell_type", dtype="cat[CellType|ULabel]").save()
    artifact.labels.add("T cell", feature="cell_type")
    assert artifact.cell_types.get() == [cell]
    assert artifact.ulabels.get() == []
    assert lake.Artifact.filter(cell_types__name="T cell").one() == artifact
    assert lake.CellType.filter(artifacts__key="a.txt").one() == cell
    with pytest.raises(InputError, match="is a Tissue: CellType or ULabel is accepted here"):
        artifact.labels.add(lake.Tissue(name="lung").save(), feature="cell_type")


def test_labels_are_taken_over_from_another_artifact_under_the_same_features(lake, artifact):
    lake.Feature(name="condition", dtype="cat[ULabel]").save()
    artifact.labels.add("treated", feature="condition", create=True)
    artifact.cell_types.add("T cell", create=True)
    other = lake.Artifact(b"y", key="b.txt").save()
    other.labels.add_from(artifact)
    assert other.labels.all() == {None: ["T cell"], "condition": ["treated"]}
