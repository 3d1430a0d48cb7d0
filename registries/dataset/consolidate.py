"""A dataset as one store: zarr, TileDB-SOMA or Delta, written member by member."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from formats.anndata import known_warnings
from formats.tiledbcontext import soma_context
from formats.zarrstore import quiet
from lakehouse.errors import InputError, Unsupported, shown
from lakehouse.optional import require
from lakehouse.types import Progress
from registries.dataset.arrays import Array
from registries.dataset.observations import together
from registries.dataset.scanning import open_tables
from registries.dataset.selection import Selection

if TYPE_CHECKING:
    from registries.dataset.record import Dataset

__all__ = ["to_delta", "to_tiledbsoma", "to_zarr"]

_ROWS = 20_000
"""Observations, or a tenth of the rows of tables, that are in memory at a time."""


def to_zarr(dataset: Dataset, path: str | Path, *, join: str, progress: Progress | None) -> Path:
    """Write the observations of all members to a new zarr store; see ``Dataset.to_zarr``."""
    selection = Selection(dataset, join=join)
    with _new(path) as target, known_warnings(), quiet():
        import zarr
        from anndata.io import write_elem

        top = zarr.open_group(str(target), mode="w", zarr_format=2)
        top.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for name in ("uns", "varm", "obsp", "varp", "layers", "obsm"):
            write_elem(top, name, {})
        frames = []
        var = selection.var
        for piece in _pieces(selection, var, progress):
            frames.append(piece.obs)
            _grow(top, piece)
        write_elem(top, "obs", together(frames, join=join))
        write_elem(top, "var", var)
    return target


def to_tiledbsoma(dataset: Dataset, path: str | Path, *, join: str, progress: Progress | None) -> Path:
    """Write the observations of all members to a new SOMA experiment; see ``Dataset.to_tiledbsoma``."""
    require("tiledbsoma", "tiledbsoma")
    selection = Selection(dataset, join=join)
    with _new(path) as target, known_warnings():
        _written_soma(selection, target, progress)
    return target


def _written_soma(selection: Selection, target: Path, progress: Progress | None) -> None:
    import anndata
    import tiledbsoma.io

    uri, context = str(target.absolute()), soma_context(target)
    obs, var = selection.obs, selection.var
    axes = anndata.AnnData(obs=obs, var=var)
    plan = tiledbsoma.io.register_anndatas(
        None, [axes], measurement_name="RNA", obs_field_name="obs_id", var_field_name="var_id"
    )
    first, done = True, 0
    for piece in _pieces(selection, var, progress):
        piece.obs = obs.iloc[done : done + piece.n_obs].copy()
        done += piece.n_obs
        if not first:
            plan.prepare_experiment(uri, context=context)
        tiledbsoma.io.from_anndata(uri, piece, "RNA", registration_mapping=plan, context=context)
        first = False


def to_delta(dataset: Dataset, path: str | Path, *, progress: Progress | None) -> Path:
    """Write the rows of all tables to a new Delta table; see ``Dataset.to_delta``."""
    if dataset.kind != "dataframe":
        raise Unsupported(f"dataset {shown(dataset.name)} has members of kind {dataset.kind}: to_zarr() writes them")
    with _new(path) as target:
        from deltalake import write_deltalake

        rows = open_tables(dataset, as_="arrow")
        total = rows.count_rows()

        def batches() -> Iterator[pa.RecordBatch]:
            done = 0
            for batch in rows.to_batches(batch_size=_ROWS * 10):
                yield batch
                done += batch.num_rows
                if progress is not None:
                    progress(done, total)

        write_deltalake(str(target), pa.RecordBatchReader.from_batches(rows.schema, batches()))
    return target


@contextmanager
def _new(path: str | Path) -> Iterator[Path]:
    """Give the path of a folder that is to be made; what was begun is removed if it fails."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        raise InputError(f"{shown(str(target))} is there already: name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield target
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _pieces(selection: Selection, var: Any, progress: Progress | None) -> Iterator[Any]:
    """Yield the observations a piece at a time, all with the joined variables and the same arrays of the same types."""
    arrays, total, done = selection.arrays, selection.n_obs, 0
    place = {name: number for number, name in enumerate(var.index)}
    for piece in selection.batches(_ROWS):
        yield _fitted(piece, arrays, var, place)
        done += piece.n_obs
        if progress is not None:
            progress(done, total)


def _fitted(piece: Any, arrays: Sequence[Array], var: Any, place: Mapping[str, int]) -> Any:
    import anndata

    places = np.array([place.get(name, -1) for name in piece.var_names], dtype=np.int64)
    same = len(places) == len(var) and bool((places == np.arange(len(var))).all())
    made = {one.name: one.of(piece, None if same else places, len(var)) for one in arrays}
    slots: dict[str, dict[str, Any]] = {"layers": {}, "obsm": {}}
    for name, value in made.items():
        slot, _, last = name.partition("/")
        if last:
            slots[slot][last] = value
    return anndata.AnnData(X=made.get("X"), obs=piece.obs, var=var, layers=slots["layers"], obsm=slots["obsm"])


def _grow(top: Any, piece: Any) -> None:
    """Put the arrays of a piece below those that are there already."""
    from anndata.io import sparse_dataset, write_elem

    arrays = {"X": piece.X} | {f"layers/{n}": v for n, v in piece.layers.items()}
    arrays |= {f"obsm/{n}": v for n, v in piece.obsm.items()}
    for name, value in arrays.items():
        if value is None:
            continue
        there: Any = top.get(name)
        if there is None:
            write_elem(top, name, value)
        elif hasattr(there, "append"):
            there.append(value)
        else:
            stored: Any = sparse_dataset(there)
            stored.append(value)
