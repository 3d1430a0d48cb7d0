from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse import plugins
from lakehouse.errors import ConfigurationError


class Site:
    """A folder of installed packages on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, entry_points: str, code: str = "") -> None:
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entry_points)
        plugins.forget()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path)
    plugins.forget()


def test_a_plugin_is_found_by_name_and_imported_only_when_asked_for(site: Site, tmp_path: Path):
    mark = tmp_path / "imported"
    code = f"open({str(mark)!r}, 'w').close()\nclass Loom: ..."
    site.install("lazy-plugin", "[lakehouse.formats]\nloom = lazy_plugin:Loom\n", code)
    assert "loom" in plugins.names(plugins.FORMATS)
    assert not mark.exists()
    assert getattr(plugins.load(plugins.FORMATS, "loom"), "__name__", None) == "Loom"
    assert "loom" in plugins.load_all(plugins.FORMATS)


def test_a_plugin_that_cannot_be_imported_is_named_with_its_package(site: Site):
    site.install("broken-plugin", "[lakehouse.formats]\nbad = broken_plugin:Bad\n", "raise RuntimeError('out of luck')")
    with pytest.raises(ConfigurationError, match=r"'bad'.*broken-plugin 1\.2.*RuntimeError: out of luck"):
        plugins.load(plugins.FORMATS, "bad")
    with pytest.raises(ConfigurationError, match="'bad'"):
        plugins.load_all(plugins.FORMATS)


def test_a_plugin_whose_attribute_is_absent_is_named(site: Site):
    site.install("hollow-plugin", "[lakehouse.registries]\nhollow = hollow_plugin:Absent\n")
    with pytest.raises(ConfigurationError, match=r"'hollow'.*hollow-plugin"):
        plugins.load(plugins.REGISTRIES, "hollow")


def test_two_packages_that_offer_one_name_are_both_named(site: Site):
    site.install("first-offer", "[lakehouse.formats]\ntwice = first_offer:A\n", "A = 1")
    site.install("second-offer", "[lakehouse.formats]\ntwice = second_offer:A\n", "A = 2")
    with pytest.raises(ConfigurationError, match=r"first-offer 1\.2 and second-offer 1\.2"):
        plugins.load(plugins.FORMATS, "twice")


def test_an_unknown_name_gets_a_suggestion(site: Site):
    site.install("near-plugin", "[lakehouse.formats]\nloom = near_plugin:A\n", "A = 1")
    with pytest.raises(ConfigurationError, match="did you mean 'loom'"):
        plugins.load(plugins.FORMATS, "lom")


def test_an_unknown_group_gets_the_choices():
    with pytest.raises(ConfigurationError, match=r"lakehouse\.formats"):
        plugins.names("lakehouse.format")
