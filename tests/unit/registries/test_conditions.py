from __future__ import annotations

import pytest

import lakehouse as lh
from lakehouse.errors import InputError, RecordNotFound, UnknownField
from registries import Q


@pytest.fixture
def stocked(lake):
    with lake.transaction():
        for n in range(6):
            lake.Artifact(bytes([65 + n]) * (n + 1), key=f"{n}.{'csv' if n % 2 else 'txt'}", format="blob").save()
    return lake


def keys(query):
    return [artifact.key for artifact in query.order_by("key")]


def test_look_ups_combine_with_and_or_and_not(stocked):
    found = stocked.Artifact.filter(Q(size__gt=4) | Q(suffix=".txt") & ~Q(size__gt=1))
    assert keys(found) == ["0.txt", "4.txt", "5.csv"]
    assert keys(stocked.Artifact.filter(~(Q(size__gt=1) | Q(size=1)))) == []
    assert lh.Q is Q


def test_columns_compare_as_conditions(stocked):
    artifact = stocked.Artifact
    assert keys(artifact.filter((artifact.size >= 3) & (artifact.suffix == ".txt"))) == ["2.txt", "4.txt"]
    assert keys(artifact.filter(artifact.key.startswith("1") | artifact.size.in_([1, 6]))) == [
        "0.txt",
        "1.csv",
        "5.csv",
    ]
    assert keys(artifact.filter(artifact.description.isnull(), artifact.size < 2)) == ["0.txt"]
    assert keys(artifact.filter(lh.Artifact.size != 1, size__lte=2)) == ["1.csv"]


def test_exclude_leaves_out_what_meets_all_and_keeps_what_is_unknown(stocked):
    artifact = stocked.Artifact
    assert keys(artifact.filter().exclude(suffix=".txt")) == ["1.csv", "3.csv", "5.csv"]
    assert keys(artifact.filter(size__gt=4).exclude(suffix=".txt", size=5)) == ["5.csv"]
    assert artifact.filter().exclude(description="x").count() == 6


def test_a_condition_in_an_if_is_refused(stocked):
    artifact = stocked.Artifact
    with pytest.raises(InputError, match=r"combine conditions with &, \| and ~"):
        artifact.filter(artifact.size > 1 and artifact.size < 3)
    with pytest.raises(InputError, match="combine conditions"):
        artifact.filter(1 < artifact.size < 3)
    with pytest.raises(InputError, match="a condition is"):
        artifact.filter("size > 1")
    with pytest.raises(InputError, match="a condition is"):
        artifact.filter((artifact.size > 1) | True)
    with pytest.raises(UnknownField, match="Artifact has no field 'sze'; did you mean 'size'"):
        artifact.filter(Q(sze=1) | Q(size=1))


def test_conditions_over_relations_combine(stocked):
    stocked.Artifact.get(key="0.txt").labels.add("treated", create=True)
    stocked.Artifact.get(key="1.csv").labels.add("fed", create=True)
    found = stocked.Artifact.filter(Q(ulabels__name="treated") | Q(ulabels__name="fed"), ~Q(suffix=".csv"))
    assert keys(found) == ["0.txt"]
    assert keys(stocked.Artifact.filter(~Q(ulabels__isnull=True))) == ["0.txt", "1.csv"]


def test_slices_are_places_in_the_order(stocked):
    query = stocked.Artifact.filter().order_by("-size")
    assert [a.size for a in query[1:3]] == [5, 4]
    assert [a.size for a in query[4:]] == [2, 1]
    assert [a.size for a in query[1:][1:2]] == [4]
    assert query[0].size == 6
    assert query[2:5].count() == 3
    assert query[5:10].count() == 1
    assert query[3:3].all() == []
    with pytest.raises(RecordNotFound, match="it has 6"):
        query[6]
    for wrong in (slice(-1, None), slice(None, None, 2), "a", slice(0, -1)):
        with pytest.raises(InputError):
            query[wrong]


def test_distinct_keeps_the_first_per_combination(stocked):
    found = stocked.Artifact.filter().order_by("-size").distinct("suffix")
    assert [a.size for a in found] == [6, 5]
    assert found.count() == 2
    assert stocked.Artifact.filter().distinct().count() == 6


def test_related_columns_come_along_in_frames(stocked):
    stocked.Feature(name="temperature", dtype="float").save()
    stocked.Feature(name="condition", dtype="cat[ULabel]").save()
    first = stocked.Artifact.get(key="0.txt")
    first.labels.add(["b", "a"], create=True)
    first.features.add_values({"temperature": 21.5, "condition": "a"})
    query = stocked.Artifact.filter(size__lte=2).order_by("key")
    frame = query.df(include=["created_by__handle", "ulabels__name", "features"])
    assert list(frame["created_by__handle"]) == ["ada", "ada"]
    assert list(frame["ulabels__name"][0]) == ["a", "b"]
    assert frame["temperature"][0] == 21.5
    assert list(frame["condition"][0]) == ["a"]
    assert query.pl(include="ulabels")["ulabels"].to_list() == [["a", "b"], None]
    with pytest.raises(UnknownField, match="did you mean 'ulabels'"):
        query.df(include="ulabel__name")


def test_a_million_values_are_looked_up_as_one(stocked):
    assert stocked.Artifact.filter(size__in=range(1, 1_000_001)).count() == 6


def test_whole_registries_and_picked_rows_are_the_same_before_and_after_publishing(stocked):
    labelled = stocked.Artifact.get(key="3.csv")
    labelled.labels.add("treated", create=True)
    for publish in (False, True, False):
        if publish:
            stocked.flush()
            labelled.description = "changed since it was published"
            labelled.save()
            stocked.Artifact.get(key="5.csv").delete()
        everything = stocked.Artifact.filter()
        assert everything.count() == len(everything.arrow()) == len(everything.order_by("uid").arrow())
        assert set(everything.arrow()["uid"].to_pylist()) == set(everything.order_by("uid").arrow()["uid"].to_pylist())
        assert stocked.Artifact.filter(ulabels__name="treated").one().description == labelled.description
        assert stocked.Artifact.filter(uid__in=[labelled.uid, "nothing"]).count() == 1


def test_a_serialisable_transaction_that_read_a_whole_registry_conflicts_with_a_save_to_it(stocked):
    from lakehouse.errors import ChangedSinceRead

    with pytest.raises(ChangedSinceRead), stocked.transaction(serializable=True):
        count = len(stocked.ULabel.filter().arrow())
        with_other = stocked.__class__.open(stocked.root, user="grace")
        with_other.ULabel(name="meanwhile").save()
        with_other.close()
        stocked.Feature(name=f"labels {count}", dtype="int").save()
