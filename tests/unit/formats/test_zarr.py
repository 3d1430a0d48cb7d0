"""Arrays, AnnData and MuData in zarr; MuData in HDF5."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from formats.anndata import H5adFormat
from formats.anndatazarr import AnnDataZarrFormat
from formats.mudata import H5muFormat, MuDataZarrFormat
from formats.registry import format_for, format_of
from formats.testing import FormatConformance
from formats.zarr import ZarrFormat
from formats.zarrstore import quiet
from lakehouse.errors import InvalidFile, UnknownFormat, Unsupported

ARRAYS, ANNDATA, MUDATA, H5MU = ZarrFormat(), AnnDataZarrFormat(), MuDataZarrFormat(), H5muFormat()


def _adata(n_obs: int = 6, n_vars: int = 4) -> ad.AnnData:
    random = np.random.default_rng(0)
    obs = pd.DataFrame({"kind": pd.Categorical(list("ab") * (n_obs // 2))}, index=[f"c{i}" for i in range(n_obs)])
    var = pd.DataFrame({"symbol": [f"s{i}" for i in range(n_vars)]}, index=[f"g{i}" for i in range(n_vars)])
    adata = ad.AnnData(sp.random(n_obs, n_vars, 0.5, format="csr", dtype="float32", random_state=0), obs, var)
    adata.layers["dense"] = random.random((n_obs, n_vars))
    adata.obsm["X_pca"] = random.random((n_obs, 2))
    adata.uns["note"] = {"by": "ada"}
    return adata


def _mdata() -> md.MuData:
    one, two = _adata(), _adata()
    two.var_names = [f"p{i}" for i in range(two.n_vars)]
    with _updates():
        return md.MuData({"rna": one, "prot": two})


def _updates() -> Any:
    return md.set_options(pull_on_update=False)


def _same_adata(left: Any, right: Any) -> bool:
    dense = [(a.X.toarray() if sp.issparse(a.X) else a.X) for a in (left, right)]
    np.testing.assert_array_equal(*dense)
    assert left.obs_names.tolist() == right.obs_names.tolist()
    assert left.obs["kind"].astype(str).tolist() == right.obs["kind"].astype(str).tolist()
    np.testing.assert_array_equal(left.layers["dense"], right.layers["dense"])
    return bool(left.uns["note"] == right.uns["note"])


class TestArrays(FormatConformance):
    format = ARRAYS
    detects_truncation = False

    def objects(self) -> list[Any]:
        arrays = [np.arange(12.0).reshape(4, 3), np.array(["x", "yy"]), np.zeros((0, 3), dtype="i2")]
        return [*arrays, zarr.array(np.arange(10), chunks=3)]

    def same(self, left: Any, right: Any) -> bool:
        return bool(np.array_equal(left[:], right[:])) and left.dtype == right.dtype


class TestAnnData(FormatConformance):
    format = ANNDATA
    detects_truncation = False

    def objects(self) -> list[Any]:
        return [_adata(), _adata()[:4, :2]]

    def same(self, left: Any, right: Any) -> bool:
        return _same_adata(left, right)


class _MuData(FormatConformance):
    def snapshot(self, obj: Any) -> Any:
        with _updates():
            return obj.copy()

    def objects(self) -> list[Any]:
        return [_mdata()]

    def same(self, left: Any, right: Any) -> bool:
        return all(_same_adata(left.mod[name], right.mod[name]) for name in ("rna", "prot"))


class TestH5mu(_MuData):
    format = H5MU


class TestMuDataZarr(_MuData):
    format = MUDATA
    detects_truncation = False


def test_a_folder_gets_its_format_by_a_look_and_an_object_by_its_type(tmp_path: Path) -> None:
    cases = [(ARRAYS, np.ones(3)), (ANNDATA, _adata()), (MUDATA, _mdata())]
    for fmt, obj in cases:
        path = tmp_path / f"{fmt.name}.zarr"
        fmt.write(obj, path)
        assert format_of(path, ".zarr").name == format_of(path, "").name == fmt.name
        assert format_for(obj, suffix=".zarr").name == fmt.name
    assert format_for(_mdata()).name == "h5mu"
    with pytest.raises(UnknownFormat, match=r"\.zarr\.zip"):
        format_for(_adata(), suffix=".zarr.zip")


@pytest.mark.parametrize("version", [2, 3])
def test_describe_names_every_part_its_type_and_its_chunks(tmp_path: Path, version: int) -> None:
    path = tmp_path / "x.zarr"
    with ad.settings.override(zarr_write_format=version), quiet():
        _adata().write_zarr(path)
    described = ANNDATA.describe(path)
    assert (described.kind, described.shape) == ("AnnData", (6, 4))
    assert described.slots["X"][0].dtype == "float32 csr (6, 4)"
    assert [(c.name, c.dtype) for c in described.slots["obs"]] == [("kind", "category")]
    layer = described.slots["layers"][0]
    assert (layer.name, layer.dtype) == ("dense", "float64 (6, 4)")
    assert "chunks (6, 4)" in layer.storage
    assert any(codec in layer.storage for codec in ("zstd", "blosc"))
    assert described.obs_names == [f"c{i}" for i in range(6)]
    assert described.var_names == [f"g{i}" for i in range(4)]
    assert ANNDATA.obs_table(path).column_names == ["obs_id", "kind"]


def test_a_large_array_is_written_in_shards_and_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("formats.zarr._SHARDS_FROM", 1)
    ARRAYS.write(np.random.default_rng(0).random((3000, 3000)), tmp_path / "x.zarr")
    described = ARRAYS.describe(tmp_path / "x.zarr")
    assert "shards" in described.attributes["storage"]
    with ARRAYS.open(tmp_path / "x.zarr") as array:
        assert isinstance(array, zarr.Array)
        assert array[5:7, :2].shape == (2, 2)
        assert array.shards is not None


def test_a_group_is_described_opened_and_loaded_as_a_dict(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "x.zarr", attributes={"a": 1})
    group.create_array("one", data=np.arange(3))
    group.create_group("inner").create_array("two", data=np.ones((2, 2)))
    assert {k: [c.name for c in v] for k, v in ARRAYS.describe(tmp_path / "x.zarr").slots.items()} == {
        "/": ["one"],
        "inner": ["two"],
    }
    with ARRAYS.open(tmp_path / "x.zarr") as opened:
        assert opened["inner/two"][0, 0] == 1
        ARRAYS.write(opened, tmp_path / "y.zarr")
    loaded = ARRAYS.load(tmp_path / "y.zarr")
    assert loaded["one"].tolist() == [0, 1, 2]
    assert loaded["inner"]["two"].shape == (2, 2)
    with pytest.raises(Unsupported):
        ARRAYS.load_as(tmp_path / "y.zarr", "pandas")


def test_a_subset_of_an_open_anndata_reads_only_the_chunks_it_touches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.zarr"
    adata = _adata(200, 10)
    adata.layers["dense"] = np.random.default_rng(0).random((200, 10))
    with quiet():
        adata.write_zarr(path, chunks=(10, 10))
    zarr.open_group(path, mode="r+")["layers"].create_array("small", data=adata.layers["dense"], chunks=(10, 10))
    with quiet():
        zarr.consolidate_metadata(str(path))
    read: list[str] = []
    real = zarr.storage.LocalStore.get

    async def get(self: Any, key: str, *args: Any, **options: Any) -> Any:
        read.append(key)
        return await real(self, key, *args, **options)

    with ANNDATA.open(path) as opened:
        assert isinstance(opened, ad.AnnData)
        monkeypatch.setattr(zarr.storage.LocalStore, "get", get)
        part = opened[15:25, ["g1", "g3"]]
        np.testing.assert_array_equal(part.layers["small"], adata[15:25, ["g1", "g3"]].layers["dense"])
        chunks = [key for key in read if key.startswith("layers/small/") and not key.endswith((".zarray", ".json"))]
        assert len(chunks) == 2
        _same_adata(opened[:10].to_memory(), adata[:10].copy())


def test_names_of_modalities_address_their_axes(tmp_path: Path) -> None:
    for fmt, name in ((H5MU, "x.h5mu"), (MUDATA, "x.zarr")):
        fmt.write(_mdata(), tmp_path / name)
        described = fmt.describe(tmp_path / name)
        assert described.attributes == {"modalities": "rna, prot"}
        assert described.shape == (6, 8)
        assert {"rna/X", "prot/obs", "rna/layers"} <= set(described.slots)
        assert described.obs_names == [f"c{i}" for i in range(6)]
        assert fmt.var_table(tmp_path / name, part="prot")["var_id"].to_pylist() == [f"p{i}" for i in range(4)]
        assert fmt.obs_table(tmp_path / name).num_rows == 6
        with pytest.raises(InvalidFile, match=r"'rna'"):
            fmt.obs_table(tmp_path / name, part="rma")


def test_a_backed_mudata_reads_its_matrices_from_the_file_and_closes(tmp_path: Path) -> None:
    H5MU.write(_mdata(), tmp_path / "x.h5mu")
    with H5MU.open(tmp_path / "x.h5mu") as opened:
        assert isinstance(opened, md.MuData)
        assert opened.isbacked
        assert opened.mod["rna"].X[:2].shape == (2, 4)
    (tmp_path / "x.h5mu").unlink()


def test_an_h5ad_closes_at_the_end_of_a_block(tmp_path: Path) -> None:
    H5adFormat().write(_adata(), tmp_path / "x.h5ad")
    with H5adFormat().open(tmp_path / "x.h5ad") as opened:
        assert opened[:2].X.shape == (2, 4)
    assert not opened.file.is_open


# what strangers send


def _store(path: Path, shape: list[int], **extra: Any) -> Path:
    path.mkdir(exist_ok=True)
    document = {"zarr_format": 2, "shape": shape, "chunks": [1000] * len(shape), "dtype": "<f8", "compressor": None}
    document |= {"fill_value": 0, "order": "C", "filters": None}
    (path / ".zarray").write_text(json.dumps(document | extra))
    return path


def test_a_store_that_declares_80_terabytes_is_described_and_not_loaded(tmp_path: Path) -> None:
    path = _store(tmp_path / "x.zarr", [10_000_000, 1_000_000])
    assert ARRAYS.describe(path).shape == (10_000_000, 1_000_000)
    with pytest.raises(InvalidFile, match=r"80,000\.0 GB"):
        ARRAYS.load(path)
    with ARRAYS.open(path) as opened:
        assert opened[5, 5] == 0


@pytest.mark.parametrize("extra", [{"filters": [{"id": "pickle"}], "dtype": "|O"}, {"compressor": {"id": "pickle"}}])
def test_a_filter_that_unpickles_is_refused(tmp_path: Path, extra: dict[str, Any]) -> None:
    path = _store(tmp_path / "x.zarr", [3], **extra)
    for call in (ARRAYS.load, ARRAYS.open, ARRAYS.describe):
        with pytest.raises(InvalidFile, match="unpickles"):
            call(path)


def test_files_of_the_other_version_hide_nothing(tmp_path: Path) -> None:
    """A group of version 2 whose array has a harmless zarr.json beside: zarr itself reads the .zarray."""
    path = tmp_path / "x.zarr"
    zarr.create_array(path / "a", data=np.arange(3))
    _store(path / "a", [3], compressor={"id": "pickle"})
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(InvalidFile, match="unpickles"):
        ARRAYS.load(path)


def test_a_version_3_codec_that_unpickles_is_refused_also_within_shards(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=np.arange(8), chunks=(2,), shards=(4,))
    document = json.loads((path / "zarr.json").read_text())
    document["codecs"][0]["configuration"]["codecs"].append({"name": "numcodecs.pickle"})
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(InvalidFile, match="unpickles"):
        ARRAYS.open(path)


def test_huge_and_deep_metadata_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "deep.zarr"
    deep.mkdir()
    (deep / "zarr.json").write_text('{"attributes":' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(InvalidFile, match="deep"):
        ARRAYS.describe(deep)
    huge = _store(tmp_path / "huge.zarr", [1], junk="x" * (17 << 20))
    with pytest.raises(InvalidFile, match="16 MB"):
        ARRAYS.describe(huge)
    nested = tmp_path / "nested.zarr"
    inner = nested
    for _ in range(80):
        inner.mkdir()
        (inner / ".zgroup").write_text('{"zarr_format": 2}')
        inner = inner / "a"
    with pytest.raises(InvalidFile, match="64 levels"):
        ARRAYS.describe(nested)
    monkeypatch.setattr("formats.zarrmeta._MOST_NODES", 3)
    ANNDATA.write(_adata(), tmp_path / "wide.zarr")
    with pytest.raises(InvalidFile, match="more than 3 nodes"):
        ANNDATA.describe(tmp_path / "wide.zarr")


@pytest.mark.parametrize("document", ["[]", "{", '{"shape": "x"}', '{"shape": [-1], "data_type": "float32"}', "nul"])
def test_metadata_that_makes_no_sense_is_refused(tmp_path: Path, document: str) -> None:
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "zarr.json").write_text(document)
    for call in (ARRAYS.load, ARRAYS.open, ARRAYS.describe):
        with pytest.raises(InvalidFile, match=r"x\.zarr"):
            call(tmp_path / "x.zarr")


def _zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as packed:
        for found in sorted(folder.rglob("*")):
            if found.is_file():
                packed.write(found, found.relative_to(folder).as_posix())
    return target


def test_a_store_in_a_zip_file_is_read_where_it_lies(tmp_path: Path) -> None:
    for number, (fmt, obj) in enumerate([(ARRAYS, np.arange(6)), (ANNDATA, _adata()), (MUDATA, _mdata())]):
        fmt.write(obj, tmp_path / f"{number}.zarr")
        path = _zipped(tmp_path / f"{number}.zarr", tmp_path / f"{number}.zarr.zip")
        shutil.rmtree(tmp_path / f"{number}.zarr")
        assert format_of(path, ".zarr.zip").name == fmt.name
        assert fmt.describe(path).shape is not None
        with fmt.open(path) as opened:
            assert opened is not None
        assert len(fmt.load(path)) == 6


def test_a_zip_member_that_climbs_out_or_is_a_bomb_is_refused(tmp_path: Path) -> None:
    for name in ("../evil", "/etc/evil", "a/../../evil", "a\\..\\evil"):
        path = tmp_path / "x.zarr.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(".zarray", json.dumps({"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "<f8"}))
            info = zipfile.ZipInfo("x")
            info.filename = name
            packed.writestr(info, "evil")
        with pytest.raises(InvalidFile, match="climbs out"):
            ARRAYS.describe(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("zarr.json", b" " * (64 << 20))
    with pytest.raises(InvalidFile, match="bomb"):
        ARRAYS.describe(path)


def test_links_in_metadata_are_read_as_files_only(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "zarr.json").symlink_to("/dev/zero")
    with pytest.raises(InvalidFile):
        ARRAYS.describe(tmp_path / "x.zarr")
