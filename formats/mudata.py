"""MuData: several AnnData over shared observations, in HDF5 (``.h5mu``) and in zarr.

``load`` returns a ``MuData`` in memory, ``open`` one whose matrices stay in the file (HDF5 only; zarr is read whole).
Needs the extra ``mudata`` for both; ``describe`` and SQL do without. In SQL ``obs."key"`` is the table of all
observations, and ``obs."key/rna"`` that of a modality.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from formats.anndata import known_warnings
from formats.anndatazarr import top_of
from formats.annotated import axis_length, is_mudata, modalities, mudata_slots
from formats.axes import axis_names, axis_table
from formats.base import Description, Format, new_path, reading
from formats.hdf5 import checked, refuse_declared
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.opened import closing
from formats.zarrmeta import is_store
from formats.zarrstore import open_store, quiet
from lakehouse.errors import InvalidFile, LakehouseError, UnknownFormat, did_you_mean, shown
from lakehouse.optional import require

__all__ = ["H5muFormat", "MuDataZarrFormat"]


class _MuData(Format):
    kind: ClassVar[str] = "MuData"
    types: ClassVar[tuple[str, ...]] = ("mudata.MuData",)

    def write(self, obj: object, path: Path) -> None:
        """Write a MuData, which stays as it was."""
        self.check_accepts(obj)
        mdata: Any = obj
        with new_path(path), _known():
            try:
                self._write(mdata.copy(), path)  # its writers turn texts into categories in the object itself
            except (OSError, MemoryError, Warning, LakehouseError):
                raise
            except Exception as error:  # its writers have no error in common
                raise UnknownFormat(f"this MuData cannot be stored: {str(error)[:300]}") from error

    def _write(self, mdata: Any, path: Path) -> None:
        raise NotImplementedError

    def _described(self, top: Node, path: Path) -> Description:
        if not is_mudata(top):
            raise ValueError("it has no obs and mod, so it holds no MuData")
        obs, var = top.get("obs"), top.get("var")
        assert obs is not None
        shape = axis_length(obs), axis_length(var) if var is not None else 0
        names = list(modalities(top))
        return Description(
            self.name,
            self.kind,
            shape[0],
            shape,
            slots=mudata_slots(top),
            attributes={"modalities": ", ".join(names)},
            read_names=lambda axis: self._names(path, axis),
        )

    def _names(self, path: Path, axis: str) -> list[str]:
        raise NotImplementedError


class H5muFormat(_MuData):
    """MuData in HDF5; ``describe`` reads names, types and shapes, no array."""

    name: ClassVar[str] = "h5mu"
    suffixes: ClassVar[tuple[str, ...]] = (".h5mu",)

    def _write(self, mdata: Any, path: Path) -> None:
        mdata.write_h5mu(path)

    def load(self, path: Path) -> Any:
        """Return a ``MuData`` in memory."""
        return self._read(path, backed=False)

    def open(self, path: Path) -> Any:
        """Return a ``MuData`` whose matrices stay in the file."""
        found = self._read(path, backed=True)
        return closing(found, found.file.close)

    def _read(self, path: Path, *, backed: bool) -> Any:
        with checked(path, self.name) as (_, top):
            self._described(top, path)
            refuse_declared(top, path, skip=tuple(f"mod/{name}/X" for name in modalities(top)) if backed else ())
        mudata = require("mudata", "mudata")
        with reading(path, self.name), _known():
            return mudata.read_h5mu(path, backed=backed)

    def describe(self, path: Path) -> Description:
        """Read names, types and shapes."""
        with checked(path, self.name) as (_, top):
            return self._described(top, path)

    def obs_table(self, path: Path, *, part: str | None = None, columns: Collection[str] | None = None) -> Any:
        """Return the observations of all, or of a modality, for SQL."""
        return self._axis_table(path, "obs", part, columns)

    def var_table(self, path: Path, *, part: str | None = None, columns: Collection[str] | None = None) -> Any:
        """Return the variables of all, or of a modality, for SQL."""
        return self._axis_table(path, "var", part, columns)

    def _axis_table(self, path: Path, axis: str, part: str | None, columns: Collection[str] | None) -> Any:
        with checked(path, self.name) as (file, top), known_warnings():
            where = _where(top, part, path)
            refuse_declared(top.get(f"{where}{axis}"), path)
            return axis_table(file[f"{where}{axis}"], file.get(f"{where}uns"), f"{axis}_id", columns)

    def _names(self, path: Path, axis: str) -> list[str]:
        with checked(path, self.name) as (file, top), known_warnings():
            refuse_declared(top.get(axis), path)
            return axis_names(file[axis])


class MuDataZarrFormat(_MuData):
    """MuData in zarr; ``describe`` reads one JSON document per node, 16 MB at most each."""

    name: ClassVar[str] = "zarr-mudata"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr",)

    def recognizes(self, path: Path) -> bool:
        """Tell whether the store has ``obs`` and ``mod``."""
        return is_store(path) and is_mudata(top_of(path, self.name))

    def _write(self, mdata: Any, path: Path) -> None:
        mdata.write_zarr(path)

    def load(self, path: Path) -> Any:
        """Return a ``MuData`` in memory."""
        top = top_of(path, self.name)
        with reading(path, self.name):
            self._described(top, path)
        refuse_oversize(path, top.declared_bytes())
        mudata = require("mudata", "mudata")
        with reading(path, self.name), _known():
            return mudata.read_zarr(open_store(path, self.name).store)

    def open(self, path: Path) -> Any:
        """Return a ``MuData`` in memory: mudata has no lazy one over zarr."""
        return closing(self.load(path))

    def describe(self, path: Path) -> Description:
        """Read names, types, shapes, chunks and codecs."""
        top = top_of(path, self.name)
        with reading(path, self.name):
            return self._described(top, path)

    def obs_table(self, path: Path, *, part: str | None = None, columns: Collection[str] | None = None) -> Any:
        """Return the observations of all, or of a modality, for SQL."""
        return self._axis_table(path, "obs", part, columns)

    def var_table(self, path: Path, *, part: str | None = None, columns: Collection[str] | None = None) -> Any:
        """Return the variables of all, or of a modality, for SQL."""
        return self._axis_table(path, "var", part, columns)

    def _axis_table(self, path: Path, axis: str, part: str | None, columns: Collection[str] | None) -> Any:
        where = _where(top_of(path, self.name), part, path)
        with reading(path, self.name), known_warnings(), quiet():
            store = open_store(path, self.name)
            return axis_table(store[f"{where}{axis}"], store.get(f"{where}uns"), f"{axis}_id", columns)

    def _names(self, path: Path, axis: str) -> list[str]:
        with reading(path, self.name), known_warnings(), quiet():
            return axis_names(open_store(path, self.name)[axis])


def _where(top: Node, part: str | None, path: Path) -> str:
    """Return the path of a modality with a slash, or an empty text for all."""
    if part is None:
        return ""
    names = list(modalities(top))
    if part not in names:
        raise InvalidFile(f"{shown(str(path))} has no modality {shown(part)}{did_you_mean(part, names)}")
    return f"mod/{part}/"


@contextmanager
def _known() -> Iterator[None]:
    """Silence what mudata announces of its own future, and what it says of old files."""
    with known_warnings(), quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="mudata")
        warnings.filterwarnings("ignore", r"(?s).*(pull_on_update|join(ing)? (obs|var)|var_names|obs_names)")
        yield
