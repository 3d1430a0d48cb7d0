from __future__ import annotations

import datetime as dt

import pytest

from lakehouse.errors import InputError, MultipleFound, NotFound, RecordNotFound, UnknownField


@pytest.fixture
def filled(lake):
    """Three artifacts of 1, 2 and 3 bytes, the first two labelled."""
    for number in (1, 2, 3):
        lake.Artifact(
            bytes(number), key=f"raw/{number}.bin", description=f"100%_{number}" if number > 1 else None
        ).save()
    for key, labels in {"raw/1.bin": ["treated", "donor 1"], "raw/2.bin": ["treated"]}.items():
        lake.Artifact.get(key=key).labels.add(labels, create=True)
    return lake


LOOKUPS = [
    ({"key": "raw/1.bin"}, "1"),
    ({"key__exact": "raw/1.bin"}, "1"),
    ({"size__gt": 1}, "23"),
    ({"size__gt": 1.5}, "23"),
    ({"size__gte": 2, "size__lt": 3}, "2"),
    ({"size__lte": 2**63 - 1}, "123"),
    ({"size__ne": 2}, "13"),
    ({"description__ne": "100%_2"}, "13"),
    ({"size__in": [1, 3]}, "13"),
    pytest.param({"size__in": (n for n in (1, 2.0))}, "12", id="a generator"),
    ({"size__in": []}, ""),
    ({"key__in": ["raw/1.bin", "nothing"]}, "1"),
    ({"key__contains": "W/"}, ""),
    ({"key__icontains": "W/2"}, "2"),
    ({"key__startswith": "raw/3"}, "3"),
    ({"key__endswith": "1.bin"}, "1"),
    ({"description__contains": "%_"}, "23"),
    ({"description__contains": "0_"}, ""),
    ({"key__contains": "_"}, ""),
    ({"description__isnull": True}, "1"),
    ({"description": None}, "1"),
    ({"description__ne": None}, "23"),
    ({"description__isnull": False}, "23"),
    ({"created_at__gte": "2020-01-01", "created_at__lt": dt.date(9999, 12, 31)}, "123"),
    ({"created_at__lt": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, ""),
    ({"created_by__handle": "ada"}, "123"),
    ({"created_by__handle__in": ["eve"]}, ""),
    ({"storage__root": "storage"}, "123"),
    ({"run__transform__name": "x"}, ""),
    ({"run__isnull": True}, "123"),
    ({"ulabels__name": "treated"}, "12"),
    ({"ulabels__name__in": ["treated", "donor 1"]}, "12"),
    ({"ulabels__name__startswith": "donor"}, "1"),
    ({"ulabels__isnull": True}, "3"),
    ({"ulabels__isnull": False}, "12"),
    ({"ulabels__created_by__handle": "ada"}, "12"),
    ({"is_latest": True}, "123"),
    ({"key": "'; DROP TABLE artifact;--"}, ""),
    ({"key__contains": 'a" OR 1=1'}, ""),
    ({"key": "$1"}, ""),
    ({"key": "?"}, ""),
    ({"key__contains": "(a+)+$"}, ""),
    ({"key__contains": "x" * 1_000_000}, ""),
]


@pytest.mark.parametrize(("lookups", "found"), LOOKUPS, ids=lambda value: str(value)[:50])
def test_lookups_find_what_they_say(filled, lookups, found):
    query = filled.Artifact.filter(**lookups).order_by("key")
    assert "".join(str(artifact.size) for artifact in query.all()) == found
    assert query.count() == len(found)
    assert query.exists() == bool(found)


def test_lookups_cross_links_from_the_other_side(filled):
    names = [label.name for label in filled.ULabel.filter(artifacts__key="raw/1.bin").order_by("name")]
    assert names == ["donor 1", "treated"]


def test_records_stand_for_their_uid(filled):
    label = filled.ULabel.get(name="treated")
    user = filled.User.get(handle="ada")
    assert filled.Artifact.filter(ulabels=label, created_by=user).count() == 2
    assert filled.Artifact.filter(ulabels__in=[label], created_by=user.uid).count() == 2


BAD = [
    ({"nmae": 1}, UnknownField, "no field 'nmae'"),
    ({"sise": 1}, UnknownField, "did you mean 'size'"),
    ({"size__gtt": 1}, UnknownField, "did you mean 'gt' or 'gte'"),
    ({"size__gt__lt": 1}, UnknownField, "no look-up 'lt'"),
    ({"size__contains": "1"}, InputError, "works on text"),
    ({"ulabels__nmae": "x"}, UnknownField, "ULabel has no field 'nmae'"),
    ({"run__transform__nmae": "x"}, UnknownField, "Transform has no field"),
    ({'size"; drop table artifact;--': 1}, UnknownField, "no field"),
    ({"": 1}, UnknownField, "no field ''"),
    ({"is_latest": 1}, InputError, "True or False"),
    ({"is_latest__gt": True}, UnknownField, "takes no look-up"),
    ({"size__isnull": "yes"}, InputError, "True or False"),
    ({"size": "1"}, InputError, "int is accepted"),
    ({"size": True}, InputError, "int is accepted"),
    ({"size__gt": float("nan")}, InputError, "finite"),
    ({"size__gt": float("inf")}, InputError, "finite"),
    ({"size__gt": 2**63}, InputError, "64 bits"),
    ({"size__gt": 10**5000}, InputError, "64 bits"),
    ({"size__gt": None}, InputError, "isnull"),
    ({"created_by": "ada"}, InputError, "no uid of a User.* write created_by__handle='ada'"),
    ({"created_by__in": ["ada"]}, InputError, "write created_by__handle='ada'"),
    ({"storage__ne": "s3://x"}, InputError, "write storage__root='s3://x'"),
    ({"ulabels": "treated"}, InputError, "write ulabels__name='treated'"),
    ({"run": "x"}, InputError, "no uid of a Run: give the record or its uid$"),
    ({"ulabels": ["treated"]}, InputError, "for any of several write ulabels__in"),
    ({"key": 3}, InputError, "str is accepted"),
    ({"key": "a\0b"}, InputError, "NUL"),
    ({"key": "\ud800"}, InputError, "surrogate"),
    ({"key__in": "abc"}, InputError, "list of values"),
    ({"key__in": 3}, InputError, "list of values"),
    ({"key__in": [None]}, InputError, "str is accepted"),
    ({"created_at__gt": "0000-01-01"}, InputError, "years 1 to 9999"),
    ({"created_at__gt": "10000-01-01"}, InputError, "years 1 to 9999"),
    ({"created_at__gt": "yesterday"}, InputError, "2026-01-31"),
    ({"created_at__gt": 3}, InputError, "ISO 8601"),
    ({"created_at__gt": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))}, InputError, "1 to 9999"),
]


@pytest.mark.parametrize(("lookups", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_lookups_raise_a_typed_error_at_once(lake, lookups, error, message):
    with pytest.raises(error, match=message) as caught:
        lake.Artifact.filter(**lookups)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("column", ["size; drop table artifact", "nmae", "--size", "ulabels", "size desc", "", 3, None])
def test_only_columns_order(lake, column):
    with pytest.raises(UnknownField, match="cannot be ordered"):
        lake.Artifact.filter().order_by(column)


@pytest.mark.parametrize("place", [-1, slice(-3, None), slice(None, -1), 2**63, 1.5, True, "1"])
def test_places_are_counted_from_the_start(lake, place):
    with pytest.raises(InputError, match=r"a place is a whole number from 0; to count from the end, turn order_by"):
        lake.Artifact.filter().order_by("key")[place]


@pytest.mark.parametrize("n", [-1, 2**63, 1.5, True, "1", None])
def test_limits_are_whole_numbers(lake, n):
    with pytest.raises(InputError, match="limit"):
        lake.Artifact.filter().limit(n)


def test_queries_are_lazy_and_immutable(filled):
    query = filled.Artifact.filter(size__gt=1)
    narrower = query.filter(size__lt=3).limit(1)
    filled.Artifact(bytes(9), key="late.bin").save()
    assert (query.count(), narrower.count()) == (3, 1)
    assert "size__gt=1" in repr(query)
    with pytest.raises(InputError, match="exists"):
        bool(query)


def test_order_limit_and_first(filled):
    query = filled.Artifact.filter()
    assert [artifact.size for artifact in query.order_by("-size").limit(2)] == [3, 2]
    assert query.order_by("-size").first().size == 3
    assert query.order_by("description", "size").first().size == 2
    assert query.limit(0).all() == []
    assert query.limit(0).count() == 0
    assert query.limit(2).count() == 2
    assert filled.Artifact.filter(size=99).first() is None


def test_frames_come_in_pandas_polars_and_arrow(filled):
    query = filled.Artifact.filter(size__lt=3).order_by("size")
    assert query.arrow()["size"].to_pylist() == query.df()["size"].tolist() == query.pl()["size"].to_list() == [1, 2]
    assert list(query.df()) == filled.Artifact.spec().schema.names
    assert filled.Artifact.filter(size=99).df().empty


def test_one_demands_exactly_one(filled):
    assert filled.Artifact.filter(size=1).one().size == 1
    assert filled.Artifact.filter(size=99).one_or_none() is None
    with pytest.raises(RecordNotFound, match=r"Artifact.filter\(size=99\)"):
        filled.Artifact.filter(size=99).one()
    with pytest.raises(MultipleFound, match="meets 3 records"):
        filled.Artifact.filter().one()
    with pytest.raises(MultipleFound):
        filled.Artifact.filter().one_or_none()


def test_sql_holds_placeholders_and_no_values(filled):
    query = filled.Artifact.filter(key="secret value", ulabels__name="x", size__in=[1])
    assert "secret" not in query.sql
    assert query.parameters == ["secret value", "x", [1]]


def test_a_large_list_of_values_is_one_parameter(filled):
    assert filled.Artifact.filter(size__in=range(100_000)).count() == 3


def test_at_travels_to_a_commit_and_a_time(filled):
    commit = filled.snapshots()[0]
    filled.Artifact(bytes(9), key="late.bin").save()
    query = filled.Artifact.filter()
    assert query.count() == 4
    assert query.at(commit).count() == query.at(commit.id).count() == query.at(commit.at).count() == 3
    assert query.at(commit.at.isoformat()).count() == 3
    assert query.at("2020-01-01").count() == 0
    assert filled.sql("select count(*) from artifact", at=commit).fetchall() == [(3,)]
    with pytest.raises(InputError):
        query.at(-1).count()
    with pytest.raises(InputError):
        query.at("year 0")


def test_get_takes_uids_stems_prefixes_and_unique_fields(filled):
    artifact = filled.Artifact.get(key="raw/1.bin")
    for text in (artifact.uid, artifact.uid[:16], artifact.uid[:12], artifact.uid[4:12]):
        assert filled.Artifact.get(text) == artifact
    assert filled.Artifact.get(size=1) == artifact
    assert filled.ULabel.get(name="treated").name == "treated"


def test_get_says_what_is_wrong(filled):
    with pytest.raises(MultipleFound, match="give more characters"):
        filled.Artifact.get(filled.Artifact.filter().first().uid[:4])
    with pytest.raises(RecordNotFound, match=r"ULabel\.get\(name='treated!'\)"):
        filled.ULabel.get("treated!")
    with pytest.raises(RecordNotFound, match="did you mean 'treated'"):
        filled.ULabel.get(name="treatd")
    with pytest.raises(RecordNotFound, match=r"did you mean 'raw/1\.bin'"):
        filled.Artifact.get(key="raw/1.bni")
    with pytest.raises(NotFound):
        filled.Artifact.get("0" * 20)
    for wrong in ("", "'; drop", "ab", "x" * 1_000_000, "zzzzzz", "\ud800abc"):
        with pytest.raises(RecordNotFound):
            filled.Artifact.get(wrong)
    with pytest.raises(InputError):
        filled.Artifact.get(3)
    with pytest.raises(InputError):
        filled.Artifact.get()
    with pytest.raises(InputError, match="not both"):
        filled.Artifact.get("x", key="y")
    with pytest.raises(UnknownField, match="did you mean 'key'"):
        filled.Artifact.get(kye="x")
    with pytest.raises(InputError):
        filled.ULabel.get(name="a\0")
    with pytest.raises(MultipleFound):
        filled.Artifact.get(suffix=".bin")
