"""Queries over registries whose files are not kept in memory read those that may hold the answer, and miss nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.engine import Lake, Options
from registries import Artifact, ULabel
from registries.binding import REGISTRIES
from registries.instance import Instance

DAY = datetime(2026, 1, 1, tzinfo=UTC)
FEW = Options(auto_publish=False, small_rows=0, file_rows=10, bulk_rows=5, merge_files=1_000)


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Instance]:
    """An instance of 60 labels, one an hour, in six files."""
    specs = [registry.spec() for registry in REGISTRIES.values()]
    with Instance(Lake.create(tmp_path / "big", specs, options=FEW), user="ann") as home:
        home.ULabel(name="first").save()
        user = home.ULabel.get(name="first").created_by
        rows = [
            {"uid": f"{n:04}" + "A" * 12 + "0000", "name": f"label {n:02}", "created_by": user}
            | {"created_at": DAY + timedelta(hours=n), "synonyms": [], "parent_uids": [], "parent_relations": []}
            for n in range(60)
        ]
        home.lake.run(lambda txn: txn.delete("ulabel", [home.ULabel.get(name="first").uid]))
        home.lake.run(lambda txn: txn.insert("ulabel", rows))
        home.flush()
        yield home


def remove_all_but(home: Instance, kept: set[int]) -> None:
    base = home.snapshot().state("ulabel").base
    for position, file in enumerate(base.files):
        if position not in kept:
            base.folder.path(file.path).unlink()


def names(found: list[ULabel]) -> list[str]:
    return [label.name for label in found]


def test_day_window_and_uids_need_one_file(big: Instance) -> None:
    remove_all_but(big, {2})
    window = {"created_at__gte": DAY + timedelta(hours=20), "created_at__lt": DAY + timedelta(hours=22)}
    assert names(big.ULabel.filter(**window).all()) == ["label 20", "label 21"]
    uids = [f"{n:04}" + "A" * 12 + "0000" for n in (25, 21)]
    assert names(big.ULabel.filter(uid__in=uids).order_by("name").all()) == ["label 21", "label 25"]
    assert big.ULabel.filter(uid__startswith="002").count() == 10
    assert big.ULabel.get(uids[0]).created_at == DAY + timedelta(hours=25)


def test_latest_need_the_newest_files_only(big: Instance) -> None:
    remove_all_but(big, {2, 3, 4, 5})
    assert names(big.ULabel.filter().order_by("-created_at").limit(2).all()) == ["label 59", "label 58"]


def test_latest_with_a_condition_are_found_wherever_they_are(big: Instance) -> None:
    query = big.ULabel.filter(name__in=["label 00", "label 31"]).order_by("-created_at").limit(5)
    assert names(query.all()) == ["label 31", "label 00"]
    assert big.ULabel.filter(name="label 07").exists()
    assert not big.ULabel.filter(name="label 99").exists()


def test_later_order_columns_settle_ties_across_files(big: Instance) -> None:
    uids = big.ULabel.filter().order_by("name").arrow()["uid"].to_pylist()
    for uid in uids:
        label = big.ULabel.get(uid)
        label.description = "the same"
        label.save()
    big.flush()
    assert names(big.ULabel.filter().order_by("description", "-name").limit(2).all()) == ["label 59", "label 58"]


def test_what_a_query_demands_of_its_rows_does_not_narrow_a_second_mention_of_the_registry(big: Instance) -> None:
    other = big.Artifact(b"1", key="b.bin").save()
    stamps = {"created_by": other.created_by, "storage": other.storage, "size": 1}
    texts = dict.fromkeys(("suffix", "format", "kind", "hash", "hash_kind", "path"), "x")
    rows = [
        {"uid": "K" * 16 + f"{v:04}", "key": "a.bin", "version": v, "created_at": DAY + timedelta(hours=v), **texts}
        for v in range(20)
    ]
    big.lake.run(lambda txn: txn.insert("artifact", [row | stamps for row in rows]))
    big.flush()
    early: list[Artifact] = big.Artifact.filter(
        is_latest=True, key="a.bin", created_at__lt=DAY + timedelta(hours=5)
    ).all()
    assert early == []
    assert [a.version for a in big.Artifact.filter(is_latest=True, key="a.bin", created_at__gte=DAY).all()] == [19]


def test_artifacts_of_a_label_are_found_in_the_files_that_hold_them(big: Instance) -> None:
    artifacts = [big.Artifact(f"{n}".encode(), key=f"{n}.bin").save() for n in range(12)]
    for artifact in artifacts[::5]:
        artifact.labels.add("label 07")
    big.flush()
    query = big.Artifact.filter(ulabels__name="label 07")
    for _ in range(2):
        assert sorted(found.key for found in query.all()) == ["0.bin", "10.bin", "5.bin"]
        assert query.count() == 3
        assert query.order_by("-created_at").limit(1).one() == artifacts[10]
        assert big.Artifact.filter(ulabels__name="label 07", key="5.bin").one() == artifacts[5]
        artifacts[2].labels.add("label 07")
        artifacts[0].labels.remove("label 07")
        assert sorted(found.key for found in query.all()) == ["10.bin", "2.bin", "5.bin"]
        artifacts[2].labels.remove("label 07")
        artifacts[0].labels.add("label 07")
        big.flush()


def test_many_related_records_are_found_as_well_as_few(big: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registries.conditions._FEW", 2)
    for n in range(4):
        big.Artifact(f"{n}".encode(), key=f"{n}.bin").save().labels.add("label 09")
    big.flush()
    assert big.Artifact.filter(ulabels__name="label 09").count() == 4
    assert big.Artifact.filter(ulabels__name="label 09", ulabels__isnull=False).count() == 4
    assert big.Artifact.filter(ulabels__isnull=True).count() == 0
