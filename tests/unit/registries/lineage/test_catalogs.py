"""Runs are recorded alike with every catalog."""

from __future__ import annotations

import pytest

import lakehouse as lh
from registries import binding
from registries.instance import Instance


@lh.step
def part(number):
    if number == 3:
        lh.Artifact(b"three", key="three.txt").save()
    return number


def test_a_run_with_steps_inputs_and_a_failure_is_recorded(tmp_path, catalog, monkeypatch):
    monkeypatch.delenv("LAKEHOUSE_RUN", raising=False)
    root = tmp_path / "lake"
    lake = Instance.create(root, catalog=catalog(root), user="ada")
    before = binding.set_current(lake)
    try:
        raw = lh.Artifact(b"raw", key="raw.txt").save()
        with pytest.raises(ValueError, match="no"), lh.track("script", params={"a": 1}) as run:
            raw.load()
            assert [part(number) for number in range(20)] == list(range(20))
            with lh.transaction():
                made = lh.Artifact(b"made", key="made.txt").save()
            raise ValueError("no")
        assert (run.outcome, made.run, len(run.inputs)) == ("failed", run.uid, 1)
        assert lh.Run.filter(run=run).count() == 20
        assert lh.Artifact.filter(made_by=run).count() == 2
        assert lh.Artifact.filter(upstream_of="made.txt").one() == raw
        assert "script" in str(raw.view_lineage())
    finally:
        binding.set_current(before)
        lake.close()
