"""Opaque files, and which format handles what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from formats import registry
from formats.base import Description, Format
from formats.blob import BlobFormat
from formats.registry import by_name, format_for, names, register
from formats.testing import FormatConformance
from lakehouse import plugins
from lakehouse.errors import ConfigurationError, InvalidKey, UnknownFormat


class TestBlob(FormatConformance):
    format = BlobFormat()
    rejects_foreign_bytes = False
    detects_truncation = False

    def objects(self) -> list[Any]:
        return [b"", b"abc", bytes(range(256))]

    def same(self, left: Any, right: Any) -> bool:
        return left == right


class Loom(BlobFormat):
    name = "loom"
    kind = "array"
    suffixes = (".loom",)
    types = ("collections.UserDict",)


@pytest.fixture(autouse=True)
def _clean(monkeypatch) -> None:
    for table in ("_registered", "_plugged"):
        monkeypatch.setattr(registry, table, {})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x.parquet", "parquet"),
        ("a/X.CSV", "csv"),
        ("x.tsv.gz", "csv"),
        ("x.h5ad", "h5ad"),
        ("x.fastq.gz", "blob"),
        ("README", "blob"),
        ("x.gz", "blob"),
    ],
)
def test_a_file_gets_its_format_by_suffix(path: str, name: str) -> None:
    assert format_for(path=path).name == name


@pytest.mark.parametrize("obj", [pd.DataFrame(), pl.DataFrame(), pa.table({})], ids=["pandas", "polars", "arrow"])
def test_a_frame_is_parquet_unless_a_suffix_says_otherwise(obj: Any) -> None:
    assert format_for(obj).name == "parquet"
    assert format_for(obj, suffix=".csv.gz").name == "csv"
    assert format_for(obj, path="key/x.tsv").name == "csv"
    assert format_for(obj, path="key without suffix").name == "parquet"


def test_bytes_are_a_blob_under_any_free_suffix() -> None:
    assert format_for(b"x").name == format_for(b"x", suffix=".png").name == "blob"


@pytest.mark.parametrize("obj", [1, "x", [1], {"a": 1}, {1, 2}, 1j])
def test_an_object_that_nothing_writes_is_refused_with_the_choices(obj: object) -> None:
    with pytest.raises(UnknownFormat, match=r"pandas\.DataFrame"):
        format_for(obj)


@pytest.mark.parametrize("suffix", [".h5ad", ".xlsx"])
def test_a_frame_under_a_foreign_suffix_is_refused_with_its_suffixes(suffix: str) -> None:
    with pytest.raises(UnknownFormat, match=r"\.parquet or .*\.csv"):
        format_for(pd.DataFrame(), suffix=suffix)


def test_a_wrong_suffix_is_refused() -> None:
    with pytest.raises(InvalidKey):
        format_for(suffix="../x")


def test_an_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(UnknownFormat, match="did you mean 'parquet'"):
        by_name("parket")


def test_a_registered_format_is_found_by_name_suffix_and_type() -> None:
    from collections import UserDict

    fmt = Loom()
    register(fmt)
    assert by_name("loom") is format_for(suffix=".loom") is format_for(UserDict()) is fmt
    assert "loom" in names()
    register(Loom())  # again, for instance after a module was reloaded


@pytest.mark.parametrize(("name", "suffixes"), [("parquet", (".new",)), ("new", (".csv",))])
def test_a_format_cannot_take_what_belongs_to_another(name: str, suffixes: tuple[str, ...]) -> None:
    taker = type("Taker", (Loom,), {"name": name, "suffixes": suffixes})()
    with pytest.raises(ConfigurationError, match="belongs to another format"):
        register(taker)


def test_what_is_no_format_cannot_be_registered() -> None:
    with pytest.raises(ConfigurationError, match="is no format"):
        register(Loom)  # type: ignore[arg-type]


def test_a_plug_in_is_found_and_loaded_only_when_nothing_else_fits(monkeypatch) -> None:
    loaded = []

    def load(group: str, name: str) -> object:
        loaded.append((group, name))
        return Loom

    monkeypatch.setattr(plugins, "names", lambda group: ("loom",))
    monkeypatch.setattr(plugins, "load", load)
    assert format_for(path="x.csv").name == "csv"
    assert "loom" in names()
    assert loaded == []
    assert format_for(path="x.loom").name == by_name("loom").name == "loom"
    assert loaded == [("lakehouse.formats", "loom")]


def test_a_plug_in_that_offers_no_format_is_refused_by_name(monkeypatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda group: ("odd",))
    monkeypatch.setattr(plugins, "load", lambda group, name: dict)
    with pytest.raises(ConfigurationError, match="'odd'"):
        format_for(path="x.odd")


def test_importing_the_registry_loads_nothing_heavy() -> None:
    program = (
        "import sys, formats.registry, formats.storage\n"
        "heavy = {'pandas', 'polars', 'pyarrow', 'anndata', 'h5py', 'numpy', 'fsspec', 'duckdb'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


def test_a_description_is_plain_json() -> None:
    import json

    described = Description("blob", "blob")
    assert json.loads(json.dumps(described.as_dict()))["shape"] is None


def test_a_format_without_its_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Format()  # type: ignore[abstract]
