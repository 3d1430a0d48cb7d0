"""Instances in temporary folders."""

from __future__ import annotations

import pytest

from registries import binding
from registries.instance import Instance


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_USER", "ada")
    instance = Instance.create(tmp_path / "lake")
    yield instance
    instance.close()


@pytest.fixture
def other(tmp_path):
    instance = Instance.create(tmp_path / "other", user="grace")
    yield instance
    instance.close()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """An empty working folder, no settings from outside, and no current instance before or after."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("LAKEHOUSE_INSTANCE", "LAKEHOUSE_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    binding.set_current(None)
    yield folder
    if (instance := binding.set_current(None)) is not None:
        instance.close()
