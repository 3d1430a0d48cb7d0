"""Plain HDF5, NumPy's files, and what Cell Ranger writes."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest

from formats.convert import convert
from formats.hdf5plain import Hdf5Format
from formats.numpyfile import NpyFormat, NpzFormat
from formats.registry import format_for, format_of
from formats.tenx import MtxFormat, TenxFormat
from formats.testing import FormatConformance
from lakehouse.errors import InvalidFile, NotFound, UnknownFormat, Unsupported

HDF5, NPY, NPZ, TENX, MTX = Hdf5Format(), NpyFormat(), NpzFormat(), TenxFormat(), MtxFormat()


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(left[name], right[name]) for name in left)
    return bool(np.array_equal(left, right))


class TestHdf5(FormatConformance):
    format = HDF5

    def objects(self) -> list[Any]:
        return [{"a": np.arange(3), "b": {"c": np.ones((2, 2)), "d": np.float64(1.5)}}, {}]

    def same(self, left: Any, right: Any) -> bool:
        return _equal(left, right)


class TestNpy(FormatConformance):
    format = NPY

    def objects(self) -> list[Any]:
        record = np.array([(1, 2.5), (2, 3.5)], dtype=[("n", "i4"), ("x", "f8")])
        return [
            np.arange(6.0).reshape(2, 3),
            np.array(["x", "yy"]),
            np.zeros((0, 2)),
            np.asfortranarray(np.eye(3)),
            record,
        ]

    def same(self, left: Any, right: Any) -> bool:
        return _equal(left, right) and left.dtype == right.dtype


class TestNpz(FormatConformance):
    format = NPZ

    def objects(self) -> list[Any]:
        return [{"a": np.arange(3), "b": np.ones((2, 2))}, {"only": np.array(1.5)}]

    def same(self, left: Any, right: Any) -> bool:
        return _equal(left, right)


def test_an_array_is_an_npy_unless_a_suffix_says_otherwise(tmp_path: Path) -> None:
    assert format_for(np.ones(2)).name == "npy"
    assert format_for(np.ones(2), suffix=".zarr").name == "zarr"
    assert format_for({"a": np.ones(2)}, suffix=".npz").name == "npz"
    assert format_for({"a": np.ones(2)}, suffix=".h5").name == "hdf5"


def test_a_map_of_an_array_reads_what_is_asked_for(tmp_path: Path) -> None:
    NPY.write(np.arange(1000).reshape(100, 10), tmp_path / "x.npy")
    with NPY.open(tmp_path / "x.npy") as mapped:
        assert isinstance(mapped, np.memmap)
        assert mapped[5].tolist() == list(range(50, 60))
    assert NPY.load_as(tmp_path / "x.npy", "polars").shape == (100, 10)


class _Evil:
    def __reduce__(self) -> Any:
        return (open, ("unpickled", "w"))


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    array = np.array([_Evil()], dtype=object)
    np.save("x.npy", array, allow_pickle=True)
    np.savez("x.npz", ok=np.ones(1), evil=array)
    Path("y.npy").write_bytes(pickle.dumps(_Evil()))
    for call in (lambda: NPY.load(Path("x.npy")), lambda: NPY.open(Path("x.npy")), lambda: NPZ.load(Path("x.npz"))):
        with pytest.raises(InvalidFile, match="pickled objects"):
            call()
    for call in (NPY.load, NPY.open, NPY.describe):
        with pytest.raises(InvalidFile):
            call(Path("y.npy"))
    assert NPY.describe(Path("x.npy")).attributes == {"dtype": "object"}
    with pytest.raises(UnknownFormat, match="pickles"):
        NPY.write(array, Path("z.npy"))
    assert not Path("unpickled").exists()
    assert not Path("z.npy").exists()


def test_an_array_as_a_table_keeps_the_types_of_its_columns(tmp_path: Path) -> None:
    record = np.array([(1, 2.5, "2026-01-01T00:00:00.123456789")], dtype=[("n", "<i2"), ("x", ">f4"), ("t", "M8[ns]")])
    np.save(tmp_path / "a.npy", record)
    found = convert(NPY.load(tmp_path / "a.npy"), "arrow", tmp_path / "a.npy")
    assert found.schema == pa.schema({"n": pa.int16(), "x": pa.float32(), "t": pa.timestamp("ns")})
    assert found["x"].to_pylist() == [2.5] and found["t"].cast(pa.int64()).to_pylist() == [1767225600123456789]
    np.save(tmp_path / "c.npy", np.array([1j]))
    with pytest.raises(Unsupported, match="complex128"):
        convert(NPY.load(tmp_path / "c.npy"), "arrow", tmp_path / "c.npy")


def test_an_array_that_declares_80_terabytes_is_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        data, {"descr": "<f8", "fortran_order": False, "shape": (10_000_000, 1_000_000)}
    )
    (tmp_path / "x.npy").write_bytes(data.getvalue())
    for call, reason in ((NPY.load, "GB"), (NPY.open, "GB"), (NPY.describe, "claims")):
        with pytest.raises(InvalidFile, match=reason):
            call(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as packed:
        packed.writestr("a.npy", data.getvalue())
    with pytest.raises(InvalidFile, match="GB"):
        NPZ.load(tmp_path / "x.npz")


def test_a_header_is_never_evaluated(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').getpid(),)}\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(InvalidFile):
        NPY.load(tmp_path / "x.npy")


def test_members_of_npz_that_climb_out_or_are_bombs_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as packed:
        packed.writestr("../evil.npy", b"x")
    with zipfile.ZipFile(tmp_path / "y.npz", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a.npy", b"\0" * (32 << 20))
    for name, reason in (("x.npz", "climbs out"), ("y.npz", "bomb")):
        for call in (NPZ.load, NPZ.open, NPZ.describe):
            with pytest.raises(InvalidFile, match=reason):
                call(tmp_path / name)


def test_hdf5_that_links_to_the_same_groups_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(40):  # two links to each group: 2 to the 40 paths
            child = group.create_group("a")
            group["b"] = child
            group = child
    for call in (HDF5.load, HDF5.describe):
        with pytest.raises(InvalidFile, match="over and over"):
            call(path)


def test_hdf5_links_out_circles_and_false_sizes_are_refused(tmp_path: Path) -> None:
    HDF5.write({"a": np.arange(3)}, tmp_path / "other.h5")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["out"] = h5py.ExternalLink("other.h5", "/a")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_group("g")["again"] = h5py.SoftLink("/g")
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file.create_dataset("huge", shape=(10_000_000, 1_000_000), chunks=(1000, 1000), dtype="f8")
    for name, reason in (("x.h5", "another file"), ("y.h5", "circle")):
        for call in (HDF5.load, HDF5.open, HDF5.describe):
            with pytest.raises(InvalidFile, match=reason):
                call(tmp_path / name)
    with pytest.raises(InvalidFile, match="GB"):
        HDF5.load(tmp_path / "z.h5")
    with HDF5.open(tmp_path / "z.h5") as opened:
        assert opened["huge"][5, 5] == 0
    assert not opened


# Cell Ranger


def _tenx(path: Path, *, version: int) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "hg19")
        group["data"], group["indices"] = np.array([1, 2, 3], "i4"), np.array([0, 2, 1], "i8")
        group["indptr"], group["shape"] = np.array([0, 2, 3], "i8"), np.array([3, 2], "i4")
        group["barcodes"] = np.array([b"AAA-1", b"CCC-1"])
        if version == 3:
            for name, texts in {"id": "ENSG", "name": "symbol", "feature_type": "Gene", "genome": "hg"}.items():
                group[f"features/{name}"] = np.array([f"{texts}{n}".encode() for n in range(3)])
        else:
            group["genes"] = np.array([b"ENSG0", b"ENSG1", b"ENSG2"])
            group["gene_names"] = np.array([b"symbol0", b"symbol1", b"symbol2"])
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_a_10x_file_is_recognized_described_and_loaded_as_anndata(tmp_path: Path, version: int) -> None:
    path = _tenx(tmp_path / "x.h5", version=version)
    assert format_of(path, ".h5").name == "10x-h5"
    described = TENX.describe(path)
    assert (described.kind, described.shape) == ("AnnData", (2, 3))
    assert described.slots["X"][0].dtype == "int32 csr (2, 3)"
    adata = TENX.load(path)
    assert adata.X.toarray().tolist() == [[1, 0, 2], [0, 3, 0]]
    assert adata.obs_names.tolist() == described.obs_names == ["AAA-1", "CCC-1"]
    assert adata.var_names.tolist() == described.var_names == ["ENSG0", "ENSG1", "ENSG2"]
    assert TENX.var_table(path)["name"].to_pylist() == ["symbol0", "symbol1", "symbol2"]


def test_a_10x_file_with_wild_indices_is_refused(tmp_path: Path) -> None:
    path = _tenx(tmp_path / "x.h5", version=3)
    with h5py.File(path, "r+") as file:
        file["matrix/indices"][0] = 10**9
    with pytest.raises(InvalidFile):
        TENX.load(path)


def test_other_hdf5_under_the_same_suffix_is_plain(tmp_path: Path) -> None:
    HDF5.write({"a": np.arange(3)}, tmp_path / "x.h5")
    assert format_of(tmp_path / "x.h5", ".h5").name == "hdf5"
    (tmp_path / "y.h5").write_bytes(b"no hdf5")
    assert format_of(tmp_path / "y.h5", ".h5").name == "hdf5"


MTX_TEXT = "%%MatrixMarket matrix coordinate integer general\n%made by hand\n3 2 3\n1 1 1\n3 1 2\n2 2 3\n"


def _mtx(folder: Path, *, packed: bool) -> Path:
    folder.mkdir()
    features = "ENSG0\tsymbol0\tGene Expression\nENSG1\t'symbol\"1\tGene Expression\nENSG2\t\tGene Expression\n"
    parts = {"matrix.mtx": MTX_TEXT, "barcodes.tsv": "AAA-1\nCCC-1\n"}
    parts["features.tsv" if packed else "genes.tsv"] = features
    for name, text in parts.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_an_mtx_folder_is_recognized_described_and_loaded_as_anndata(tmp_path: Path, packed: bool) -> None:
    path = _mtx(tmp_path / "filtered", packed=packed)
    assert format_of(path, "").name == "mtx"
    described = MTX.describe(path)
    assert (described.shape, described.attributes) == ((2, 3), {"stored_values": 3})
    adata = MTX.load(path)
    assert adata.X.toarray().tolist() == [[1, 0, 2], [0, 3, 0]]
    assert adata.var_names.tolist() == described.var_names == ["ENSG0", "ENSG1", "ENSG2"]
    assert MTX.var_table(path)["name"].to_pylist() == ["symbol0", "'symbol\"1", ""]
    assert MTX.obs_table(path).to_pydict() == {"obs_id": ["AAA-1", "CCC-1"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%%MatrixMarket matrix coordinate integer general\n99999999 99999999 9999999999999\n", "GB"),
        ("%%MatrixMarket matrix array real general\n3 2\n", "no sparse matrix"),
        ("nonsense", "no sparse matrix"),
        ("%%MatrixMarket matrix coordinate integer general\n3 2 3\n9 9 1\n1 1 1\n1 2 1\n", "mtx"),
    ],
)
def test_an_mtx_folder_that_lies_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = _mtx(tmp_path / "filtered", packed=False)
    (path / "matrix.mtx").write_text(text)
    with pytest.raises(InvalidFile, match=reason):
        MTX.load(path)
    (path / "barcodes.tsv").unlink()
    with pytest.raises(InvalidFile):
        MTX.load(path)
    with pytest.raises((InvalidFile, NotFound)):
        MTX.load(tmp_path / "missing")
