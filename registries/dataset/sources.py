"""The files that observations of a training loop come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from formats.cells import FORMATS, open_cells
from formats.registry import by_name
from lakehouse.errors import UnknownField, Unsupported, did_you_mean, shown
from registries.dataset.annotations import annotated, columns_of
from registries.dataset.observations import refuse_twice
from registries.dataset.rowgroups import RowGroups
from registries.whereabouts import staged

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.dataset.record import Dataset

__all__ = ["Source", "sources_of", "variables"]


@dataclass(frozen=True)
class Source:
    """One file; without its artifact it can be pickled."""

    format: str
    path: Path
    n_rows: int
    same: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    found: Artifact | None = None

    @property
    def artifact(self) -> Artifact:
        """The artifact, before :meth:`bare` left it out."""
        assert self.found is not None
        return self.found

    def bare(self) -> Source:
        """Return it as a worker needs it."""
        return replace(self, found=None, same={})

    def opened(self) -> Any:
        """Open it: what is returned has ``read``, ``take`` and ``close``."""
        return RowGroups(self.path) if self.format == "parquet" else open_cells(self.format, self.path)

    def obs(self, columns: Collection[str] | None) -> pa.Table:
        """Return columns of obs, or of a table, that are named in lower case, all where none are given."""
        file = self.opened()
        try:
            found: pa.Table = file.obs(columns)
            return found
        finally:
            file.close()

    def text_columns(self) -> tuple[str, ...]:
        """Return the columns of a table that hold no numbers, of those that are wanted."""
        schema = RowGroups(self.path).schema
        return tuple(name for name in self.columns if not _is_number(schema.field(name).type))

    def names(self) -> list[str]:
        """Return the names of the variables."""
        return by_name(self.format).describe(self.path).var_names or []


def sources_of(dataset: Dataset, *, columns: Sequence[str] | None) -> list[Source]:
    """Return the files of a dataset; remote ones are copied to the cache first.

    Raises
    ------
    Unsupported
        When members are neither single-cell files nor Parquet.
    UnknownField
        When a member that is a table has no such column.
    """
    artifacts = dataset.ordered()
    tables = dataset.kind == "dataframe"
    accepted = ("parquet",) if tables else FORMATS
    for one in artifacts:
        if one.format not in accepted:
            raise Unsupported(
                f"{one.key or one.uid} is {one.format}: observations of dataset {shown(dataset.name)} are read from "
                f"{', '.join(('parquet', *FORMATS))}, and not from tables and arrays at once"
            )
    home = dataset.home_of()
    found = annotated(home.snapshot(), [one.uid for one in artifacts])
    paths = [staged(one) for one in artifacts]
    titles = [str(one.key or one.uid) for one in artifacts]
    names = _columns(paths, titles, columns) if tables else ()
    made = []
    for one, path in zip(artifacts, paths, strict=True):
        rows = one.n_rows if one.n_rows is not None else by_name(one.format).describe(path).n_rows
        assert rows is not None
        made.append(Source(one.format, path, rows, columns_of(found, one.uid), names, one))
    return made


def _columns(paths: Sequence[Path], titles: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns that are wanted, of each table; those that all have, where none are named."""
    each = [pq.read_schema(path).names for path in paths]
    for title, known in zip(titles, each, strict=True):
        for name in wanted or ():
            if name not in known:
                raise UnknownField(f"{title} has no column {shown(name)}{did_you_mean(name, known)}")
    shared = set(each[0]).intersection(*map(set, each))
    return tuple(name for name in (each[0] if wanted is None else wanted) if name in shared)


def variables(
    sources: Sequence[Source], join: str, wanted: Sequence[str] | None
) -> tuple[list[str], list[np.ndarray[Any, Any] | None]]:
    """Return the joined variables, and for each file the places of its own among them; None where they are the same.

    Raises
    ------
    UnknownField
        When no file has a variable that is wanted, or with ``inner`` none that all have.
    """
    each = [one.names() for one in sources]
    for one, own in zip(sources, each, strict=True):
        refuse_twice(own, str(one.artifact.key or one.artifact.uid))
    every = dict.fromkeys(name for names in each for name in names)
    shared = set(every).intersection(*map(set, each))
    if wanted is not None:
        if missing := [name for name in wanted if name not in every]:
            raise UnknownField(f"no member measures {shown(missing[0])}{did_you_mean(missing[0], every)}")
        names = list(dict.fromkeys(wanted))
    else:
        names = [name for name in every if join == "outer" or name in shared]
    if not names and every:
        raise UnknownField("members have no variable in common: pass join='outer', or the names of some in var=")
    place = {name: number for number, name in enumerate(names)}
    maps = [np.array([place.get(name, -1) for name in own], dtype=np.int32) for own in each]
    return names, [None if own == names else found for own, found in zip(each, maps, strict=True)]


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )
