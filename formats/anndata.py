"""AnnData in HDF5 (``.h5ad``), from anndata 0.5 to today's.

``load`` returns an ``AnnData`` in memory, ``open`` one whose ``X`` stays in the file (close it with
``adata.file.close()``). ``describe`` reads the structure with h5py and never a matrix.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa

from formats.annotated import anndata_shape, anndata_slots
from formats.axes import axis_names, axis_table
from formats.base import Description, Format, new_file, reading
from formats.convert import convert
from formats.hdf5 import checked, opened_checked, refuse_declared
from formats.lazyanndata import STAYS, lazy_anndata
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.opened import closing
from formats.remotepath import is_remote_path
from lakehouse.errors import UnknownFormat, Unsupported

__all__ = ["H5adFormat", "known_warnings", "unchanged"]

_STAYS_IN_FILE = ("X", "raw/X", "raw.X")


class H5adFormat(Format):
    """Annotated matrices in HDF5."""

    name: ClassVar[str] = "h5ad"
    kind: ClassVar[str] = "AnnData"
    suffixes: ClassVar[tuple[str, ...]] = (".h5ad",)
    types: ClassVar[tuple[str, ...]] = ("anndata.AnnData",)

    def write(self, obj: object, path: Path) -> None:
        """Write an AnnData, which stays as it was: texts become categories in the file only."""
        self.check_accepts(obj)
        adata: Any = obj
        adata = adata.copy() if adata.is_view and not adata.isbacked else adata
        with new_file(path), unchanged(adata), known_warnings():
            try:
                adata.write_h5ad(path)
            except (OSError, MemoryError, Warning):
                raise
            except Exception as error:  # anndata's writers have no error in common
                raise UnknownFormat(f"this AnnData cannot be stored as .h5ad: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return an ``AnnData`` in memory."""
        return self._read(path, backed=None)

    def open(self, path: Path) -> Any:
        """Return an ``AnnData`` whose ``X`` stays in the file; in a bucket, all of its arrays."""
        return self._open_remote(path) if is_remote_path(path) else self._read(path, backed="r")

    def _open_remote(self, path: Path) -> Any:
        with reading(path, self.name), known_warnings():
            file, top = opened_checked(path)
            try:
                anndata_shape(top)
                if top.get("obs").is_array:  # type: ignore[union-attr]
                    raise Unsupported(f"{path} has the layout of anndata 0.5, which is read whole: call its load()")
                refuse_oversize(path, top.declared_bytes(skip=STAYS), hint="it holds too much besides its arrays")
                return closing(lazy_anndata(file), file.close)
            except BaseException:
                file.close()
                raise

    @contextmanager
    def edit(self, path: Path) -> Iterator[Any]:
        """Yield an ``AnnData`` whose ``X`` is changed in the file; the rest is written at the end."""
        with checked(path, self.name):
            pass  # so that a link never leads what is written out of the file
        import anndata

        with known_warnings():
            adata = anndata.read_h5ad(path, backed="r+")
            try:
                yield adata
                adata.write_h5ad()
            finally:
                adata.file.close()

    def reads_remote(self, path: Path) -> bool:
        """Say yes: the chunks that are asked for."""
        return True

    def _read(self, path: Path, *, backed: Literal["r"] | None) -> Any:
        with checked(path, self.name) as (_, top):
            anndata_shape(top)
            hint = "it holds too much besides X" if backed else "open() reads X piecewise"
            refuse_oversize(path, top.declared_bytes(skip=_STAYS_IN_FILE if backed else ()), hint=hint)
            import anndata

            with known_warnings():  # while the file is still open, so that HDF5 need not look at all of it again
                found = anndata.read_h5ad(path, backed=backed)
        return closing(found, found.file.close) if backed else found

    def load_as(self, path: Path, form: str) -> Any:
        """Return X with the names of its axes as ``pandas``, ``polars`` or ``arrow``, or alone as ``numpy``."""
        return convert(self.load(path), form, path)

    def describe(self, path: Path) -> Description:
        """Read names, types and shapes."""
        with checked(path, self.name) as (_, top):
            return self._describe(top, path)

    def _describe(self, top: Node, path: Path) -> Description:
        shape = anndata_shape(top)
        return Description(
            self.name,
            self.kind,
            shape[0],
            shape,
            slots=anndata_slots(top),
            read_names=lambda axis: self._names(path, axis),
        )

    def _names(self, path: Path, axis: str) -> list[str]:
        with checked(path, self.name) as (file, top), known_warnings():
            refuse_declared(top.get(axis), path)
            return axis_names(file[axis])

    def obs_table(self, path: Path, *, columns: Collection[str] | None = None) -> pa.Table:
        """Return the observations for SQL; the index is the first column, ``obs_id`` unless it has a name."""
        return self._axis_table(path, "obs", columns)

    def var_table(self, path: Path, *, columns: Collection[str] | None = None) -> pa.Table:
        """Return the variables for SQL; the index is the first column, ``var_id`` unless it has a name."""
        return self._axis_table(path, "var", columns)

    def _axis_table(self, path: Path, axis: str, columns: Collection[str] | None) -> pa.Table:
        with checked(path, self.name) as (file, top), known_warnings():
            self._describe(top, path)
            refuse_declared(top.get(axis), path)
            return axis_table(file[axis], file.get("uns"), f"{axis}_id", columns)


@contextmanager
def known_warnings() -> Iterator[None]:
    """Silence what anndata says of every element of an old file, and of nothing else."""
    from anndata import OldFormatWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldFormatWarning)
        warnings.filterwarnings("ignore", r"Moving element from \.uns\[", FutureWarning)
        yield


@contextmanager
def unchanged(adata: Any) -> Iterator[None]:
    """Put text columns back that anndata turns into categories in the caller's own object while it writes."""
    frames = [adata.obs, adata.var, *([adata.raw.var] if adata.raw is not None else [])]
    before = [frame.copy(deep=False) for frame in frames]
    try:
        yield
    finally:
        for frame, old in zip(frames, before, strict=True):
            for name in old.columns[old.dtypes.ne(frame.dtypes)]:
                frame[name] = old[name]
