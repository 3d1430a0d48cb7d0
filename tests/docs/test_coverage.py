"""Nothing that users can call is undocumented."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import lakehouse as lh


def commands() -> dict[str, object]:
    """Every command of the command line, by name."""
    from typer.main import get_command

    from lakehouse.cli import app

    found = getattr(get_command(app), "commands", None)
    assert found, "the command line has no commands"
    return dict(found)


def text(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", lh.__all__)
def test_every_export_is_explained(name: str, root: Path):
    explained = (getattr(lh, name).__doc__ or "").strip()
    assert explained or f"lh.{name}" in text(root)


def test_every_command_is_in_readme_and_explains_itself(root: Path):
    for name, command in commands().items():
        assert (getattr(command, "help", None) or "").strip(), f"`lakehouse {name}` has no help"
        assert f"lakehouse {name}" in text(root), f"`lakehouse {name}` is not in README"


def test_every_parameter_of_an_export_is_described():
    for name in lh.__all__:
        value = getattr(lh, name)
        if inspect.isfunction(value):
            doc = inspect.getdoc(value) or ""
            parameters = [one for one in inspect.signature(value).parameters if one != "self"]
            missing = [one for one in parameters if one not in doc]
            assert not missing, f"lh.{name} does not describe {missing}"


def test_the_map_of_the_house_names_every_room_of_the_roof_and_the_ground(root: Path):
    told = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for file in sorted((root / "lakehouse").glob("*.py")):
        if file.stem != "__init__":
            assert f"`lakehouse.{file.stem}`" in told, f"CONTRIBUTING.md does not say what lakehouse.{file.stem} is for"
