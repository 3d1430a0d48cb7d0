"""What all tests share: an environment of their own, and Hypothesis profiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.catalogs import catalog, postgres_url, pytest_generate_tests

__all__ = ["catalog", "postgres_url", "pytest_generate_tests"]

ROOT = Path(__file__).resolve().parents[1]

# A loaded two-core machine makes single examples slow at random: the time-out of the whole test is the limit.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=2_000, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the settings of the one who runs the tests, and whom git knows, out of them."""
    for name in [name for name in os.environ if name.startswith(("LAKEHOUSE_", "GIT_"))]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("LAKEHOUSE_USER", "tester")


@pytest.fixture
def root() -> Path:
    """The folder of the sources."""
    return ROOT
