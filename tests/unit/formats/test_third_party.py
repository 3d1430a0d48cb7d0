"""A format of somebody else: what a package writes to add one, and that the shipped suite passes for it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import pytest

from formats import registry
from formats.base import ColumnInfo, Description, Format, new_file, reading
from formats.registry import by_name, format_for, format_of
from formats.testing import FormatConformance
from lakehouse import plugins


class Track:
    """A recording of positions."""

    def __init__(self, points: list[list[float]]) -> None:
        self.points = points

    def __len__(self) -> int:
        return len(self.points)


class TrackFormat(Format):
    """Recordings as text."""

    name: ClassVar[str] = "track"
    kind: ClassVar[str] = "track"
    suffixes: ClassVar[tuple[str, ...]] = (".track",)

    def accepts(self, obj: object) -> bool:
        return isinstance(obj, Track)

    def write(self, obj: object, path: Path) -> None:
        self.check_accepts(obj)
        assert isinstance(obj, Track)
        with new_file(path):
            path.write_text(json.dumps({"track": obj.points}))

    def load(self, path: Path) -> Track:
        with reading(path, self.name):
            return Track(json.loads(path.read_text())["track"])

    def open(self, path: Path) -> Track:
        return self.load(path)

    def describe(self, path: Path) -> Description:
        track = self.load(path)
        return Description(self.name, self.kind, len(track), (len(track), 2), (ColumnInfo("x", "float64"),))


class TestTrack(FormatConformance):
    format = TrackFormat()

    def objects(self) -> list[Any]:
        return [Track([[1.0, 2.0], [3.0, 4.0]]), Track([])]

    def same(self, left: Any, right: Any) -> bool:
        return bool(left.points == right.points)

    def snapshot(self, obj: Any) -> Any:
        return Track([*obj.points])


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point that a package's metadata would have."""
    offer = metadata.EntryPoint("track", f"{__name__}:TrackFormat", plugins.FORMATS)
    monkeypatch.setattr(plugins, "_table", lambda group: {"track": (offer,)} if group == plugins.FORMATS else {})
    monkeypatch.setattr(plugins, "_import", lambda offered: TrackFormat)
    monkeypatch.setattr(registry, "_plugged", {})


def test_a_plugged_format_serves_artifacts_by_type_suffix_and_name(
    installed: None, lake_at: Any, tmp_path: Path
) -> None:
    assert format_for(Track([])).name == format_for(suffix=".track").name == by_name("track").name == "track"
    saved = lake_at.Artifact(Track([[1.0, 2.0]]), key="run.track").save()
    assert (saved.format, saved.kind, saved.n_rows) == ("track", "track", None)
    assert saved.load().points == [[1.0, 2.0]]
    assert "track" in str(saved.describe())
    assert format_of(saved.path, ".track").name == "track"


@pytest.fixture
def lake_at(tmp_path: Path) -> Any:
    from registries.instance import Instance

    with Instance.create(tmp_path / "lake", user="ada") as lake:
        yield lake
