"""What 10x Genomics' Cell Ranger writes: ``.h5`` files of versions 2 and 3, and folders with ``matrix.mtx``.

``load`` returns an ``AnnData`` with cells as observations and identifiers of genes or features as variables (names
that are unique in the file, as symbols are not). Written elsewhere, read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import h5py
import pyarrow as pa

from formats.base import ColumnInfo, Description, Format, reading
from formats.convert import convert
from formats.hdf5 import checked, refuse_declared
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.opened import closing
from formats.packed import open_unpacked
from lakehouse.errors import InvalidFile, UnknownFormat, shown

__all__ = ["MtxFormat", "TenxFormat"]

_MATRIX = ("data", "indices", "indptr", "shape", "barcodes")
_MOST_HEADER = 1 << 20
_FEATURES = ("features.tsv", "genes.tsv")
_BYTES_PER_ENTRY = 24
"""What an entry of a sparse matrix takes while it is read: a value and two indices."""


class _Tenx(Format):
    kind: ClassVar[str] = "AnnData"

    def write(self, obj: object, path: Path) -> None:
        """Refuse: Cell Ranger writes these."""
        self.check_accepts(obj)
        raise UnknownFormat(f"{self.name} is read and not written: save {shown(obj)} as .h5ad")

    def load_as(self, path: Path, form: str) -> Any:
        """Return X with the names of its axes as ``pandas``, ``polars`` or ``arrow``, or alone as ``numpy``."""
        return convert(self.load(path), form, path)

    def open(self, path: Path) -> Any:
        """Return the ``AnnData`` in memory: the layout has no use for lazy reading."""
        return closing(self.load(path))

    def obs_table(self, path: Path) -> pa.Table:
        """Return the barcodes for SQL."""
        raise NotImplementedError

    def var_table(self, path: Path) -> pa.Table:
        """Return the features for SQL."""
        raise NotImplementedError

    def _names(self, path: Path, axis: str) -> list[str]:
        table = self.obs_table(path) if axis == "obs" else self.var_table(path)
        return [str(name) for name in table.column(0).to_pylist()]


class TenxFormat(_Tenx):
    """10x ``.h5``; ``describe`` reads headers of datasets and the shape, a few kilobytes."""

    name: ClassVar[str] = "10x-h5"
    suffixes: ClassVar[tuple[str, ...]] = (".h5",)

    def recognizes(self, path: Path) -> bool:
        """Tell whether a group of the file holds a matrix as Cell Ranger writes it."""
        if not h5py.is_hdf5(path):
            return False
        try:
            with checked(path, self.name) as (_, top):
                return any(_is_matrix(group) for group in top)
        except InvalidFile:  # whoever reads it next says what is wrong
            return False

    def load(self, path: Path) -> Any:
        """Return an ``AnnData`` in memory."""
        import anndata
        from scipy.sparse import csr_matrix

        with checked(path, self.name) as (file, top):
            refuse_declared(top, path)
            group: Any = file[_matrix(top).path]
            n_vars, n_obs = (int(length) for length in group["shape"][()])
            # a column per cell in CSC is a row per cell in CSR
            matrix = csr_matrix((group["data"][()], group["indices"][()], group["indptr"][()]), (n_obs, n_vars))
            matrix.check_format(full_check=True)
        obs, var = (table.to_pandas().set_index(table.column_names[0]) for table in self._tables(path))
        return anndata.AnnData(matrix, obs, var)

    def describe(self, path: Path) -> Description:
        """Read names, types and shapes."""
        with checked(path, self.name) as (file, top):
            found = _matrix(top)
            group: Any = file[found.path]
            n_vars, n_obs = (int(length) for length in group["shape"][()])
            data = found.get("data")
            assert data is not None
            matrix = ColumnInfo("X", f"{data.dtype} csr {(n_obs, n_vars)}", data.storage)
            var = tuple(ColumnInfo(name, "string") for name in _feature_names(found)[1:])
        slots = {"X": (matrix,), "var": var}
        return Description(
            self.name,
            self.kind,
            n_obs,
            (n_obs, n_vars),
            slots={name: parts for name, parts in slots.items() if parts},
            attributes={"group": found.path},
            read_names=lambda axis: self._names(path, axis),
        )

    def obs_table(self, path: Path) -> pa.Table:
        """Return the barcodes for SQL, as ``obs_id``."""
        return self._tables(path)[0]

    def var_table(self, path: Path) -> pa.Table:
        """Return the features for SQL; the identifier is the first column, ``var_id``."""
        return self._tables(path)[1]

    def _tables(self, path: Path) -> tuple[pa.Table, pa.Table]:
        with checked(path, self.name) as (file, top):
            found = _matrix(top)
            group: Any = file[found.path]
            refuse_declared(found, path)
            columns = {name: _texts(group[where]) for name, where in _features(found).items()}
            return pa.table({"obs_id": _texts(group["barcodes"])}), pa.table(columns)


class MtxFormat(_Tenx):
    """Folders with ``matrix.mtx``, barcodes and features, each plain or gzipped.

    ``describe`` reads the matrix's header, 1 MB at most, and 1 MB of the features.
    """

    name: ClassVar[str] = "mtx"
    suffixes: ClassVar[tuple[str, ...]] = ()

    def recognizes(self, path: Path) -> bool:
        """Tell whether the folder has a ``matrix.mtx``."""
        return path.is_dir() and _part(path, "matrix.mtx") is not None

    def load(self, path: Path) -> Any:
        """Return an ``AnnData`` in memory."""
        import anndata
        from scipy.io import mmread

        with reading(path, self.name):
            n_vars, n_obs, entries, _ = _header(path)
            refuse_oversize(path, entries * _BYTES_PER_ENTRY + 8 * (n_vars + n_obs))
            with _unpacked(_needed(path, "matrix.mtx")) as file:
                read: Any = mmread(file)
            matrix = read.T.tocsr()
            obs, var = (
                t.to_pandas().set_index(t.column_names[0]) for t in (self.obs_table(path), self.var_table(path))
            )
            return anndata.AnnData(matrix, obs, var)

    def describe(self, path: Path) -> Description:
        """Read the matrix's header and the first features."""
        with reading(path, self.name):
            n_vars, n_obs, entries, dtype = _header(path)
            with _unpacked(_needed(path, *_FEATURES)) as file:
                fields = file.readline(_MOST_HEADER).rstrip(b"\r\n").count(b"\t") + 1
        var = tuple(ColumnInfo(name, "string") for name in _columns(fields)[1:])
        slots = {"X": (ColumnInfo("X", f"{dtype} coordinates {(n_obs, n_vars)}"),), "var": var}
        return Description(
            self.name,
            self.kind,
            n_obs,
            (n_obs, n_vars),
            slots={name: parts for name, parts in slots.items() if parts},
            attributes={"stored_values": entries},
            read_names=lambda axis: self._names(path, axis),
        )

    def obs_table(self, path: Path) -> pa.Table:
        """Return the barcodes for SQL, as ``obs_id``."""
        with reading(path, self.name):
            return _tsv(_needed(path, "barcodes.tsv"), ["obs_id"])

    def var_table(self, path: Path) -> pa.Table:
        """Return the features for SQL; the identifier is the first column, ``var_id``."""
        with reading(path, self.name):
            return _tsv(_needed(path, *_FEATURES), None)


def _is_matrix(group: Node) -> bool:
    return all(group.get(name) is not None for name in _MATRIX) and bool(_features(group))


def _matrix(top: Node) -> Node:
    found = [group for group in top if _is_matrix(group)]
    if not found:
        raise ValueError("it holds no matrix as Cell Ranger writes it")
    if len(found) > 1:
        names = ", ".join(group.name for group in found)
        raise InvalidFile(f"it holds a matrix for each of {names}: split it, or keep it with format='hdf5'")
    return found[0]


def _features(group: Node) -> dict[str, str]:
    """Return where the columns of the features lie, the identifier first."""
    if group.get("features/id") is not None:
        known = {"var_id": "id", "name": "name", "feature_type": "feature_type", "genome": "genome"}
        return {name: f"features/{at}" for name, at in known.items() if group.get(f"features/{at}") is not None}
    if group.get("genes") is not None:
        return {"var_id": "genes"} | ({"name": "gene_names"} if group.get("gene_names") is not None else {})
    return {}


def _feature_names(group: Node) -> list[str]:
    return list(_features(group))


def _texts(dataset: Any) -> pa.Array:
    values = dataset[()].tolist()
    return pa.array([v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values], pa.string())


def _part(folder: Path, *names: str) -> Path | None:
    return next((folder / f"{n}{s}" for n in names for s in ("", ".gz") if (folder / f"{n}{s}").is_file()), None)


def _needed(folder: Path, *names: str) -> Path:
    found = _part(folder, *names)
    if found is None:
        raise ValueError(f"it has no {' or '.join(names)}, plain or with .gz")
    return found


def _unpacked(path: Path) -> BinaryIO:
    return open_unpacked(path, path.suffix)


def _header(folder: Path) -> tuple[int, int, int, str]:
    """Return features, cells, stored values and type as the matrix's first lines state them."""
    with _unpacked(_needed(folder, "matrix.mtx")) as file:
        first = file.readline(_MOST_HEADER).decode("ascii", "replace").split()
        if len(first) < 5 or first[0] != "%%MatrixMarket" or first[2] != "coordinate":
            raise ValueError("matrix.mtx is no sparse matrix in Matrix Market form")
        line, read = b"%", 0
        while line.startswith(b"%") and read < _MOST_HEADER:
            line = file.readline(_MOST_HEADER)
            read += len(line)
    rows, columns, entries = (int(number) for number in line.split())
    if min(rows, columns, entries) < 0:
        raise ValueError(f"matrix.mtx claims {rows} x {columns} with {entries} values")
    return rows, columns, entries, {"integer": "int64", "real": "float64"}.get(first[3], first[3])


def _columns(fields: int) -> list[str]:
    known = ["var_id", "name", "feature_type"]
    return [*known[:fields], *(f"column{number}" for number in range(3, fields))]


def _tsv(path: Path, names: list[str] | None) -> pa.Table:
    """Read a table without a first row of names; quotes and empty fields mean nothing here."""
    import pyarrow.csv as pc

    with _unpacked(path) as file:
        parse = pc.ParseOptions(delimiter="\t", quote_char=False)
        if names is None:
            with _unpacked(path) as again:
                names = _columns(again.readline(_MOST_HEADER).rstrip(b"\r\n").count(b"\t") + 1)
        kinds = dict.fromkeys(names, pa.string())
        return pc.read_csv(file, pc.ReadOptions(column_names=names), parse, pc.ConvertOptions(column_types=kinds))
