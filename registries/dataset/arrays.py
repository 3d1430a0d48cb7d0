"""The arrays that members have together: of which type, and what stands where a member has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lakehouse.errors import InputError, shown

__all__ = ["Array", "common", "empty_arrays"]


@dataclass(frozen=True)
class Array:
    """An array of all members together.

    Attributes
    ----------
    name
        ``X``, ``layers/NAME`` or ``obsm/NAME``.
    dtype
        A type that holds the values of every member.
    is_sparse
        Whether it is kept as CSR: where any member has it so.
    width
        Columns of an array of obsm; None where there is one for each variable.
    """

    name: str
    dtype: np.dtype[Any]
    is_sparse: bool
    width: int | None

    def of(self, piece: Any, places: np.ndarray[Any, Any] | None, variables: int) -> Any:
        """Return its rows out of an AnnData, in the columns of all variables.

        Parameters
        ----------
        piece
            The AnnData.
        places
            Where each variable of the piece stands among all, -1 for nowhere; None where they are the same.
        variables
            How many there are in all.
        """
        slot, _, last = self.name.partition("/")
        value = getattr(piece, slot).get(last) if last else piece.X
        columns = variables if self.width is None else self.width
        if value is None:
            return self._blank(piece.n_obs, columns)
        if self.width is None and places is not None:
            value = self._placed(value, places, columns)
        return self._kept(value)

    def _blank(self, rows: int, columns: int) -> Any:
        """Return rows without values: zeros that are not stored, or NaN, as ``load()`` has them."""
        from scipy.sparse import csr_matrix

        if self.is_sparse:
            return csr_matrix((rows, columns), dtype=self.dtype)
        return np.full((rows, columns), np.nan, self.dtype)

    def _placed(self, value: Any, places: np.ndarray[Any, Any], columns: int) -> Any:
        from scipy.sparse import coo_matrix, csr_matrix

        if self.is_sparse:
            found: Any = coo_matrix(value)
            kept = places[found.col] >= 0
            at = found.row[kept], places[found.col[kept]]
            return csr_matrix((found.data[kept], at), shape=(found.shape[0], columns))
        made = self._blank(len(value), columns) if (places < 0).any() or len(places) < columns else None
        made = np.empty((len(value), columns), self.dtype) if made is None else made
        made[:, places[places >= 0]] = np.asarray(value)[:, places >= 0]
        return made

    def _kept(self, value: Any) -> Any:
        from scipy.sparse import csr_matrix

        if self.is_sparse:
            return csr_matrix(value, dtype=self.dtype)
        return np.asarray(value).astype(self.dtype, copy=False)


def empty_arrays(cells: Any) -> dict[str, Any]:
    """Return each array of an open file without its rows: its type is known, nothing of it is read."""
    return {name: cells.read(name, 0, 0) for name in cells.arrays()}


def common(members: Sequence[Mapping[str, Any]], *, join: str, has_gaps: bool) -> list[Array]:
    """Return the arrays of members together: those of any, or with ``inner`` those that all have.

    Parameters
    ----------
    members
        Of each the arrays by name, without rows.
    join
        ``inner`` or ``outer``.
    has_gaps
        Whether some member lacks some of the variables.

    Raises
    ------
    InputError
        When an array of obsm has another number of columns in one member than in another.
    """
    names = dict.fromkeys(name for member in members for name in member)
    found = []
    for name in names:
        each = [member[name] for member in members if name in member]
        if join == "inner" and len(each) < len(members):
            continue
        is_sparse = any(hasattr(one, "indptr") for one in each)
        dtype = np.result_type(*(one.dtype for one in each))
        is_obsm = name.startswith("obsm/")
        lacking = len(each) < len(members) or (has_gaps and not is_obsm)
        if lacking and not is_sparse and dtype.kind in "biu":
            dtype = np.result_type(dtype, np.float32)  # which can say that there is no value
        found.append(Array(name, dtype, is_sparse, _width(name, each) if is_obsm else None))
    return found


def _width(name: str, each: Sequence[Any]) -> int:
    widths = sorted({int(one.shape[1]) if len(one.shape) > 1 else 1 for one in each})
    if len(widths) > 1:
        raise InputError(
            f"{shown(name)} has {widths[0]} columns in one member and {widths[-1]} in another: they do not go together"
        )
    return widths[0]
