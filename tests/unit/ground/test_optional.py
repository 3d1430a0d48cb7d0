from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from lakehouse import optional
from lakehouse.errors import ConfigurationError, MissingExtra
from lakehouse.optional import check_namesake, extras, require


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "extras", lambda: ("gcs", "mudata", "test"))


@pytest.mark.usefixtures("offered")
def test_a_missing_package_names_the_exact_command():
    with pytest.raises(MissingExtra) as caught:
        require("no_such_module_here", "mudata")
    assert str(caught.value) == (
        "'no_such_module_here' is not installed; run `pip install \"lakehouse-toolkit[mudata]\"`"
    )
    assert isinstance(caught.value, ImportError)


@pytest.mark.usefixtures("offered")
def test_a_package_that_lacks_something_itself_says_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "half_installed.py").write_text("import surely_absent")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match="'half_installed' is installed but needs 'surely_absent'"):
        require("half_installed", "mudata")


@pytest.mark.usefixtures("offered")
def test_a_missing_parent_package_counts_as_the_package():
    with pytest.raises(MissingExtra, match=r"'surely_absent\.part' is not installed"):
        require("surely_absent.part", "gcs")


@pytest.mark.usefixtures("offered")
def test_an_extra_that_the_installed_version_lacks_asks_for_an_upgrade():
    with pytest.raises(MissingExtra, match=r"no extra 'later' \(it has gcs, mudata, test\).*--upgrade"):
        require("no_such_module_here", "later")


def test_without_installed_metadata_the_command_is_still_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(optional, "DISTRIBUTION", "surely-not-installed-anywhere")
    assert extras() == ()
    with pytest.raises(MissingExtra, match=r"pip install"):
        require("no_such_module_here", "mudata")


def test_the_installed_metadata_lists_the_documented_extras():
    try:
        metadata.distribution(optional.DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pytest.skip("run from a folder of sources that was not installed; `make test` installs it")
    assert extras() == ("azure", "excel", "gcs", "mudata", "ontologies", "postgres", "test", "tiledbsoma")


def test_a_present_package_is_returned():
    assert require("json.decoder", "test") is sys.modules["json.decoder"]


@pytest.mark.parametrize("suffix", ["dist-info", "egg-info"])
def test_the_other_distribution_called_lakehouse_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    installed = tmp_path / "site-packages"
    (installed / f"lakehouse-0.12.15.{suffix}").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed)])
    with pytest.raises(ConfigurationError) as caught:
        check_namesake()
    assert "'lakehouse' 0.12.15" in str(caught.value)
    assert "pip uninstall lakehouse" in str(caught.value)
    assert str(installed) in str(caught.value)


def test_our_own_metadata_and_likely_names_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = tmp_path / "site-packages"
    for name in ("lakehouse_toolkit-0.1.0.dist-info", "lakehouse_engine-1.0.dist-info", "lakehouse"):
        (installed / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(installed), str(tmp_path / "absent" / "site-packages")])
    check_namesake()
