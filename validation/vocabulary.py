"""Vocabularies: terms, their synonyms and other fields, as the columns that values are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse.errors import Duplicate, InputError, UnknownField, did_you_mean, shown
from validation.columns import Values, polars_series, values_of
from validation.folding import Step, folded
from validation.inspection import Inspection
from validation.standardize import Keep, Unsettled, check_keep, resolve, standardized, unresolved

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Vocabulary"]

_NEAR = 75  # of 100, the least likeness of a suggestion
_LARGE = 500_000
"""Terms of a vocabulary above which no set of them is kept: that of a million takes 0.2 GB."""
_FEW = 8
"""How many terms there are for each value, at least, where values are compared one by one."""


class Vocabulary:
    """Terms that values may be, with synonyms and further fields of each.

    Parameters
    ----------
    terms
        The canonical values, as a list or column. Missing and empty ones are left out.
    synonyms
        Other names by term, or one list for each of ``terms``.
    fields
        Further columns by name, each with one value for every term, such as ontology ids.
    name
        What to call it in messages.
    field
        What to call the terms among the fields.
    plain
        Where other spellings of terms have something added, such as the version of an id: a regular expression for
        these, whose first group is the rest.

    Examples
    --------
    >>> cells = Vocabulary(["T cell", "B cell"], synonyms={"T cell": ["T lymphocyte"]})
    >>> cells.validate(["T cell", "t cell", "neuron"])
    [True, False, False]
    >>> cells.standardize(["T CELL", "T lymphocyte", "neuron", None])
    ['T cell', 'T cell', 'neuron', None]
    >>> cells.inspect(["T cell", "neurons"]).non_validated
    ['neurons']
    """

    def __init__(
        self,
        terms: Any,
        *,
        synonyms: Mapping[str, Iterable[str]] | Sequence[Iterable[str] | None] | None = None,
        fields: Mapping[str, Any] | None = None,
        name: str = "vocabulary",
        field: str = "name",
        plain: str | None = None,
    ) -> None:
        import polars as pl

        self.name, self.field, self._plain = name, field, plain
        columns = {field: _texts(terms, f"{name}.{field}")}
        for other, values in (fields or {}).items():
            columns[other] = polars_series(values)
            if len(columns[other]) != len(columns[field]):
                raise InputError(
                    f"field {shown(other)} of {name} has {len(columns[other]):,} values for "
                    f"{len(columns[field]):,} terms: give one for each"
                )
        self._fields = pl.DataFrame(columns)
        self._synonyms = _synonyms(columns[field], synonyms, name)
        self._tables: dict[tuple[str, str, str], pl.DataFrame] = {}
        self._sets: dict[str, frozenset[str]] = {}
        self._beside: tuple[Vocabulary, Vocabulary] | None = None
        self._layers: tuple[Vocabulary, Vocabulary] | None = None

    def __repr__(self) -> str:
        return f"<Vocabulary {self.name}: {len(self):,} terms, {len(self._synonyms):,} synonyms>"

    def __len__(self) -> int:
        return self._fields.height

    @property
    def fields(self) -> list[str]:
        """The names of its columns."""
        return list(self._fields.columns)

    def values(self, field: str | None = None) -> pl.Series:
        """Return the distinct values of a field."""
        return self._values(self.checked_field(field))

    def _values(self, field: str) -> pl.Series:
        return self.table("exact", field, field)["key"]

    def checked_field(self, field: str | None) -> str:
        """Return the name of a field, or say which there are."""
        if field is None:
            return self.field
        if field not in self._fields.columns:
            raise UnknownField(f"{self.name} has no field {shown(field)}{did_you_mean(str(field), self.fields)}")
        return field

    # What it answers

    def validate(self, values: Any, *, field: str | None = None) -> Any:
        """Return which values are terms: exact, case-sensitive, in input order and in the container that came in.

        Parameters
        ----------
        values
            A list, array, Series, Index or Arrow array. Missing and empty values, and those that are no text, are
            not valid.
        field
            The field that they are compared with; the terms, where none is given.
        """
        column = values_of(values)
        return column.mask(column.spread(self._flags(column, self.checked_field(field))))

    def _flags(self, column: Values, field: str) -> pl.Series:
        """Return which of a column's values, or categories, are terms."""
        found = self.unsettled(column, field)
        lent = self._lent(found, field)
        return found.settled | column.text.is_in(lent.implode()).fill_null(value=False) if len(lent) else found.settled

    def unsettled(self, column: Values, field: str) -> Unsettled:
        """Return the values of a column that are no terms of its own, which is kept with the column."""
        own = self._layers[0] if self._layers is not None and field == self.field else self
        if (own, field) not in column.kept:
            column.kept[own, field] = Unsettled(column.text, own.valid(column.text, field=field))
        found: Unsettled = column.kept[own, field]
        return found

    def _lent(self, found: Unsettled, field: str) -> pl.Series:
        """Return the distinct values that are terms that stand beside its own."""
        if self._layers is None or field != self.field:
            return found.settled.clear().cast(found.text.dtype)
        return found.distinct.filter(self._layers[1].valid(found.distinct, field=field))

    def unknown(self, column: Values, field: str) -> pl.Series:
        """Return the distinct values of a column that are no terms, in no order; missing and empty ones aside."""
        found = self.unsettled(column, field)
        lent = self._lent(found, field)
        return found.distinct.filter(~found.distinct.is_in(lent.implode())) if len(lent) else found.distinct

    def valid(self, text: pl.Series, *, field: str | None = None) -> pl.Series:
        """Return which values of a Polars column of text are terms; null is not."""
        import polars as pl

        field = self.checked_field(field)
        if len(text) * _FEW < len(self) and len(self) <= _LARGE:  # Polars would hash every term first
            if self._layers is not None and field == self.field:  # the sets of both are there, that of all may not be
                own, more = self._layers
                flags = own.valid(text, field=field)
                return flags if flags.all() else flags | more.valid(text, field=field)
            spellings = self.spellings(field)
            return pl.Series(text.name, [value in spellings for value in text.to_list()], dtype=pl.Boolean)
        return text.is_in(self._values(field).implode()).fill_null(value=False)

    def spellings(self, field: str) -> frozenset[str]:
        """Return the distinct values of a field as a set, which is kept: what values of Python are compared with."""
        known = self._sets.get(field)
        if known is None:
            known = self._sets[field] = frozenset(self._values(field).to_list())
        return known

    def inspect(self, values: Any, *, field: str | None = None) -> Inspection:
        """Return what is and is not valid among values, why, and what to do next.

        Parameters
        ----------
        values
            As for :meth:`validate`.
        field
            As for :meth:`validate`.
        """
        column = values_of(values)
        field = self.checked_field(field)
        return Inspection.of(self, column, self._flags(column, field), field)

    def standardize(
        self,
        values: Any,
        *,
        field: str | None = None,
        return_field: str | None = None,
        return_mapper: bool = False,
        keep: Keep = None,
    ) -> Any:
        """Return values with canonical ones in place of other spellings: exact, then case-insensitive, then synonym.

        Length, order and container type stay; categoricals stay categorical. What is unknown, ambiguous or missing
        passes through unchanged, and the ``lakehouse`` logger lists what is ambiguous. Nothing is written.

        Parameters
        ----------
        values
            As for :meth:`validate`.
        field
            The field that they are spelled in; the terms, where none is given.
        return_field
            The field to return instead, such as ``ontology_id``.
        return_mapper
            Return a dict from each value that changes to what it becomes instead.
        keep
            What to do with a value that several terms answer to: None leaves it, ``first`` and ``last`` take the
            first or last term in the order of the vocabulary, False puts the list of all in its place (in lists and
            object arrays).
        """
        asked = (self.checked_field(field), self.checked_field(return_field or field), check_keep(keep))
        return standardized(self, values_of(values), *asked, mapper=return_mapper)

    def map_synonyms(
        self, values: Any, *, field: str | None = None, return_mapper: bool = False, keep: Keep = None
    ) -> Any:
        """Return values with terms in place of synonyms; unlike :meth:`standardize`, no other spelling is mended.

        Parameters
        ----------
        values
            As for :meth:`validate`.
        field
            As for :meth:`standardize`.
        return_mapper
            As for :meth:`standardize`.
        keep
            As for :meth:`standardize`.
        """
        name = self.checked_field(field)
        steps: tuple[Step, ...] = ("synonym", "synonym_case")
        return standardized(self, values_of(values), name, name, check_keep(keep), mapper=return_mapper, steps=steps)

    def unresolved(self, values: Any) -> pl.Series:
        """Return the distinct values that no spelling of a term is like, in no order; missing and empty ones aside.

        Examples
        --------
        >>> Vocabulary(["a"]).unresolved(["A", "b", "", None]).to_list()
        ['b']
        """
        rest = self.unknown(values_of(values), self.field)
        found = resolve(self, rest, self.field, self.field).found["value"] if len(rest) else rest
        return rest.filter(~rest.is_in(found.implode()))

    def suggest(self, value: str, *, field: str | None = None, limit: int = 3) -> list[str]:
        """Return terms that come near to a value, the nearest first.

        Examples
        --------
        >>> Vocabulary(["T cell", "B cell", "neuron"]).suggest("nueron")
        ['neuron']
        """
        from rapidfuzz import fuzz, process, utils

        names, keys = self._processed(self.checked_field(field))
        wanted = utils.default_process(value[:200])
        hits = process.extract(wanted, keys, scorer=fuzz.ratio, limit=limit, score_cutoff=_NEAR)
        return list(dict.fromkeys(names[hit[2]] for hit in hits))

    def _processed(self, field: str) -> tuple[list[str], list[str]]:
        from rapidfuzz import utils

        names = self._values(field).to_list()
        if field not in self._keys:
            self._keys[field] = [utils.default_process(name) for name in names]
        return names, self._keys[field]

    @cached_property
    def _keys(self) -> dict[str, list[str]]:
        return {}

    def add_synonym(self, term: str, synonym: str, *, force: bool = False) -> Vocabulary:
        """Return the vocabulary with one more synonym.

        Parameters
        ----------
        term
            The term that gets it.
        synonym
            The other name.
        force
            Whether it may be a name or synonym of another term, too, and thereby ambiguous.

        Raises
        ------
        Duplicate
            When another term has that name or synonym.

        Examples
        --------
        >>> cells = Vocabulary(["T cell"]).add_synonym("T cell", "T lymphocyte")
        >>> cells.map_synonyms(["t lymphocyte"])
        ['T cell']
        """
        if term not in self._values(self.field):
            raise InputError(f"{self.name} has no term {shown(term)}{did_you_mean(term, self.suggest(term))}")
        self.check_synonym(term, synonym, force=force)
        mine: dict[str, list[str]] = {}
        for at, other in self._synonyms.iter_rows():
            mine.setdefault(self._fields[self.field][at], []).append(other)
        mine.setdefault(term, []).append(synonym)
        fields = {name: self._fields[name] for name in self.fields if name != self.field}
        return Vocabulary(self._fields[self.field], synonyms=mine, fields=fields, **self._named())

    def _named(self) -> dict[str, Any]:
        return {"name": self.name, "field": self.field, "plain": self._plain}

    def beside(self, other: Vocabulary) -> Vocabulary:
        """Return the vocabulary with the terms of another one after its own; both have the same fields.

        What this vocabulary answers to in any spelling, it answers as before: the other is for what it does not know.

        Examples
        --------
        >>> ours = Vocabulary(["a"], synonyms={"a": ["x"]})
        >>> both = ours.beside(Vocabulary(["b", "x"], synonyms={"b": ["c", "A"]}))
        >>> both.standardize(["A", "c", "X"])
        ['a', 'b', 'a']
        """
        import polars as pl

        if self._beside is not None and self._beside[0] is other:
            return self._beside[1]
        made = Vocabulary([], fields={name: [] for name in self.fields[1:]}, **self._named())
        mine = folded(pl.concat([self._fields[self.field], self._synonyms["synonym"]]).drop_nulls().unique()).implode()
        theirs = other._fields.select(self.fields)
        names = theirs[self.field]
        # under a name that is here, too, a term of the other adds its synonyms to it
        equal = names.is_in(self._values(self.field).implode()).fill_null(value=False)
        kept = equal | ~folded(names).is_in(mine).fill_null(value=False)
        place = (kept.cum_sum().cast(pl.Int64) + len(self) - 1).alias("place")
        made._fields = pl.concat([self._fields, theirs.filter(kept)], rechunk=True)
        moved = other._synonyms.filter(
            kept.gather(other._synonyms["at"]) & ~folded(other._synonyms["synonym"]).is_in(mine)
        )
        moved = moved.with_columns(at=place.gather(moved["at"]))
        made._synonyms = pl.concat([self._synonyms, moved], rechunk=True)
        more = Vocabulary([], fields={name: [] for name in self.fields[1:]}, **self._named())
        more._fields = theirs.filter(kept & ~equal)
        made._layers = self, more
        self._beside = other, made
        return made

    @property
    def is_extended(self) -> bool:
        """Whether another vocabulary was set beside it already, which then costs nothing."""
        return self._beside is not None

    def borrowed(self, values: Any) -> int:
        """Return how many distinct values are terms that stand beside its own; see :meth:`beside`.

        Examples
        --------
        >>> Vocabulary(["a"]).beside(Vocabulary(["b", "c"])).borrowed(["a", "b", "b", "x", None])
        1
        """
        if self._layers is None:
            return 0
        return len(self._lent(self.unsettled(values_of(values), self.field), self.field))

    def check_synonym(self, term: str, synonym: object, *, force: bool = False) -> None:
        """Refuse a synonym that is empty, or that another term has already, unless forced."""
        if not isinstance(synonym, str) or not synonym.strip():
            raise InputError(f"synonym {shown(synonym)} of {shown(term)}: text with a visible character is accepted")
        taken = [name for name in unresolved(self, synonym, self.field) if name != term]
        if taken and not force:
            raise Duplicate(
                f"synonym {shown(synonym)} is a name or synonym of {shown(taken[0])} in {self.name} already: "
                "choose another, or pass force=True and accept that it is ambiguous"
            ).final()

    # How values are looked up

    def keys(self, step: Step, values: pl.Series) -> pl.Series:
        """Return values as a step compares them."""
        if step not in ("case", "synonym_case"):
            return values
        return folded(values if self._plain is None else values.str.replace(self._plain, "${1}"))

    def table(self, step: Step, field: str, output: str) -> pl.DataFrame:
        """Return for each spelling (``key``) of a step what it stands for: ``first``, ``last``, and ``n`` distinct ones."""
        known = self._tables.get((step, field, output))
        if known is None:
            known = self._tables[step, field, output] = self._grouped(step, field, output)
        return known

    def _grouped(self, step: Step, field: str, output: str) -> pl.DataFrame:
        import polars as pl

        pairs = self._pairs(step, field, output).filter(pl.col("key") != "", pl.col("out") != "")
        pairs = pairs.with_columns(key=self.keys(step, pairs["key"]))
        if not pairs["key"].is_duplicated().any():
            return pairs.select("key", first="out", last="out", n=pl.lit(1, pl.UInt32))
        distinct = pairs.unique(maintain_order=True)
        out = pl.col("out")
        return distinct.group_by("key", maintain_order=True).agg(first=out.first(), last=out.last(), n=out.len())

    def _pairs(self, step: Step, field: str, output: str) -> pl.DataFrame:
        import polars as pl

        if step in ("exact", "case"):
            return pl.DataFrame({"key": self._fields[field], "out": self._fields[output]})
        if field != self.field:  # synonyms are other names, not other ids
            return pl.DataFrame(schema={"key": pl.String, "out": pl.String})
        at = self._synonyms["at"]
        return pl.DataFrame({"key": self._synonyms["synonym"], "out": self._fields[output].gather(at)})

    def all_of(self, step: Step, field: str, output: str, keys: Sequence[str]) -> dict[str, list[str]]:
        """Return everything that each of a few spellings stands for."""
        import polars as pl

        pairs = self._pairs(step, field, output)
        pairs = pairs.with_columns(key=self.keys(step, pairs["key"]))
        found = pairs.filter(pl.col("key").is_in(list(keys)), pl.col("out") != "").unique(maintain_order=True)
        grouped: dict[str, list[str]] = {}
        for key, out in found.iter_rows():
            grouped.setdefault(key, []).append(out)
        return grouped


def _texts(given: Any, what: str) -> pl.Series:
    column = values_of(given)
    if column.other:
        position, value = next(iter(column.other.items()))
        raise InputError(f"{what} holds {shown(value)} at position {position}: terms are text")
    return polars_series(given)


def _synonyms(terms: pl.Series, given: Any, name: str) -> pl.DataFrame:
    """Return synonyms, each with the position of its term."""
    import polars as pl

    empty = pl.DataFrame(schema={"at": pl.Int64, "synonym": pl.String})
    if given is None or not len(given):
        return empty
    if isinstance(given, Mapping):
        given = _by_position(terms, given, name)
    column = pl.Series(given, dtype=pl.List(pl.String)) if not isinstance(given, pl.Series) else given
    if len(column) != len(terms):
        raise InputError(f"{name} has {len(terms):,} terms and {len(column):,} lists of synonyms: give one for each")
    frame = pl.DataFrame({"at": pl.Series(range(len(terms)), dtype=pl.Int64), "synonym": column})
    return frame.explode("synonym").filter(pl.col("synonym").fill_null("") != "")


def _by_position(terms: pl.Series, given: Mapping[str, Iterable[str]], name: str) -> list[list[str]]:
    listed: list[list[str]] = [[] for _ in terms]
    at: dict[str, list[int]] = {}
    for i, term in enumerate(terms.to_list()):
        at.setdefault(term, []).append(i)
    for term, others in given.items():
        if term not in at:
            raise InputError(f"synonyms are given for {shown(term)}, which is no term of {name}")
        if isinstance(others, str):
            raise InputError(f"synonyms of {shown(term)} = {shown(others)}: a list of names is accepted")
        for i in at[term]:
            listed[i] = list(others)
    return listed
