"""AnnData in zarr, version 2 or 3: folders, or zip files called ``.zarr.zip``.

``load`` returns an ``AnnData`` in memory. ``open`` returns one whose ``X``, layers and other arrays stay in the store:
a subset such as ``adata[:100, ["CD8A"]].to_memory()`` reads the chunks that it touches; ``obs``, ``var`` and ``uns``
are in memory.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from formats.anndata import known_warnings, unchanged
from formats.annotated import anndata_shape, anndata_slots, is_anndata
from formats.axes import axis_names, axis_table
from formats.base import Description, Format, new_path, reading
from formats.convert import convert
from formats.lazyanndata import STAYS, lazy_anndata
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.opened import closing
from formats.zarrmeta import is_store, read_nodes
from formats.zarrstore import edited_store, open_store, quiet
from lakehouse.errors import LakehouseError, UnknownFormat

__all__ = ["AnnDataZarrFormat"]


class AnnDataZarrFormat(Format):
    """Annotated matrices in zarr.

    ``describe`` reads metadata alone, as :class:`formats.zarr.ZarrFormat` does.
    """

    name: ClassVar[str] = "zarr-anndata"
    kind: ClassVar[str] = "AnnData"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr",)
    types: ClassVar[tuple[str, ...]] = ("anndata.AnnData",)

    def recognizes(self, path: Path) -> bool:
        """Tell whether the store has ``obs`` and ``var``, and no modalities."""
        return is_store(path) and is_anndata(top_of(path, self.name))

    def write(self, obj: object, path: Path) -> None:
        """Write an AnnData as version 2, which every version of anndata reads; the object stays as it was."""
        self.check_accepts(obj)
        adata: Any = obj
        adata = adata.copy() if adata.is_view and not adata.isbacked else adata
        with new_path(path), unchanged(adata), known_warnings(), quiet():
            try:
                adata.write_zarr(path)
            except (OSError, MemoryError, Warning, LakehouseError):
                raise
            except Exception as error:  # anndata's writers have no error in common
                raise UnknownFormat(f"this AnnData cannot be stored in zarr: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return an ``AnnData`` in memory."""
        top = self._checked(path)
        refuse_oversize(path, top.declared_bytes(), hint="open() reads X piecewise")
        import anndata

        with reading(path, self.name), known_warnings(), quiet():
            return anndata.io.read_zarr(open_store(path, self.name, top))

    def load_as(self, path: Path, form: str) -> Any:
        """Return X with the names of its axes as ``pandas``, ``polars`` or ``arrow``, or alone as ``numpy``."""
        return convert(self.load(path), form, path)

    def open(self, path: Path) -> Any:
        """Return an ``AnnData`` whose arrays stay in the store."""
        top = self._checked(path)
        refuse_oversize(path, top.declared_bytes(skip=STAYS), hint="it holds too much besides its arrays")
        with reading(path, self.name), known_warnings(), quiet():
            store = open_store(path, self.name, top)
            if top.get("obs").is_array:  # type: ignore[union-attr]  # anndata 0.5; its parts make sense only together
                return closing(self.load(path), store.store.close)
            return closing(lazy_anndata(store), store.store.close)

    def describe(self, path: Path) -> Description:
        """Read names, types, shapes, chunks and codecs."""
        top = top_of(path, self.name)
        with reading(path, self.name):
            shape = anndata_shape(top)
            slots = anndata_slots(top)
        return Description(
            self.name, self.kind, shape[0], shape, slots=slots, read_names=lambda axis: self._names(path, axis)
        )

    def edit(self, path: Path) -> AbstractContextManager[Any]:
        """Return what gives the ``zarr.Group`` for reading and writing, in anndata's layout; not of a zip file."""
        return edited_store(path, self.name)

    def reads_remote(self, path: Path) -> bool:
        """Say yes of a folder: the chunks that are asked for."""
        return path.is_dir()

    def obs_table(self, path: Path, *, columns: Collection[str] | None = None) -> Any:
        """Return the observations for SQL; the index is the first column, ``obs_id`` unless it has a name."""
        return self._axis_table(path, "obs", columns)

    def var_table(self, path: Path, *, columns: Collection[str] | None = None) -> Any:
        """Return the variables for SQL; the index is the first column, ``var_id`` unless it has a name."""
        return self._axis_table(path, "var", columns)

    def _axis_table(self, path: Path, axis: str, columns: Collection[str] | None) -> Any:
        self._refuse_axis(path, axis)
        with reading(path, self.name), known_warnings(), quiet():
            store = open_store(path, self.name)
            return axis_table(store[axis], store.get("uns"), f"{axis}_id", columns)

    def _names(self, path: Path, axis: str) -> list[str]:
        self._refuse_axis(path, axis)
        with reading(path, self.name), known_warnings(), quiet():
            return axis_names(open_store(path, self.name)[axis])

    def _refuse_axis(self, path: Path, axis: str) -> None:
        found = self._checked(path).get(axis)
        assert found is not None
        refuse_oversize(path, found.declared_bytes())

    def _checked(self, path: Path) -> Node:
        top = top_of(path, self.name)
        with reading(path, self.name):
            anndata_shape(top)
        return top


def top_of(path: Path, name: str) -> Node:
    """Return the structure of a store; a missing one is told as not found."""
    with reading(path, name):
        return read_nodes(path, name)
