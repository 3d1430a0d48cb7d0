"""Columns of values: what came in, as distinct text and codes, and the way back to the same container.

Categoricals and dictionaries are worked on by their categories and never expanded; values that are no text (numbers
among strings, None, NaN) are passed through as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakehouse.errors import InputError, shown

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Values", "polars_series", "values_of"]


@dataclass(frozen=True, eq=False)
class Values:
    """A column of values.

    Attributes
    ----------
    text
        Its values as text, or its categories; null where a value is missing or no text.
    codes
        For each value the position of its category, -1 for none; None where ``text`` holds the values themselves.
    other
        The values that are neither text nor missing, by position in ``text``.
    kept
        What was found out about the column, by what it was asked: each question goes over millions of values.
    rebuild
        Takes one new text for each of ``text``, returns the container that came in.
    mask
        Takes one boolean for each value, returns it in the container that came in.
    """

    text: pl.Series
    rebuild: Callable[[pl.Series], Any]
    mask: Callable[[pl.Series], Any]
    codes: np.ndarray[Any, Any] | None = None
    other: dict[int, Any] = field(default_factory=dict)
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.text) if self.codes is None else len(self.codes)

    def spread(self, flags: pl.Series) -> pl.Series:
        """Return one flag for each value, from one for each of ``text``."""
        import polars as pl

        if self.codes is None:
            return flags
        known = np.append(flags.to_numpy(), False)  # where the code is -1
        return pl.Series(known[self.codes])

    def counts(self) -> pl.Series:
        """Return how often each of ``text`` occurs."""
        import polars as pl

        if self.codes is None:
            return pl.Series(np.ones(len(self.text), dtype=np.int64))
        return pl.Series(np.bincount(self.codes[self.codes >= 0], minlength=len(self.text)))


def values_of(given: Any) -> Values:
    """Return the column that a list, array, Series, Index or Arrow array is; what is one already, as it is.

    Raises
    ------
    InputError
        When it is none of these, or has two dimensions.

    Examples
    --------
    >>> values = values_of(["a", None, 1])
    >>> values.text.to_list(), values.other
    (['a', None, None], {2: 1})
    """
    if isinstance(given, Values):
        return given
    kind = _library(given)
    if kind == "polars":
        return _of_polars(given)
    if kind == "pandas":
        return _of_pandas(given)
    if isinstance(given, pa.Array | pa.ChunkedArray):
        return _of_arrow(given)
    if isinstance(given, np.ndarray):
        return _of_numpy(given)
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__") or isinstance(given, dict):
        raise InputError(
            f"values = {shown(given)}: a list, array or Series of values is accepted, not a {_name(given)}"
        )
    return _of_sequence(given if isinstance(given, list | tuple) else list(given))


def polars_series(given: Any, name: str = "") -> pl.Series:
    """Return values as a Polars Series of text; those that are no text become null."""
    values = values_of(given)
    if values.codes is None:
        return values.text.alias(name)
    import polars as pl

    codes = pl.Series(values.codes)
    return values.text.gather(codes.set(codes < 0, None)).alias(name)


def _name(given: object) -> str:
    return type(given).__name__


def _library(given: object) -> str:
    if isinstance(given, list | tuple | str):
        return ""
    return type(given).__module__.partition(".")[0]


# Polars


def _of_polars(given: Any) -> Values:
    import polars as pl

    if not isinstance(given, pl.Series):
        raise InputError(f"values are a {_name(given)}: give one of its columns, as a Series")
    if isinstance(given.dtype, pl.Categorical | pl.Enum):
        return _of_polars_categories(given)
    name = given.name
    text, other = _polars_text(given)

    def rebuild(new: pl.Series) -> pl.Series:
        return given if other or new is text else new.alias(name)

    return Values(text, rebuild, lambda flags: flags.alias(name), other=other)


def _polars_text(given: pl.Series) -> tuple[pl.Series, dict[int, Any]]:
    import polars as pl

    if given.dtype == pl.String:
        return given, {}
    if given.dtype == pl.Null:
        return pl.Series([None] * len(given), dtype=pl.String), {}
    if given.dtype == pl.Object:
        return _split(given.to_list())
    if given.dtype.is_float():
        given = given.fill_nan(None)
    return pl.Series([None], dtype=pl.String).new_from_index(0, len(given)), _few(given)


def _few(given: pl.Series) -> dict[int, Any]:
    """Return the values of a column that holds no text."""
    return {i: value for i, value in enumerate(given.to_list()) if value is not None}


def _of_polars_categories(given: Any) -> Values:
    import polars as pl

    physical = given.to_physical()
    first = given.unique(maintain_order=True).drop_nulls()
    text = first.cast(pl.String)
    used = first.to_physical().to_numpy()
    place = np.full(int(used.max()) + 2 if len(used) else 1, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    codes = place[physical.cast(pl.Int64).fill_null(-1).to_numpy()]  # the last place is that of null

    def rebuild(new: pl.Series) -> pl.Series:
        if isinstance(given.dtype, pl.Enum):
            known = given.dtype.categories.to_list()
            dtype: Any = pl.Enum(list(dict.fromkeys([*known, *new.to_list()])))
        else:
            dtype = given.dtype
        at = pl.Series(codes)
        return new.cast(dtype).gather(at.set(at < 0, None)).alias(given.name)

    return Values(text, rebuild, lambda flags: flags.alias(given.name), codes)


# pandas


def _of_pandas(given: Any) -> Values:
    import pandas as pd

    if isinstance(given, pd.MultiIndex | pd.DataFrame):
        raise InputError(f"values are a {_name(given)}: give one of its levels or columns")
    if isinstance(given, pd.Index):
        inner = _of_pandas_array(given.array)
        return _wrapped(inner, lambda array: pd.Index(array, name=given.name), _as_numpy)
    if isinstance(given, pd.Series):

        def back(array: Any) -> Any:
            return pd.Series(array, index=given.index, name=given.name, copy=False)

        return _wrapped(_of_pandas_array(given.array), back, back)
    return _of_pandas_array(given)


def _as_numpy(flags: Any) -> Any:
    return np.asarray(flags)


def _wrapped(inner: Values, back: Callable[[Any], Any], mask: Callable[[Any], Any]) -> Values:
    return Values(
        inner.text, lambda new: back(inner.rebuild(new)), lambda m: mask(inner.mask(m)), inner.codes, inner.other
    )


def _of_pandas_array(array: Any) -> Values:
    import pandas as pd

    if isinstance(array, pd.Categorical):
        return _of_categorical(array)
    dtype = array.dtype
    if isinstance(dtype, pd.StringDtype):
        text = _arrow_text(pa.array(array, from_pandas=True))
        return Values(text, lambda new: pd.array(new.to_list(), dtype=dtype), lambda flags: flags.to_numpy())
    return _of_numpy(np.asarray(array, dtype=object) if dtype.kind == "O" else np.asarray(array))


def _of_categorical(array: Any) -> Values:
    import pandas as pd

    text, other = _split(list(array.categories))
    codes = np.asarray(array.codes).astype(np.int64)

    def rebuild(new: pl.Series) -> Any:
        names = _merged(new, other)
        found = list(dict.fromkeys(names))
        at = {name: i for i, name in enumerate(found)}
        moved = np.append(np.array([at[name] for name in names], dtype=np.int64), -1)
        return pd.Categorical.from_codes(moved[codes], categories=found, ordered=array.ordered)

    return Values(text, rebuild, lambda flags: flags.to_numpy(), codes, other)


def _merged(new: pl.Series, other: dict[int, Any]) -> list[Any]:
    names = new.to_list()
    for i, value in other.items():
        names[i] = value
    return names


# Arrow


def _of_arrow(given: Any) -> Values:
    if pa.types.is_dictionary(given.type):
        return _of_dictionary(given)
    if not (pa.types.is_string(given.type) or pa.types.is_large_string(given.type) or given.type == pa.string_view()):
        inner = _of_sequence(given.to_pylist())
        return Values(inner.text, lambda _: given, lambda m: _arrow_flags(given, m), other=inner.other)
    text = _arrow_text(given)
    return Values(text, lambda new: _like(given, new.to_arrow()), lambda m: _arrow_flags(given, m))


def _arrow_text(array: Any) -> pl.Series:
    import polars as pl

    made = pl.from_arrow(array.cast(pa.large_string()))
    assert isinstance(made, pl.Series)
    return made


def _like(given: Any, made: Any) -> Any:
    made = made.cast(given.type)
    return pa.chunked_array([made], given.type) if isinstance(given, pa.ChunkedArray) else made


def _arrow_flags(given: Any, flags: pl.Series) -> Any:
    made = flags.to_arrow().cast(pa.bool_())
    return pa.chunked_array([made]) if isinstance(given, pa.ChunkedArray) else made


def _of_dictionary(given: Any) -> Values:
    whole = given.unify_dictionaries().combine_chunks() if isinstance(given, pa.ChunkedArray) else given
    if isinstance(whole, pa.ChunkedArray):  # of no chunk at all
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], given.type)
    text, other = _split(whole.dictionary.to_pylist())
    codes = np.asarray(whole.indices.fill_null(-1) if whole.null_count else whole.indices).astype(np.int64)

    def rebuild(new: pl.Series) -> Any:
        names = _merged(new, other)
        found = list(dict.fromkeys(names))
        at = {name: i for i, name in enumerate(found)}
        moved = np.append(np.array([at[name] for name in names], dtype=np.int64), -1)[codes]
        indices = pa.array(moved, mask=moved < 0).cast(given.type.index_type)
        made = pa.DictionaryArray.from_arrays(
            indices, pa.array(found, given.type.value_type), ordered=given.type.ordered
        )
        return pa.chunked_array([made]) if isinstance(given, pa.ChunkedArray) else made

    return Values(text, rebuild, lambda m: _arrow_flags(given, m), codes, other)


# NumPy and Python


def _of_numpy(given: np.ndarray[Any, Any]) -> Values:
    if given.ndim != 1:
        raise InputError(f"values are an array of shape {given.shape}: one dimension is accepted")
    if given.dtype.kind in "OUT":
        inner = _of_sequence(given.tolist())

        def rebuild(new: pl.Series) -> Any:
            if given.dtype.kind != "O":
                return np.array(new.to_list(), dtype=given.dtype.kind if given.dtype.kind == "U" else given.dtype)
            return _objects(inner.rebuild(new))

        return Values(inner.text, rebuild, lambda flags: flags.to_numpy(), other=inner.other)
    inner = _of_sequence(given.tolist())
    return Values(inner.text, lambda _: given, lambda flags: flags.to_numpy(), other=inner.other)


def _objects(values: Sequence[Any]) -> Any:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _of_sequence(given: Sequence[Any]) -> Values:
    text, other = _split(given)
    kind = tuple if isinstance(given, tuple) else list

    def rebuild(new: pl.Series) -> Any:
        if new is text:
            return kind(given)
        made, changed = list(given), new != text
        # all others are given back as what they were: None, NaN, NA and NaT are each null here
        for place, value in zip(changed.arg_true().to_list(), new.filter(changed).to_list(), strict=True):
            made[place] = value
        return kind(made)

    return Values(text, rebuild, lambda flags: kind(flags.to_list()), other=other)


def _split(given: Sequence[Any]) -> tuple[pl.Series, dict[int, Any]]:
    """Return the text among values, and by position what is neither text nor missing."""
    import polars as pl

    try:
        return pl.Series(given, dtype=pl.String, strict=True), {}
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):  # not all of them are text
        text = [str.__str__(value) if isinstance(value, str) else None for value in given]
    other = {i: value for i, value in enumerate(given) if not isinstance(value, str) and not is_missing(value)}
    try:
        return pl.Series(text, dtype=pl.String), other
    except UnicodeEncodeError:
        raise InputError("a value holds half a surrogate pair, which is no text: remove it") from None


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, NA or NaT.

    Examples
    --------
    >>> is_missing(float("nan")), is_missing(""), is_missing([1])
    (True, False, False)
    """
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return type(value).__name__ in ("NAType", "NaTType")
