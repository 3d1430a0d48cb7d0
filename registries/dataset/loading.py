"""All members of a dataset in memory, or near by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from formats.convert import check_form
from formats.frames import pandas_ready
from formats.registry import by_name
from lakehouse.errors import InputError, Unsupported, shown
from lakehouse.types import Progress
from registries.dataset.annotations import annotated, columns_of
from registries.dataset.filtering import unified
from registries.dataset.selection import Selection, check_join

if TYPE_CHECKING:
    from registries.dataset.record import Dataset

__all__ = ["load", "stage"]


def load(dataset: Dataset, *, join: str, as_: str | None, labels: bool) -> Any:
    """Return all members as one; see ``Dataset.load``."""
    check_join(join)
    if dataset.kind != "dataframe":
        if as_ is not None:
            raise InputError(f"{dataset.name} has members of kind {dataset.kind}, which have no form {shown(as_)}")
        found = Selection(dataset, join=join).to_anndata()
        return found if labels else _without_labels(dataset, found)
    table = _table(dataset, join, labels=labels)
    form = check_form(as_ or "pandas")
    if form == "arrow":
        return table
    if form == "polars":
        import polars as pl

        return pl.from_arrow(table)
    if form == "pandas":
        return pandas_ready(table).to_pandas()
    raise Unsupported(f"a dataset of tables has no form {shown(form)}: load it as 'pandas', 'polars' or 'arrow'")


def _table(dataset: Dataset, join: str, *, labels: bool) -> pa.Table:
    artifacts = dataset.ordered()
    home = dataset.home_of()
    found = annotated(home.snapshot(), [one.uid for one in artifacts]) if labels else {}
    parts = []
    for one in artifacts:
        table = by_name(one.format).load_as(one.path, "arrow")
        home.note_read(one)
        for name, value in columns_of(found, one.uid, table.column_names).items():
            if name not in table.column_names:
                table = table.append_column(name, pa.array([value] * len(table)))
        parts.append(table)
    if join == "inner":
        shared = set(parts[0].column_names).intersection(*(part.column_names for part in parts))
        parts = [part.select([name for name in part.column_names if name in shared]) for part in parts]
    return unified(parts)


def _without_labels(dataset: Dataset, found: Any) -> Any:
    names = annotated(dataset.home_of().snapshot(), [one.uid for one in dataset.ordered()])
    found.obs = found.obs.drop(columns=[name for name in names if name in found.obs.columns])
    return found


def stage(dataset: Dataset, progress: Progress | None) -> list[Path]:
    """Return where the bytes of each member lie in the local file system."""
    artifacts, found = dataset.ordered(), []
    for done, one in enumerate(artifacts, start=1):
        found.append(one.stage())
        if progress is not None:
            progress(done, len(artifacts))
    return found
