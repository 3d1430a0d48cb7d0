"""AnnData in HDF5, of every age."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import duckdb
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from formats import limits
from formats.anndata import H5adFormat
from formats.base import ColumnInfo
from formats.hdf5 import checked
from formats.registry import format_for
from formats.testing import FormatConformance
from lakehouse.errors import InvalidFile, UnknownFormat

FORMAT = H5adFormat()


def _adata(*, n_obs: int = 4, matrix: bool = True) -> anndata.AnnData:
    obs = pd.DataFrame(
        {
            "donor": ["d1", "d1", "d2", None][:n_obs],
            "kind": pd.Categorical(["T", "B", "T", "B"][:n_obs]),
            "age": np.arange(n_obs),
            "ok": [True] * n_obs,
            "score": pd.array([1, None, 3, 4][:n_obs], dtype="Int64"),
        },
        index=[f"cell{i}" for i in range(n_obs)],
    )
    var = pd.DataFrame({"symbol": ["CD8A", "CD4", "GZMB"]}, index=["g1", "g2", "g3"])
    counts = sp.csr_matrix(np.arange(n_obs * 3, dtype="float32").reshape(n_obs, 3))
    adata = anndata.AnnData(counts if matrix else None, obs=obs, var=var)
    if matrix:
        adata.layers["dense"] = counts.toarray()
    adata.obsm["X_umap"] = np.zeros((n_obs, 2))
    adata.uns["title"] = "small"
    return adata


class TestConformance(FormatConformance):
    format = FORMAT

    def objects(self) -> list[Any]:
        return [_adata(), _adata(matrix=False), _adata()[:2]]

    def same(self, left: Any, right: Any) -> bool:
        for one, other in ((left.obs, right.obs), (left.var, right.var)):
            if one.astype(str).replace("None", "nan").to_dict() != other.astype(str).replace("None", "nan").to_dict():
                return False
        if left.X is None:
            return right.X is None
        return bool((left.X != right.X).nnz == 0) and set(left.obsm) == set(right.obsm)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    FORMAT.write(_adata(), tmp_path / "x.h5ad")
    return tmp_path / "x.h5ad"


def _edited(path: Path, edit: Any) -> Path:
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def test_describe_names_every_part_and_its_type(path: Path) -> None:
    described = FORMAT.describe(path)
    assert described.shape == (4, 3)
    assert described.slots["obs"] == (
        ColumnInfo("donor", "category"),
        ColumnInfo("kind", "category"),
        ColumnInfo("age", "int64"),
        ColumnInfo("ok", "bool"),
        ColumnInfo("score", "int64"),
    )
    assert described.slots["var"][0].name == "symbol"
    assert described.slots["X"] == (ColumnInfo("X", "float32 csr (4, 3)"),)
    assert described.slots["layers"] == (ColumnInfo("dense", "float32 (4, 3)"),)
    assert described.slots["obsm"] == (ColumnInfo("X_umap", "float64 (4, 2)"),)
    assert described.slots["uns"] == (ColumnInfo("title", "string"),)
    assert "varp" not in described.slots


def test_writing_leaves_texts_as_texts_in_the_callers_object(tmp_path: Path) -> None:
    adata = _adata()
    FORMAT.write(adata, tmp_path / "x.h5ad")
    assert str(adata.obs["donor"].dtype) == "object"


def test_open_leaves_the_matrix_in_the_file(path: Path) -> None:
    adata = FORMAT.open(path)
    try:
        assert adata.isbacked
        assert adata[:2].to_memory().X.toarray().shape == (2, 3)
    finally:
        adata.file.close()


def test_tables_of_both_axes_answer_sql(path: Path) -> None:
    obs, var = FORMAT.obs_table(path), FORMAT.var_table(path)
    assert obs.column_names[0] == "obs_id"
    assert var.column_names == ["var_id", "symbol"]
    connection = duckdb.connect()
    connection.register("obs", obs)
    query = "select donor, count(*) from obs group by 1 order by 1 nulls last"
    assert connection.execute(query).fetchall() == [("d1", 2), ("d2", 1), (None, 1)]
    assert FORMAT.table(path) is None


def test_an_index_with_a_name_keeps_it(tmp_path: Path) -> None:
    adata = _adata()
    adata.obs.index.name = "barcode"
    FORMAT.write(adata, tmp_path / "x.h5ad")
    assert FORMAT.obs_table(tmp_path / "x.h5ad").column_names[0] == "barcode"


def test_a_column_called_like_the_index_column_keeps_its_name(tmp_path: Path) -> None:
    adata = _adata()
    adata.obs["obs_id"] = 1
    FORMAT.write(adata, tmp_path / "x.h5ad")
    assert FORMAT.obs_table(tmp_path / "x.h5ad").column_names[0] == "obs_id_"


def test_describing_reads_no_data(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("read data"))
    FORMAT.describe(path)


def test_duplicate_variable_names_are_described_and_queried(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    adata = _adata()
    FORMAT.write(adata, path)
    _edited(path, lambda file: file["var/_index"].__setitem__(slice(None), ["g", "g", "h"]))
    assert FORMAT.describe(path).shape == (4, 3)
    assert FORMAT.var_table(path)["var_id"].to_pylist() == ["g", "g", "h"]
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        assert FORMAT.load(path).shape == (4, 3)


def test_hdf5_without_obs_and_var_is_no_anndata(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    with h5py.File(path, "w") as file:
        file["data"] = [1, 2]
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open, FORMAT.obs_table):
        with pytest.raises(InvalidFile, match="no obs and var"):
            read(path)


def test_a_matrix_of_another_shape_than_its_axes_is_refused(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["X"]
        file["X"] = np.zeros((5, 3))

    _edited(path, edit)
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open):
        with pytest.raises(InvalidFile, match=r"X has the shape \(5, 3\)"):
            read(path)


def test_an_axis_without_an_index_is_refused(path: Path) -> None:
    _edited(path, lambda file: file["obs"].__delitem__("_index"))
    with pytest.raises(InvalidFile, match="no index"):
        FORMAT.describe(path)


def test_a_file_that_declares_80_terabytes_is_described_and_not_loaded(path: Path, tmp_path: Path) -> None:
    shape = (10_000_000, 1_000_000)

    def edit(file: h5py.File) -> None:
        file.create_dataset("layers/huge", shape=shape, chunks=(1000, 1000), dtype="f8")

    _edited(path, edit)
    assert path.stat().st_size < 100_000
    assert ColumnInfo("huge", f"float64 {shape}") in FORMAT.describe(path).slots["layers"]
    for read in (FORMAT.load, FORMAT.open):
        with pytest.raises(InvalidFile, match="declares 80,000"):
            read(path)


def test_axes_that_declare_terabytes_are_not_read(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        for name in ("_index", "age"):
            del file[f"obs/{name}"]
            file.create_dataset(f"obs/{name}", shape=(10**13,), chunks=(1000,), dtype="i8")
        del file["X"]

    _edited(path, edit)
    assert FORMAT.describe(path).n_rows == 10**13
    for read in (FORMAT.load, FORMAT.open, FORMAT.obs_table):
        with pytest.raises(InvalidFile, match="of memory"):
            read(path)


def test_a_matrix_larger_than_memory_is_opened_and_not_loaded(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "physical_memory", lambda: 1000)

    def edit(file: h5py.File) -> None:
        for name in ("X", "layers", "obsm", "obs/donor", "obs/kind", "obs/score", "uns"):
            del file[name]
        file["obs"].attrs["column-order"] = ["age", "ok"]
        file["X"] = np.zeros((4, 3), "f8")
        file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

    _edited(path, edit)
    FORMAT.open(path).file.close()
    monkeypatch.setattr(limits, "physical_memory", lambda: 200)
    with pytest.raises(InvalidFile, match=r"open\(\) reads X piecewise"):
        FORMAT.load(path)


@pytest.mark.parametrize("where", ["X", "obs/extra", "uns/deep/er"])
def test_a_link_into_another_file_is_refused(path: Path, tmp_path: Path, where: str) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["X"] = np.ones((4, 3))

    def edit(file: h5py.File) -> None:
        if where in file:
            del file[where]
        file[where] = h5py.ExternalLink("secret.h5", "/X")

    _edited(path, edit)
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open, FORMAT.obs_table):
        with pytest.raises(InvalidFile, match="refers to another file"):
            read(path)


def test_data_kept_in_other_files_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(bytes(96))
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "X", shape=(4, 3))

    def external(file: h5py.File) -> None:
        file.create_dataset("layers/e", (4, 3), "f8", external=[(str(tmp_path / "raw.bin"), 0, 96)])

    def virtual(file: h5py.File) -> None:
        del file["layers/e"]
        file.create_virtual_dataset("layers/v", layout)

    for edit in (external, virtual):
        _edited(path, edit)
        with pytest.raises(InvalidFile, match="in another file"):
            FORMAT.describe(path)


@pytest.mark.parametrize("link", ["hard", "soft", "soft to itself"])
def test_links_in_a_circle_are_refused(path: Path, link: str) -> None:
    def edit(file: h5py.File) -> None:
        file.create_group("uns/a/b")
        target = {"hard": file["uns/a"], "soft": h5py.SoftLink("/uns/a")}.get(link, h5py.SoftLink("/uns/a/b/c"))
        file["uns/a/b/c"] = target

    _edited(path, edit)
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open):
        with pytest.raises(InvalidFile, match=r"in a circle|leads nowhere"):
            read(path)


def test_groups_nested_too_deep_are_refused(path: Path) -> None:
    _edited(path, lambda file: file.create_group("uns/" + "/".join("a" * 200)))
    with pytest.raises(InvalidFile, match="nests more than"):
        FORMAT.describe(path)


def test_what_h5ad_cannot_hold_is_refused(tmp_path: Path) -> None:
    adata = _adata()
    adata.uns["thing"] = object()
    with pytest.raises(UnknownFormat, match=r"cannot be stored as \.h5ad"):
        FORMAT.write(adata, tmp_path / "x.h5ad")
    assert list(tmp_path.iterdir()) == []


def _legacy(path: Path) -> Path:
    """Write the layout of anndata 0.5: compound axes, categories in uns."""
    obs = np.array([(b"c1", 0, 5), (b"c2", 1, 6), (b"c3", -1, 7)], [("index", "S2"), ("kind", "i1"), ("n", "i8")])
    with h5py.File(path, "w") as file:
        file["X"] = np.ones((3, 2), "f4")
        file["obs"] = obs
        file["var"] = np.array([(b"g1", True), (b"g2", False)], [("index", "S2"), ("high", "?")])
        file["obsm"] = np.zeros(3, [("X_pca", "f4", (2,))])
        file.create_group("uns")["kind_categories"] = np.array([b"T", b"B"])
    return path


def test_the_layout_of_2017_is_described_queried_and_loaded(tmp_path: Path) -> None:
    path = _legacy(tmp_path / "old.h5ad")
    described = FORMAT.describe(path)
    assert described.shape == (3, 2)
    assert described.slots["obs"] == (ColumnInfo("kind", "category"), ColumnInfo("n", "int64"))
    assert described.slots["obsm"] == (ColumnInfo("X_pca", "float32 (3, 2)"),)
    assert FORMAT.obs_table(path).to_pylist() == [
        {"obs_id": "c1", "kind": "T", "n": 5},
        {"obs_id": "c2", "kind": "B", "n": 6},
        {"obs_id": "c3", "kind": None, "n": 7},
    ]
    assert FORMAT.load(path).shape == (3, 2)
    adata = FORMAT.open(path)
    assert adata.shape == (3, 2)
    adata.file.close()


def test_the_layout_of_2020_keeps_its_categories(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    with h5py.File(path, "w") as file:
        for axis, length in (("obs", 3), ("var", 2)):
            group = file.create_group(axis)
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "_index"})
            group["_index"] = [f"{axis}{i}" for i in range(length)]
            group.attrs["column-order"] = ["kind"] if axis == "obs" else np.array([], "f8")
        file["obs/kind"] = np.array([0, 1, 0], "i1")
        file["obs/__categories/kind"] = ["T", "B"]
        file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
    assert FORMAT.describe(path).slots["obs"] == (ColumnInfo("kind", "category"),)
    assert FORMAT.obs_table(path)["kind"].to_pylist() == ["T", "B", "T"]


def test_real_files_of_every_age_are_described_as_they_load(real_data: Path) -> None:
    files = sorted(real_data.rglob("*.h5ad"))
    assert len(files) >= 9
    for path in files:
        described, adata = FORMAT.describe(path), FORMAT.load(path)
        assert described.shape == adata.shape
        for axis, frame, table in (
            ("obs", adata.obs, FORMAT.obs_table(path)),
            ("var", adata.var, FORMAT.var_table(path)),
        ):
            assert [column.name for column in described.slots.get(axis, ())] == list(frame.columns)
            assert table.column_names[1:] == list(frame.columns)
            assert table.column(0).to_pylist() == frame.index.tolist()
            for column in described.slots.get(axis, ()):
                loaded = str(frame[column.name].dtype).lower()
                assert column.dtype == {"object": "string", "boolean": "bool"}.get(loaded, loaded), (path, column)
        backed = FORMAT.open(path)
        assert backed.shape == adata.shape
        backed.file.close()


def test_describing_real_files_loads_no_anndata(tmp_path: Path) -> None:
    path = _legacy(tmp_path / "old.h5ad")
    program = (
        f"import sys, pathlib; from formats.anndata import H5adFormat; H5adFormat().describe(pathlib.Path({str(path)!r}))\n"
        "assert 'anndata' not in sys.modules and 'polars' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("locking", [None, True, False])
def test_a_file_that_somebody_has_open_is_described_and_read_for_sql(tmp_path: Path, locking: bool | None) -> None:
    path = tmp_path / "a.h5ad"
    FORMAT.write(_adata(), path)
    with h5py.File(path, locking=locking):
        assert FORMAT.describe(path).n_rows == 4
        assert FORMAT.obs_table(path).num_rows == 4


def test_a_file_that_is_open_with_the_usual_flags_is_loaded_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    FORMAT.write(_adata(), path)
    backed = anndata.read_h5ad(path, backed="r")
    try:
        assert FORMAT.load(path).shape == (4, 3)
        ours = FORMAT.open(path)
        assert FORMAT.describe(path).n_rows == FORMAT.var_table(path).num_rows + 1
        ours.file.close()
    finally:
        backed.file.close()
    with h5py.File(path):
        assert FORMAT.load(path).shape == (4, 3)


def test_a_file_locked_by_another_process_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    FORMAT.write(_adata(), path)
    held = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert FORMAT.describe(path).n_rows == 4
        other.communicate()


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_an_anndata_without_a_matrix_is_as_good_as_any(tmp_path: Path, suffix: str) -> None:
    adata = anndata.AnnData(obs=pd.DataFrame({"kind": ["T", "B"]}, index=["c0", "c1"]), var=pd.DataFrame(index=["g0"]))
    fmt: Any = format_for(adata, suffix=suffix)
    fmt.write(adata, tmp_path / f"x{suffix}")
    described = fmt.describe(tmp_path / f"x{suffix}")
    assert (described.shape, "X" in described.slots) == ((2, 1), False)
    assert fmt.load(tmp_path / f"x{suffix}").X is None
    with fmt.open(tmp_path / f"x{suffix}") as opened:
        assert opened.shape == (2, 1)
    assert fmt.obs_table(tmp_path / f"x{suffix}")["kind"].to_pylist() == ["T", "B"]


def test_an_address_in_the_file_does_not_hide_that_data_lie_in_another(tmp_path):
    """HDF5 follows the list of other files whatever address the layout states."""
    secret, path = tmp_path / "secret.bin", tmp_path / "x.h5"
    secret.write_bytes(b"s" * 64)
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_dataset("a", (64,), "u1", external=[(str(secret), 0, 64)])
    data = path.read_bytes()
    nowhere = b"\xff" * 8 + (64).to_bytes(8, "little")  # address and size of the layout
    assert data.count(nowhere) == 1
    path.write_bytes(data.replace(nowhere, (8).to_bytes(8, "little") + nowhere[8:]))
    with h5py.File(path) as file:
        assert file["a"].id.get_offset() is not None
        assert bytes(file["a"][:4]) == b"ssss"  # what must not be read
    with pytest.raises(InvalidFile, match="another file"), checked(path, "hdf5"):
        pass
