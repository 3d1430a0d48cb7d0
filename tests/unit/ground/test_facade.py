from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lakehouse as lh

HEAVY = (
    "anndata",
    "blake3",
    "deltalake",
    "duckdb",
    "fsspec",
    "h5py",
    "numpy",
    "pandas",
    "pandera",
    "polars",
    "pyarrow",
    "rapidfuzz",
    "rich",
    "s3fs",
    "scipy",
    "tiledb",
    "typer",
    "zarr",
)
OURS = ("registries", "formats", "validation")


def run(code: str, folder: Path, root: Path, *, script: str = "script.py") -> subprocess.CompletedProcess[str]:
    """Run a script that a user keeps in ``folder``."""
    (folder / script).write_text(code)
    return subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_importing_loads_nothing_heavy_and_none_of_our_other_modules(tmp_path: Path, root: Path):
    done = run("import sys, lakehouse\nprint(*sys.modules)", tmp_path, root)
    loaded = set(done.stdout.split())
    assert "lakehouse" in loaded, done.stderr
    assert not {name for name in loaded if name.split(".")[0] in (*HEAVY, *OURS)}
    assert not {name for name in loaded if name.startswith("lakehouse.")}


def test_errors_and_settings_load_nothing_heavy(tmp_path: Path, root: Path):
    code = "import sys, lakehouse as lh\nlh.errors.NotFound\nimport lakehouse.config\nprint(*sys.modules)"
    done = run(code, tmp_path, root)
    assert "lakehouse.config" in done.stdout, done.stderr
    assert not {name for name in done.stdout.split() if name.split(".")[0] in (*HEAVY, *OURS)}


def test_no_submodule_shares_its_name_with_an_export():
    modules = {module.name for module in pkgutil.iter_modules(lh.__path__)}
    # `lh.errors` is that very module; anything else would be replaced once its module loads.
    assert modules & set(lh.__all__) == {"errors"}
    assert lh.errors is importlib.import_module("lakehouse.errors")


@pytest.mark.parametrize("name", lh.__all__)
def test_every_export_is_there_and_documented(name: str):
    assert (getattr(lh, name).__doc__ or "").strip()


def test_all_names_are_listed_once_and_by_dir():
    assert len(lh.__all__) == len(set(lh.__all__))
    assert set(lh.__all__) <= set(dir(lh))


def test_file_is_another_name_of_artifact():
    assert lh.File is lh.Artifact


def test_the_version_is_that_of_the_distribution():
    assert lh.__version__[0].isdigit()


def test_the_logger_is_silent_unless_someone_listens():
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("lakehouse").handlers)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conect", "did you mean 'connect'"),
        ("artifact", "did you mean 'Artifact'"),
        ("Collection", "'Dataset'"),
        ("DataFrameCurator", "'curate'"),
        ("close", "it is called 'disconnect' here"),
        ("setup", "it is called 'init' here"),
    ],
)
def test_an_unknown_name_leads_to_ours(name: str, message: str):
    with pytest.raises(AttributeError, match=message):
        getattr(lh, name)


def test_an_unknown_name_cannot_be_imported_either():
    with pytest.raises(ImportError):
        exec("from lakehouse import no_such_name")


@pytest.mark.parametrize("name", OURS)
def test_a_module_of_the_users_that_hides_ours_is_named(tmp_path: Path, root: Path, name: str):
    (tmp_path / f"{name}.py").write_text("print('MINE RAN')")
    done = run("import lakehouse as lh\nlh.init('lake')", tmp_path, root)
    assert done.returncode == 1
    assert f"ImportError: {tmp_path / f'{name}.py'} hides the package '{name}'" in done.stderr
    assert "rename" in done.stderr
    assert "MINE RAN" not in done.stdout
    assert not (tmp_path / "lake").exists()


def test_a_hiding_module_that_is_already_imported_is_named(tmp_path: Path, root: Path):
    (tmp_path / "formats.py").write_text("")
    done = run("import formats, lakehouse as lh\nlh.Artifact", tmp_path, root)
    assert f"{tmp_path / 'formats.py'} hides the package 'formats'" in done.stderr


def test_a_script_that_is_called_like_a_package_of_ours_is_not_run_twice(tmp_path: Path, root: Path):
    done = run("print('ran')\nimport lakehouse as lh\nlh.Artifact", tmp_path, root, script="validation.py")
    assert done.stdout.split() == ["ran"]
    assert f"{tmp_path / 'validation.py'} hides the package" in done.stderr


def test_a_data_folder_that_is_called_like_a_package_of_ours_is_no_problem(tmp_path: Path, root: Path):
    (tmp_path / "validation").mkdir()
    (tmp_path / "formats").mkdir()
    done = run("import lakehouse as lh\nprint(lh.Artifact.__name__)", tmp_path, root)
    assert done.stdout.strip() == "Artifact", done.stderr
