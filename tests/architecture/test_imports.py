"""Storeys import downward only, circles are not hidden in functions, and heavy packages load where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tests.architecture.source import PACKAGES, imports, modules, running

GROUND = {f"lakehouse.{name}" for name in ("errors", "config", "identity", "ids", "types", "plugins", "optional")}
LAZY = ("polars", "pandas", "anndata", "zarr", "tiledb", "deltalake", "pandera", "s3fs")


def own(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def test_storeys_import_downward_only(root: Path):
    # In a process of its own: the linter changes sys.path and logging.
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_every_package_is_looked_at():
    assert {module.name.split(".")[0] for module in modules()} == set(PACKAGES)
    assert {module.name for module in modules()} >= GROUND


def test_the_ground_storey_needs_the_standard_library_only():
    allowed = sys.stdlib_module_names | {"lakehouse"}
    found = [
        module.at(node, name)
        for module in modules()
        if module.name in GROUND | {"lakehouse"}
        for node, name in imports(ast.Module(list(running(module.tree)), []))
        if name.split(".")[0] not in allowed
    ]
    assert not found, "\n".join(found)


def test_no_function_imports_a_module_of_ours():
    found = [
        module.at(node, f"{function.name} imports {name}")
        for module in modules()
        for function in module.functions()
        for node, name in imports(function)
        if own(name)
    ]
    assert not found, "\n".join(found)


def test_nothing_imports_the_facade():
    found = [
        module.at(node, "imports the facade: name the module that has it")
        for module in modules()
        for node, name in imports(module.tree)
        if name == "lakehouse" and not (isinstance(node, ast.ImportFrom) and _submodules_only(node))
    ]
    assert not found, "\n".join(found)


def test_heavy_packages_load_where_they_are_used():
    found = [
        module.at(node, f"{name} loads when the module is imported")
        for module in modules()
        for node in running(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for _, name in imports(node)
        if name.split(".")[0] in LAZY
    ]
    assert not found, "\n".join(sorted(set(found)))


def test_the_registries_load_without_heavy_packages(root: Path):
    # pyarrow imports pandas for the first list that it makes an array of, which no look at the source tells
    program = f"import sys, registries; print(*sorted(set(sys.modules) & set({LAZY})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == [], done.stderr


def test_at_most_one_module_imports_pandera():
    found = {module.name for module in modules() for _, name in imports(module.tree) if name.startswith("pandera")}
    assert len(found) <= 1


def _submodules_only(node: ast.ImportFrom) -> bool:
    names = {module.name for module in modules()}
    return all(f"lakehouse.{alias.name}" in names for alias in node.names)
