"""TileDB arrays, SOMA experiments and Delta tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata as ad
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import tiledb
import tiledbsoma
from deltalake import DeltaTable, write_deltalake

from formats.delta import DeltaFormat
from formats.registry import format_for, format_of
from formats.soma import SomaFormat
from formats.testing import FormatConformance
from formats.tiledb import TileDBFormat
from lakehouse.errors import InvalidFile, UnknownFormat

TILEDB, SOMA, DELTA = TileDBFormat(), SomaFormat(), DeltaFormat()


class _Folder(FormatConformance):
    detects_truncation = False
    equal_bytes = False


class TestTileDB(_Folder):
    format = TILEDB

    def objects(self) -> list[Any]:
        return [np.arange(12.0).reshape(4, 3), np.arange(5), sp.random(6, 4, 0.5, format="csr", random_state=0)]

    def same(self, left: Any, right: Any) -> bool:
        if not sp.issparse(left):
            return bool(np.array_equal(left, right)) and left.dtype == right.dtype
        if sp.issparse(right):
            return bool((left != right).nnz == 0)
        rows = sp.coo_array((right["value"], (right["row"], right["column"])), left.shape)
        return bool(np.array_equal(rows.toarray(), left.toarray()))


def _adata() -> ad.AnnData:
    obs = pd.DataFrame({"kind": pd.Categorical(list("aab"))}, index=["c0", "c1", "c2"])
    matrix = sp.csr_matrix(np.array([[1, 0, 2, 0], [0, 0, 3, 0], [0, 4, 0, 5]], dtype="float32"))
    return ad.AnnData(matrix, obs, pd.DataFrame(index=[f"g{n}" for n in range(4)]))


class TestSoma(_Folder):
    format = SOMA
    odd_names = tuple(name for name in FormatConformance.odd_names if not {"?", "#"} & {*name})

    def objects(self) -> list[Any]:
        return [_adata()]

    def same(self, left: Any, right: Any) -> bool:
        same = np.array_equal(*[(a.X.toarray() if sp.issparse(a.X) else a.X) for a in (left, right)])
        return bool(same) and left.obs_names.tolist() == right.obs_names.tolist()


class TestDelta(_Folder):
    format = DELTA
    odd_names = tuple(name for name in FormatConformance.odd_names if not {*"%*?[]"} & {*name})

    def test_names_that_delta_takes_for_others_are_refused(self, tmp_path: Path) -> None:
        for name in set(FormatConformance.odd_names) - set(self.odd_names):
            with pytest.raises(InvalidFile, match="rename"):
                DELTA.write(pa.table({"a": [1]}), tmp_path / name)

    def objects(self) -> list[Any]:
        return [
            pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
            pl.DataFrame({"a": [1.5]}),
            pa.table({"a": pa.array([], pa.int64())}),
        ]

    def same(self, left: Any, right: Any) -> bool:
        def frame(obj: Any) -> pl.DataFrame:
            return obj if isinstance(obj, pl.DataFrame) else pl.DataFrame(pa.table(obj).to_pydict(), strict=False)

        rows = [
            f.to_dicts() if isinstance(f, pl.DataFrame) else f.to_pylist() if isinstance(f, pa.Table) else _rows(f)
            for f in (left, right)
        ]
        return rows[0] == rows[1]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@pytest.mark.parametrize(
    ("fmt", "obj", "suffix"),
    [(TILEDB, np.ones(3), ".tiledb"), (SOMA, _adata(), ".soma"), (DELTA, pa.table({"a": [1]}), ".delta")],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_folder_is_recognized_whatever_its_name(fmt: Any, obj: Any, suffix: str, tmp_path: Path) -> None:
    assert format_for(obj, suffix=suffix).name == fmt.name
    fmt.write(obj, tmp_path / "plain")
    assert format_of(tmp_path / "plain", "").name == fmt.name


def test_an_open_array_reads_a_part_and_closes(tmp_path: Path) -> None:
    TILEDB.write(np.arange(12.0).reshape(4, 3), tmp_path / "x.tiledb")
    with TILEDB.open(tmp_path / "x.tiledb") as array:
        assert array[1:2, :].tolist() == [[3, 4, 5]]
    assert not array.isopen
    described = TILEDB.describe(tmp_path / "x.tiledb")
    assert described.attributes["layout"] == "dense"
    assert described.attributes["dimensions"] == "__dim_0 uint64 0 to 3, __dim_1 uint64 0 to 2"
    assert [(c.name, c.dtype) for c in described.columns] == [("value", "float64")]


def test_what_is_written_opens_in_the_formats_own_libraries(tmp_path: Path) -> None:
    TILEDB.write(np.arange(4), tmp_path / "x.tiledb")
    with tiledb.open(str(tmp_path / "x.tiledb")) as array:
        assert array[:].tolist() == [0, 1, 2, 3]
    SOMA.write(_adata(), tmp_path / "x.soma")
    with tiledbsoma.Experiment.open(str(tmp_path / "x.soma")) as experiment:
        assert experiment.obs.count == 3
    DELTA.write(pa.table({"a": [1, 2]}), tmp_path / "x.delta")
    assert DeltaTable(str(tmp_path / "x.delta")).to_pyarrow_table().to_pydict() == {"a": [1, 2]}


def test_an_experiment_is_described_with_its_measurements_and_moves_with_its_folder(tmp_path: Path) -> None:
    SOMA.write(_adata(), tmp_path / "x")
    path = (tmp_path / "x").rename(tmp_path / "moved.soma")
    described = SOMA.describe(path)
    assert (described.shape, described.attributes) == ((3, 4), {"measurements": "RNA"})
    assert [c.name for c in described.slots["obs"]] == ["obs_id", "kind"]
    assert described.slots["RNA/X"][0].dtype == "float32 sparse (3, 4)"
    assert described.obs_names == ["c0", "c1", "c2"]
    assert SOMA.var_table(path, part="RNA").to_table()["var_id"].to_pylist() == [f"g{n}" for n in range(4)]
    with pytest.raises(InvalidFile, match="'RNA'"):
        SOMA.var_table(path, part="DNA")
    with SOMA.open(path) as opened:
        assert isinstance(opened, tiledbsoma.Experiment)
    assert opened.closed


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the bytes of a process")
def test_of_the_observations_those_columns_are_read_that_a_statement_needs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({f"x{n}": random.random(40_000) for n in range(30)}, index=[f"c{n}" for n in range(40_000)])
    SOMA.write(ad.AnnData(sp.csr_matrix((40_000, 2), dtype="f4"), obs), tmp_path / "x.soma")
    table = SOMA.obs_table(tmp_path / "x.soma")
    assert table.schema.names == ["obs_id", *obs.columns]
    connection = duckdb.connect()
    connection.register("obs", table)
    ask = "select count(*), max(a.x3) from obs a join obs b using (obs_id) where b.x7 > 0.5"
    connection.sql(ask).fetchall()
    before = _read_so_far()
    assert connection.sql(ask).fetchall() == [((obs.x7 > 0.5).sum(), obs.x3[obs.x7 > 0.5].max())]
    assert _read_so_far() - before < sum(f.stat().st_size for f in (tmp_path / "x.soma" / "obs").rglob("*.tdb")) / 3
    connection.close()


def _read_so_far() -> int:
    with Path("/proc/self/io").open() as file:
        return int(file.readline().split()[1])


def test_members_elsewhere_are_refused(tmp_path: Path) -> None:
    TILEDB.write(np.arange(4), tmp_path / "secret")
    tiledb.group_create(str(tmp_path / "x"))
    with tiledb.Group(str(tmp_path / "x"), "w") as group:
        group.add((tmp_path / "secret").as_uri(), name="out")
    for call in (TILEDB.load, TILEDB.open, TILEDB.describe):
        with pytest.raises(InvalidFile, match="elsewhere"):
            call(tmp_path / "x")
    with tiledb.Group(str(tmp_path / "x"), "w") as group:
        group.meta["soma_object_type"] = "SOMAExperiment"
    for call in (SOMA.load, SOMA.open, SOMA.describe):
        with pytest.raises(InvalidFile, match="elsewhere"):
            call(tmp_path / "x")


def test_an_array_that_declares_80_terabytes_is_described_and_not_loaded(tmp_path: Path) -> None:
    sizes = (("r", 10_000_000), ("c", 1_000_000))
    dims = [tiledb.Dim(name=name, domain=(0, size - 1), tile=10, dtype="int64") for name, size in sizes]
    schema = tiledb.ArraySchema(tiledb.Domain(*dims), attrs=[tiledb.Attr(name="v", dtype="f8")])
    tiledb.Array.create(str(tmp_path / "x"), schema)
    assert TILEDB.describe(tmp_path / "x").shape == (10_000_000, 1_000_000)
    with pytest.raises(InvalidFile, match="no cells"):
        TILEDB.load(tmp_path / "x")
    with tiledb.open(str(tmp_path / "x"), "w") as array:
        array[0:10, 0:10] = np.ones((10, 10))
    with pytest.raises(InvalidFile, match="GB"):
        TILEDB.load(tmp_path / "x")
    with TILEDB.open(tmp_path / "x") as opened:
        assert opened[0:2, 0:1]["v"].tolist() == [[1], [1]]


def test_what_tiledb_cannot_store_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    for obj in (np.array([object()]), np.zeros((0, 3)), np.array(1.5)):
        with pytest.raises(UnknownFormat):
            TILEDB.write(obj, tmp_path / "x")
        assert not (tmp_path / "x").exists()


def test_a_delta_table_is_described_from_its_log_and_scanned_lazily(tmp_path: Path) -> None:
    path = tmp_path / "x.delta"
    DELTA.write(pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}), path)
    write_deltalake(str(path), pa.table({"a": [3], "b": ["z"]}), mode="append")
    described = DELTA.describe(path)
    assert (described.shape, described.attributes) == ((3, 2), {"table_version": 1, "data_files": 2})
    with DELTA.open(path) as lazy:
        assert lazy.filter(pl.col("a") > 2).select("b").collect().to_dicts() == [{"b": "z"}]
    assert sorted(DELTA.load_as(path, "polars")["a"].to_list()) == [1, 2, 3]


@pytest.mark.parametrize("where", ["../secret.parquet", "{abs}", "file://{abs}", "%2e%2e/secret.parquet"])
def test_a_delta_log_that_names_files_elsewhere_is_refused(tmp_path: Path, where: str) -> None:
    DELTA.write(pa.table({"a": [1]}), tmp_path / "x")
    secret = tmp_path / "secret.parquet"
    next((tmp_path / "x").glob("*.parquet")).rename(secret)
    entry = tmp_path / "x" / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in entry.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["path"] = where.format(abs=secret)
    entry.write_text("\n".join(json.dumps(line) for line in lines))
    for call in (DELTA.load, DELTA.table, DELTA.describe):
        with pytest.raises(InvalidFile):
            call(tmp_path / "x")


def test_the_merge_that_damages_memory_is_never_asked_of_tiledb(tmp_path: Path, monkeypatch: Any) -> None:
    """TileDB 2.30 frees what its threads still use (its pull request 5723): the process would end at some later time."""
    setting, own, contexts = "sm.query.sparse_global_order.preprocess_tile_merge", tiledbsoma.open, []
    monkeypatch.setattr(
        tiledbsoma, "open", lambda *given, **named: (contexts.append(named["context"]), own(*given, **named))[1]
    )
    TILEDB.write(sp.random(8, 4, 0.5, format="csr"), tmp_path / "x.tiledb")
    SOMA.write(_adata(), tmp_path / "x.soma")
    for opening in (TILEDB.open, TILEDB.edit):
        with opening(tmp_path / "x.tiledb") as array:
            assert array.ctx.config()[setting] == "0"
    for opening in (SOMA.open, SOMA.open, SOMA.edit):
        opening(tmp_path / "x.soma").close()
    assert SOMA.obs_table(tmp_path / "x.soma").to_table().num_rows == 3
    assert len(contexts) > 4
    assert {context.native_context.config()[setting] for context in contexts} == {"0"}
    assert contexts[0] is contexts[1]  # contexts have threads of their own: local paths share one
