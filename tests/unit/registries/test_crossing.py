"""Queries over relations: the same answers from memory, from what is kept of large tables, and from a scan."""

from __future__ import annotations

import pytest

from lakehouse.engine import Lake, Options
from registries.binding import REGISTRIES
from registries.instance import Instance


def _fill(lake):
    lake.Feature(name="condition", dtype="cat[ULabel]").save()
    lake.Feature(name="control", dtype="cat[ULabel]").save()
    lake.save([lake.ULabel(name=name) for name in ("treated", "dmso", "none")])
    with lake.transaction():
        for n in range(24):
            artifact = lake.Artifact(f"{n}".encode(), key=f"{n:02}.txt").save()
            artifact.labels.add("treated" if n % 3 else "dmso", feature="condition" if n % 2 else "control")
            if n % 4 == 0:
                artifact.labels.add("treated", feature="condition")
    lake.flush()
    return lake


@pytest.fixture(params=["in memory", "kept", "scanned"])
def labelled(request, tmp_path):
    """The same labels, on tables that are small, large, and larger than what is kept of them."""
    sizes = {"in memory": {}, "kept": {"small_rows": 5}, "scanned": {"small_rows": 5, "crossing_rows": 1}}
    options = Options(auto_publish=False, **sizes[request.param])
    specs = [registry.spec() for registry in REGISTRIES.values()]
    with Instance(Lake.create(tmp_path / "lake", specs, options=options), user="ada") as instance:
        yield _fill(instance)


def keys(query):
    return {int(artifact.key.removesuffix(".txt")) for artifact in query.all()}


def test_labels_find_the_same_artifacts_however_their_links_are_kept(labelled):
    treated = labelled.ULabel.get(name="treated")
    carry = {n for n in range(24) if n % 3 or n % 4 == 0}
    under = {n for n in range(24) if (n % 3 and n % 2) or n % 4 == 0}
    for _ in range(3):  # the second time on, from memory
        assert keys(labelled.Artifact.filter(ulabels=treated)) == carry
        assert keys(labelled.Artifact.filter(ulabels__name="treated")) == carry
        assert keys(labelled.Artifact.filter(features__condition="treated")) == under
        assert keys(labelled.Artifact.filter(features__condition=treated, key__lt="10.txt")) == {
            n for n in under if n < 10
        }
        assert keys(labelled.Artifact.filter(features__condition="dmso")) == {n for n in range(24) if n % 6 == 3}
        assert labelled.ULabel.filter(artifacts__key="04.txt").count() == 1
        assert keys(labelled.Artifact.filter().exclude(ulabels=treated)) == set(range(24)) - carry
    labelled.Artifact.get(key="02.txt").labels.remove("treated")
    labelled.Artifact.get(key="03.txt").labels.add("treated")
    labelled.Artifact.get(key="04.txt").delete()
    changed = carry - {2, 4} | {3}
    assert keys(labelled.Artifact.filter(ulabels=treated)) == changed
    labelled.flush()
    assert keys(labelled.Artifact.filter(ulabels__name="treated")) == changed
    assert labelled.Artifact.filter(features__condition="treated").count() == len(under) - 1
