"""Rules of the house that no linter of others checks."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, Function, modules

# Whose look-ups are named by the caller's fields.
LOOKUPS = {"filter", "get", "exclude", "one", "get_or_none", "one_or_none"}
FORBIDDEN = {"print", "input", "breakpoint", "eval", "exec"}
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}


def test_no_module_is_over_500_lines():
    found = [f"{module.name}: {lines}" for module in modules() if (lines := module.text.count("\n")) > 500]
    assert not found, "\n".join(found)


def test_no_function_is_over_60_lines():
    found = [
        module.at(function, f"{function.name} has {lines} lines")
        for module in modules()
        for function in module.functions()
        if (lines := _lines(function)) > 60
    ]
    assert not found, "\n".join(found)


def test_library_code_neither_prints_nor_asks_nor_evaluates():
    found = [
        module.at(node, node.func.id)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN
    ]
    assert not found, "\n".join(found)


def test_nothing_is_ever_unpickled():
    found = [
        module.at(node, "imports a module that unpickles")
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and UNPICKLING & {getattr(node, "module", None), *(alias.name for alias in node.names)}
    ]
    assert not found, "\n".join(found)


def test_public_functions_take_no_bare_keywords():
    found = [
        module.at(function, f"{function.name} takes **{function.args.kwarg.arg}")
        for module in modules()
        for function in module.functions()
        if function.args.kwarg and not function.name.startswith("_") and function.name not in LOOKUPS
    ]
    assert not found, "\n".join(found)


def test_no_exception_is_swallowed():
    found = [
        module.at(handler, "catches everything and raises nothing")
        for module in modules()
        for handler in ast.walk(module.tree)
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id == "BaseException"))
        and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    ]
    assert not found, "\n".join(found)


def test_every_module_says_what_it_is_for_and_defers_annotations():
    for module in modules():
        assert ast.get_docstring(module.tree), module.name
        code = [node for node in module.tree.body if not isinstance(node, ast.Expr)]
        if code and module.path.name != "__init__.py":  # those have nothing to annotate
            first = code[0]
            assert isinstance(first, ast.ImportFrom) and first.module == "__future__", module.name


def test_every_raised_error_of_ours_is_in_the_tree():
    found = [
        module.at(node, f"{node.name} belongs into lakehouse.errors")
        for module in modules()
        if module.name != "lakehouse.errors"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception")) for base in node.bases)
        and not node.name.startswith("_")
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_ships_its_types(root: Path, package: str):
    assert (root / package / "py.typed").is_file()


def test_every_requirement_has_a_lower_bound_and_every_promised_extra_exists(root: Path):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(extras) == {"gcs", "azure", "postgres", "tiledbsoma", "mudata", "ontologies", "excel", "test"}
    for requirement in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]:
        assert ">=" in requirement


def test_the_locked_versions_name_no_machine_and_cover_the_requirements(root: Path):
    lines = (root / "requirements-ci.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in pins)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {requirement.split(">=")[0].split("[")[0] for requirement in wanted}
    assert names <= {pin.split("==")[0] for pin in pins}


def _lines(function: Function) -> int:
    """Lines of a function without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 2 if body else 1
