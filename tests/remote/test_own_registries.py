"""Registries of one's own, and their migrations, of an instance in a bucket."""

from __future__ import annotations

from types import new_class
from typing import Any

import pytest

import lakehouse as lh
from registries.adding import add
from registries.binding import REGISTRIES
from registries.instance import Instance
from registries.migration import planned


def declared(kind: Any) -> type[lh.Record]:
    """Declare the registry ``Plate`` with wells of a type."""

    def body(namespace: dict[str, Any]) -> None:
        namespace["__annotations__"] = {"name": lh.Column[str], "wells": lh.Column[kind]}
        namespace["name"] = lh.column(doc="What it is called.", unique=True)
        namespace["wells"] = lh.column(doc="How many.", default=None)

    return new_class("Plate", (lh.Record,), {"natural": ("name",), "carried": "plates"}, body)


def test_a_reader_without_the_catalog_sees_own_registries_and_what_was_migrated(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    there = dict(REGISTRIES)
    root = f"{bucket}/lab"
    with Instance.create(root) as lake:
        add(lake, [declared(int | None)])
        lake.Plate(name="p1", wells=96).save()
        lake.Artifact(b"1", key="a.bin").save().plates.add("p1")
        before = lake.lake.head()
        planned(lake, [declared(float | None)]).apply()
        lake.Plate(name="p2", wells=0.5).save()
        assert lake.sql("select wells from plate order by name", at=before).fetchall() == [(96,)]
    REGISTRIES.clear()
    REGISTRIES.update(there)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    with Instance.open(root, read_only=True) as reader:
        assert [(one.name, one.wells) for one in reader.Plate.filter().order_by("name").all()] == [
            ("p1", 96.0),
            ("p2", 0.5),
        ]
        assert reader.Artifact.filter(plates__wells__gt=90).one().key == "a.bin"
    REGISTRIES.clear()
    REGISTRIES.update(there)
