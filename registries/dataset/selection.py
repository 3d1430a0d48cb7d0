"""Observations out of many AnnData members, found by a condition before any X is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from formats.cells import FORMATS, Cells, open_cells
from formats.registry import by_name
from lakehouse.errors import InputError, UnknownField, Unsupported, did_you_mean, shown
from registries.dataset.annotations import annotated, columns_of
from registries.dataset.arrays import Array, common, empty_arrays
from registries.dataset.filtering import rows_meeting
from registries.dataset.observations import framed, refuse_twice, together
from registries.whereabouts import readable

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.dataset.record import Dataset

__all__ = ["Member", "Selection", "check_join", "members_with_cells"]

_BATCH = 4_096


@dataclass(frozen=True)
class Member:
    """A member with cells, and what its labels and values say of all of them."""

    artifact: Artifact
    path: Path
    same: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What messages call it."""
        return str(self.artifact.key or self.artifact.uid)

    def cells(self) -> Cells:
        """Open it."""
        return open_cells(self.artifact.format, self.path)

    def obs(self, columns: Collection[str] | None = None) -> pa.Table:
        """Return its observations, their names first; of columns those named in lower case, all where none are given."""
        cells = self.cells()
        try:
            return cells.obs(columns)
        finally:
            cells.close()

    def frame(self, table: pa.Table) -> Any:
        """Return rows of its obs or var as pandas with names as the index."""
        found = framed(table)
        found = found.set_index(found.columns[0])
        found.index = found.index.astype(str)
        found.index.name = None
        return found


def check_join(join: object) -> str:
    """Return how variables are joined, or say what is accepted."""
    if join not in ("inner", "outer"):
        raise InputError(f"join = {shown(join)}: 'inner' or 'outer' is accepted")
    return str(join)


def check_count(size: object) -> bool:
    """Return whether it is a number from 1 on."""
    return isinstance(size, int) and size >= 1


def members_with_cells(dataset: Dataset) -> list[Member]:
    """Return the members of a dataset, all of which must hold cells.

    Raises
    ------
    Unsupported
        When one of them does not.
    """
    artifacts = dataset.ordered()
    for one in artifacts:
        if one.format not in FORMATS:
            raise Unsupported(
                f"dataset {shown(dataset.name)} has {one.key or one.uid} among its members, which is {one.format}: "
                f"observations are read from {', '.join(FORMATS)}; tables are read with load() and open()"
            )
    home = dataset.home_of()
    found = annotated(home.snapshot(), [one.uid for one in artifacts])
    return [Member(one, readable(one, by_name(one.format)), columns_of(found, one.uid)) for one in artifacts]


class Selection:
    """What ``dataset.query(...)`` returns: nothing of X is read before :meth:`to_anndata` or :meth:`batches`.

    Parameters
    ----------
    dataset
        The dataset.
    obs
        A condition in SQL on columns of obs, ``artifact_uid``, labels and values.
    var
        Names of the variables that are wanted.
    join
        How variables of members are joined.
    """

    def __init__(
        self, dataset: Dataset, *, obs: str | None = None, var: Iterable[str] | None = None, join: str = "outer"
    ) -> None:
        if isinstance(var, str):
            raise InputError(f"var = {shown(var)}: a list of names is accepted")
        self._dataset, self._obs, self._join = dataset, obs, check_join(join)
        self._var = None if var is None else list(dict.fromkeys(str(name) for name in var))
        self._members = members_with_cells(dataset)
        if obs is not None:
            self._rows  # noqa: B018  a condition that is none is told at once

    def __repr__(self) -> str:
        condition = "" if self._obs is None else f" where {self._obs}"
        return f"<Selection of {self._dataset.name}, version {self._dataset.version}{condition}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: files are closed after each reading."""

    @cached_property
    def _rows(self) -> list[np.ndarray[Any, Any]]:
        if self._obs is None:
            return [np.arange(self._count(one)) for one in self._members]
        readers = [one.obs for one in self._members]
        return rows_meeting(self._obs, readers, [one.same for one in self._members])

    def _count(self, one: Member) -> int:
        return one.artifact.n_rows if one.artifact.n_rows is not None else len(one.obs(()))

    @property
    def n_obs(self) -> int:
        """The number of observations."""
        return sum(map(len, self._rows))

    @property
    def shape(self) -> tuple[int, int]:
        """Observations and variables."""
        return self.n_obs, len(self.var_names)

    @cached_property
    def var_names(self) -> list[str]:
        """The names of the variables: of all members, or those that are in each of them."""
        known = self._known
        if self._var is not None:
            return [name for name in self._var if name in known]
        return known

    @cached_property
    def _known(self) -> list[str]:
        each = [by_name(one.artifact.format).describe(one.path).var_names or [] for one in self._members]
        for one, names in zip(self._members, each, strict=True):
            refuse_twice(names, one.title)
        every = dict.fromkeys(name for names in each for name in names)
        if self._var is not None and (missing := [name for name in self._var if name not in every]):
            raise UnknownField(f"no member measures {shown(missing[0])}{did_you_mean(missing[0], every)}")
        if self._join == "inner":
            shared = set(every).intersection(*map(set, each))
            return [name for name in every if name in shared]
        return list(every)

    @cached_property
    def arrays(self) -> list[Array]:
        """The arrays that the members have together; nothing of them is read."""
        wanted, has_gaps, found = set(self.var_names), False, []
        for one, _ in self._met():
            cells = one.cells()
            try:
                found.append(empty_arrays(cells))
                has_gaps = has_gaps or not wanted <= set(one.frame(cells.var()).index)
            finally:
                cells.close()
        return common(found, join=self._join, has_gaps=has_gaps)

    @property
    def var(self) -> Any:
        """The variables as a pandas DataFrame; each value is that of the first member that has one."""
        import pandas as pd

        found = pd.DataFrame(index=pd.Index(self.var_names, dtype=object))
        for one, _ in self._met():
            cells = one.cells()
            try:
                frame = one.frame(cells.var())
            finally:
                cells.close()
            frame = frame[~frame.index.duplicated()].reindex(found.index)
            for name in frame.columns:
                column = frame[name].astype(object) if frame[name].dtype == "category" else frame[name]
                found[name] = column if name not in found.columns else found[name].combine_first(column)
        return found

    @property
    def obs(self) -> Any:
        """The observations as a pandas DataFrame, with ``artifact_uid``, labels and values."""
        return together([self._frame(one, rows) for one, rows in self._met()], join=self._join)

    def _met(self) -> list[tuple[Member, np.ndarray[Any, Any]]]:
        return [(one, rows) for one, rows in zip(self._members, self._rows, strict=True) if len(rows)]

    def _frame(self, one: Member, rows: np.ndarray[Any, Any]) -> Any:
        return _annotated(one.frame(one.obs().take(pa.array(rows))), one.same)

    # Reading X

    def to_anndata(self) -> Any:
        """Return the observations in memory as one AnnData, with layers and obsm that all members have.

        Names of observations that occur in several members get the uid of their artifact behind them. Frames in obsm,
        obsp, raw and uns are left out.

        Raises
        ------
        InputError
            When some members have no X and others do, or one has a variable twice.
        """
        import anndata

        self._check_joined()
        pieces = list(self._pieces(None))
        if not pieces:
            return anndata.AnnData(shape=(0, len(self.var_names)))
        found = joined(pieces, self._join)
        if self._var is None:
            return found
        return found[:, [name for name in self._var if name in found.var_names]].copy()

    to_memory = to_anndata

    def _check_joined(self) -> None:
        """Raise for what cannot be joined, before any X is read."""
        lacking: list[str] = []
        having: list[str] = []
        for one, _ in self._met():
            cells = one.cells()
            try:
                (having if "X" in cells.arrays() else lacking).append(one.title)
            finally:
                cells.close()
        if lacking and having:
            raise InputError(
                f"{shown(lacking[0])} has no X, and {shown(having[0])} has one: to_zarr() writes both, with NaN or 0"
            )
        if len(lacking) + len(having) > 1:
            self._known  # noqa: B018  variables that come twice are told

    def batches(self, size: int = _BATCH) -> Iterator[Any]:
        """Yield the observations as AnnData of at most ``size`` each, member by member; memory stays bounded.

        Variables are those of the member; :meth:`to_anndata` joins them.
        """
        if not check_count(size):
            raise InputError(f"size = {shown(size)}: a number of observations from 1 on is accepted")
        yield from self._pieces(size)

    def _pieces(self, size: int | None) -> Iterator[Any]:
        home, wanted = self._dataset.home_of(), None if self._var is None else set(self.var_names)
        for one, rows in self._met():
            home.note_read(one.artifact)
            cells = one.cells()
            try:
                obs, var = one.obs(), one.frame(cells.var())
                for start in range(0, len(rows), size or len(rows)):
                    part = rows[start : start + (size or len(rows))]
                    frame = _annotated(one.frame(obs.take(pa.array(part))), one.same)
                    yield _anndata(cells, part, frame, var, wanted)
            finally:
                cells.close()


def _annotated(frame: Any, same: Mapping[str, Any]) -> Any:
    for name, value in same.items():
        if name not in frame.columns:
            frame[name] = [value] * len(frame)
    return frame


def _anndata(cells: Cells, rows: np.ndarray[Any, Any], obs: Any, var: Any, wanted: Collection[str] | None) -> Any:
    import anndata

    arrays = {name: cells.take(name, rows) for name in cells.arrays()}
    columns = None if wanted is None else np.flatnonzero(var.index.isin(list(wanted)))
    if columns is not None:
        var = var.iloc[columns]
        arrays = {name: a if name.startswith("obsm/") else a[:, columns] for name, a in arrays.items()}
    parts: dict[str, dict[str, Any]] = {"layers": {}, "obsm": {}}
    for name, array in arrays.items():
        slot, _, last = name.partition("/")
        if last:
            parts[slot][last] = array
    return anndata.AnnData(X=arrays.get("X"), obs=obs, var=var, layers=parts["layers"], obsm=parts["obsm"])


def joined(pieces: Sequence[Any], join: str) -> Any:
    """Return AnnData as one, as anndata joins them; names of observations that come twice get their artifact's uid."""
    import anndata
    import pandas as pd

    obs, start = together([piece.obs for piece in pieces], join=join), 0
    for piece in pieces:  # pandas would guess the types of columns that are empty in some of them
        piece.obs = pd.DataFrame(index=obs.index[start : start + piece.n_obs])
        start += piece.n_obs
    found = anndata.concat(pieces, join="inner" if join == "inner" else "outer", merge="first")
    found.obs = obs
    return found
