"""Artifacts of every kind: saved by type or key, read lazily, in other forms and in SQL."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import scipy.sparse as sp
import tiledb
import zarr

from formats.registry import by_name
from lakehouse.errors import InputError, InvalidFile, InvalidQuery, Unsupported


def _adata(names: str = "g") -> ad.AnnData:
    obs = pd.DataFrame({"donor": ["D1", "D2", "D1"]}, index=["c0", "c1", "c2"])
    return ad.AnnData(
        sp.eye_array(3, 2, format="csr", dtype="float32"), obs, pd.DataFrame(index=[f"{names}0", f"{names}1"])
    )


def _mdata() -> md.MuData:
    with md.set_options(pull_on_update=False):
        return md.MuData({"rna": _adata(), "prot": _adata("p")})


OBJECTS = [
    (pl.LazyFrame({"a": [1, 2]}), None, "parquet", "dataframe", 2),
    (ds.dataset(pa.table({"a": [1, 2]})), None, "parquet", "dataframe", 2),
    (pd.DataFrame({"a": [1, 2]}), "x.feather", "arrow", "dataframe", 2),
    (pd.DataFrame({"a": [1, 2]}), "x.jsonl", "jsonl", "dataframe", 2),
    ({"a": [1]}, "x.json", "json", "json", None),
    (np.ones((4, 2)), None, "npy", "array", 4),
    (np.ones((4, 2)), "x.zarr", "zarr", "array", 4),
    (np.ones((4, 2)), "x.tiledb", "tiledb", "array", 4),
    ({"a": np.ones(3)}, "x.npz", "npz", "array", None),
    ({"a": np.ones(3)}, "x.h5", "hdf5", "array", None),
    (zarr.array(np.arange(6), chunks=2), None, "zarr", "array", 6),
    (_adata(), None, "h5ad", "AnnData", 3),
    (_adata(), "x.zarr", "zarr-anndata", "AnnData", 3),
    (_adata(), "x.soma", "soma", "SOMA", 3),
    (_mdata(), None, "h5mu", "MuData", 3),
    (_mdata(), "x.zarr", "zarr-mudata", "MuData", 3),
    (pa.table({"a": [1, 2]}), "x.delta", "delta", "dataframe", 2),
]


@pytest.mark.parametrize(("obj", "key", "fmt", "kind", "rows"), OBJECTS, ids=[f"{o[2]}-{o[1]}" for o in OBJECTS])
def test_an_object_is_saved_described_opened_and_loaded(lake, obj, key, fmt, kind, rows):
    saved = lake.Artifact(obj, key=key).save()
    assert (saved.format, saved.kind, saved.n_rows) == (fmt, kind, rows)
    assert (saved.n_files is not None) == saved.path.is_dir()
    assert fmt in str(saved.describe())
    assert saved.load() is not None
    opened = saved.backed()
    if hasattr(opened, "__enter__"):
        with opened:
            pass


def test_the_format_can_be_chosen_against_the_type(lake):
    assert lake.Artifact(_adata(), format="zarr-anndata").save().suffix == ".zarr"
    assert lake.Artifact.from_mudata(_mdata(), key="m.h5mu").save().kind == "MuData"
    with pytest.raises(InputError, match="MuData"):
        lake.Artifact.from_mudata(_adata())


def test_loading_in_another_form_names_the_choices(lake):
    saved = lake.Artifact(pd.DataFrame({"a": [1, 2]}), key="x.csv").save()
    assert saved.load(as_="polars").to_dicts() == [{"a": 1}, {"a": 2}]
    assert saved.load(as_="arrow").num_rows == 2
    assert saved.open(as_="duckdb").filter("a > 1").fetchall() == [(2,)]
    assert lake.Artifact(_adata(), key="x.h5ad").save().load(as_="pandas").shape == (3, 2)
    with pytest.raises(Unsupported, match="'polars'"):
        saved.load(as_="pola")


def test_contents_of_every_table_and_axis_are_in_sql(lake):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    for suffix in (".arrow", ".jsonl", ".csv.zst", ".json", ".delta", ".parquet"):
        lake.Artifact(frame, key=f"t{suffix}").save()
        assert lake.sql(f'select b from content."t{suffix}" where a = 2').fetchall() == [("y",)]
    for suffix in (".h5ad", ".zarr", ".soma"):
        lake.Artifact(_adata(), key=f"t{suffix}").save()
        assert lake.sql(f"select count(*) from obs.\"t{suffix}\" where donor = 'D1'").fetchall() == [(2,)]
        assert lake.sql(f'select count(*) from var."t{suffix}"').fetchall() == [(2,)]


def test_a_modality_is_addressed_below_the_key(lake):
    lake.Artifact(_mdata(), key="in/t.h5mu").save()
    lake.Artifact(_mdata(), key="m.zarr").save()
    for key in ("in/t.h5mu", "m.zarr"):
        assert lake.sql(f'select var_id from var."{key}/prot" order by 1').fetchall() == [("p0",), ("p1",)]
        assert lake.sql(f'select count(*) from obs."{key}"').fetchall() == [(3,)]
        with pytest.raises(InvalidFile, match="'prot'"):
            lake.sql(f'select * from var."{key}/port"')
    lake.Artifact(_adata(), key="s.soma").save()
    assert lake.sql('select count(*) from var."s.soma/RNA"').fetchall() == [(2,)]
    lake.Artifact(_adata(), key="t.h5ad").save()
    with pytest.raises(InvalidQuery, match="no parts"):
        lake.sql('select * from var."t.h5ad/rna"')


def test_an_artifact_whose_key_looks_like_a_modality_goes_first(lake):
    lake.Artifact(_mdata(), key="t.h5mu").save()
    lake.Artifact(_adata("q"), key="t.h5mu/rna", format="h5ad", suffix=".h5ad").save()
    assert lake.sql('select var_id from var."t.h5mu/rna" order by 1').fetchall() == [("q0",), ("q1",)]


def test_an_image_is_a_blob_that_is_described(lake, tmp_path: Path):
    from PIL import Image

    expected = {"PNG": "RGBA", "JPEG": "RGB", "GIF": "P", "BMP": "RGB", "TIFF": "RGB", "WEBP": "RGB"}
    for kind, mode in expected.items():
        path = tmp_path / f"x.{kind.lower()}"
        Image.new(mode, (30, 20)).save(path, kind)
        found = lake.Artifact(path, key=path.name).save().describe().content
        assert (found.kind, found.attributes["width"], found.attributes["height"]) == ("blob", 30, 20), kind
        assert found.attributes["mode"] == mode
    (tmp_path / "cut.png").write_bytes((tmp_path / "x.png").read_bytes()[:10])
    assert lake.Artifact(tmp_path / "cut.png", key="cut.png").save().describe().content.attributes == {"image": "PNG"}
    assert lake.Artifact(np.zeros((20, 30, 4), "u1"), key="x.zarr").save().describe().content.shape == (20, 30, 4)


QUERIES = [
    ('select kind, count(*) from obs."x.h5ad" group by 1 order by 1', [("B", 2), ("T", 2)]),
    ("select max(o.AGE) from obs.\"x.h5ad\" as o where o.obs_id <> 'c0'", [(3,)]),
    ('select count(*) from obs."x.h5ad"', [(4,)]),
    (
        'select o.age from obs."x.h5ad" o join obs."x.h5ad" p using (obs_id) where p.kind = \'T\' order by 1',
        [(0,), (2,)],
    ),
    ('select #2 from (select obs_id, age from obs."x.h5ad") order by 1 limit 1', [(0,)]),
    ('with t as (from obs."x.h5ad") select sum(age) from t', [(6,)]),
    ('select o.kind.kind from (select o as kind from obs."x.h5ad" o) o order by 1 limit 1', [("B",)]),
    ('select b from obs."x.h5ad" t(a, b) limit 1', [("T",)]),
]


@pytest.mark.parametrize(("query", "rows"), QUERIES, ids=[query[:30] for query, _ in QUERIES])
def test_statements_find_the_columns_that_they_need_of_an_axis(lake, query, rows):
    obs = pd.DataFrame({"kind": list("TBTB"), "age": range(4)}, index=[f"c{n}" for n in range(4)])
    lake.Artifact.from_anndata(ad.AnnData(np.ones((4, 2)), obs), key="x.h5ad").save()
    assert lake.sql(query).fetchall() == rows


@pytest.mark.parametrize("key", ["x.h5ad", "x.zarr"])
def test_columns_that_a_statement_does_not_name_are_not_read(lake, key, monkeypatch):
    obs = pd.DataFrame({"kind": list("TBTB"), "age": range(4)}, index=[f"c{n}" for n in range(4)])
    saved = lake.Artifact(ad.AnnData(np.ones((4, 2)), obs), key=key).save()
    table = by_name(saved.format).obs_table(saved.path, columns={"age"})
    assert table.column_names == ["obs_id", "age"]
    assert table.equals(by_name(saved.format).obs_table(saved.path).select(["obs_id", "age"]))


def test_statements_read_axes_and_frames_of_soma(lake, tmp_path):
    obs = pd.DataFrame({"kind": pd.Categorical(list("TBTB")), "age": range(4)}, index=[f"c{n}" for n in range(4)])
    saved = lake.Artifact(ad.AnnData(np.ones((4, 2), "f4"), obs), key="x.soma").save()
    lake.Artifact(saved.path / "obs", key="obs.soma", suffix=".soma").save()
    ask = """select o.kind, sum(f.age) from obs."x.soma" o join content."obs.soma" f using (obs_id)
             where o.age > 0 group by 1 order by 1"""
    assert lake.sql(ask).fetchall() == [("B", 4), ("T", 2)]
    assert lake.sql('select count(*) from obs."x.soma/RNA", var."x.soma"').fetchall() == [(8,)]


@pytest.mark.parametrize("key", ["x.csv.zst", "x.jsonl.gz", "x.csv", "x.parquet", "x.arrow", "x.delta"])
def test_statements_read_tables_piece_by_piece_as_often_as_they_name_them(lake, key):
    frame = pd.DataFrame({"donor": ["a", "b", "c"], "age": [30, 40, None], "note": ["x", "y", None]})
    lake.Artifact(frame, key=key).save()
    name = f'content."{key}"'
    assert lake.sql(f"select count(*) from {name}").fetchall() == [(3,)]
    assert lake.sql(f"select max(donor) from {name} where age > 30").fetchall() == [("b",)]
    assert lake.sql(f"select a.donor, b.note from {name} a join {name} b on a.age = b.age order by 1").fetchall() == [
        ("a", "x"),
        ("b", "y"),
    ]


def test_statements_read_the_attributes_of_tiledb_that_they_name(lake, tmp_path):
    domain = tiledb.Domain(tiledb.Dim(name="cell", domain=(0, 3), tile=2, dtype="int64"))
    attributes = [tiledb.Attr(name="Age", dtype="f8"), tiledb.Attr(name="site", dtype="int32")]
    tiledb.Array.create(str(tmp_path / "x.tiledb"), tiledb.ArraySchema(domain, attrs=attributes))
    with tiledb.open(str(tmp_path / "x.tiledb"), "w") as array:
        array[:] = {"Age": np.arange(4.0), "site": np.arange(4, dtype="i4")}
    lake.Artifact(sp.coo_matrix(np.eye(3)), key="sparse.tiledb").save()
    saved = lake.Artifact(tmp_path / "x.tiledb", key="x.tiledb").save()
    assert lake.sql('select sum(age) from content."x.tiledb"').fetchall() == [(6.0,)]
    assert lake.sql('select count(*) from content."x.tiledb"').fetchall() == [(4,)]
    assert lake.sql('select sum(value), max("column") from content."sparse.tiledb"').fetchall() == [(3.0, 2)]
    assert by_name("tiledb").table(saved.path, columns={"site"}).column_names == ["site"]
