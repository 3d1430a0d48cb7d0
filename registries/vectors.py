"""What every registry with a name can do with a column of values: validate, inspect, standardize, map synonyms."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lakehouse.errors import InputError, Unsupported, shown
from registries.column import TEXTS
from registries.names import check_name
from registries.vocabulary import label_field, vocabulary_of
from validation import Inspection, Vocabulary
from validation.columns import values_of
from validation.standardize import Keep

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.meta import Meta
    from registries.record import Record

__all__ = ["Vectors"]

_log = logging.getLogger("lakehouse")


class Vectors:
    """The vector functions of a registry; values may be a list, NumPy, pandas, Polars or Arrow column.

    Nothing is written. Registries with a public source that is on this machine (an installed package, a file, an earlier
    download) know its terms, too, and the ``lakehouse`` logger says so; what records answer to goes first, and the
    network is not asked. The container type that came in goes out; categoricals are worked on by their categories.
    """

    if TYPE_CHECKING:
        meta: ClassVar[Meta]

        @classmethod
        def home(cls) -> Instance: ...  # noqa: D102
        def home_of(self) -> Instance: ...  # noqa: D102
        def save(self) -> Self: ...  # noqa: D102

    @classmethod
    def vocabulary(
        cls,
        *,
        field: str | None = None,
        fields: tuple[str, ...] = (),
        organism: str | Record | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Vocabulary:
        """Return what the records are called now, as a vocabulary that outlives changes.

        Parameters
        ----------
        field
            The column that values are spelled in; the one that records are known by, where none is given.
        fields
            Further columns, for ``return_field``.
        organism
            Of registries that tell organisms apart.
        where
            Look-ups that records have to meet, as for ``filter``.
        """
        registry: Any = cls
        return vocabulary_of(registry, cls.home(), field=field, fields=fields, organism=organism, where=where)

    @classmethod
    def at_hand(cls, organism: str | Record | None) -> Callable[[], Any] | None:
        """Return what reads the entries of a public source that is on this machine; None where there is none."""
        del organism
        return None

    @classmethod
    def vocabulary_for(
        cls, values: Any, field: str | None, fields: tuple[str, ...] = (), organism: str | Record | None = None
    ) -> Vocabulary:
        """Return the registry's vocabulary, with public terms beside it where values are of no spelling that it knows.

        Parameters
        ----------
        values
            What is to be looked up; public terms among it are told on the ``lakehouse`` logger.
        field, fields, organism
            As for :meth:`vocabulary`.
        """
        own = cls.vocabulary(field=field, fields=fields, organism=organism)
        read = cls.at_hand(organism)
        if read is None or not (own.is_extended or len(own.unresolved(values))):
            return own
        entries = read()
        both = own.beside(entries.vocabulary(field=field, fields=fields))
        if found := both.borrowed(values):
            _log.info(
                "%s: %s of %s not in the registry yet; %s.from_values(...).save() takes them over",
                cls.meta.name,
                "1 value is a term" if found == 1 else f"{found:,} values are terms",
                entries.source,
                cls.meta.name,
            )
        return both

    @classmethod
    def validate(cls, values: Any, field: str | None = None, *, organism: str | Record | None = None) -> Any:
        """Return which values are in the registry: exact and case-sensitive, in input order.

        Parameters
        ----------
        values
            A list, array, Series, Index or Arrow array.
        field
            The column that they are compared with, such as ``ontology_id``.
        organism
            Of registries that tell organisms apart.

        Raises
        ------
        InputError
            When an organism is needed and neither given nor inferable.
        """
        column = values_of(values)
        return cls.vocabulary_for(column, field, (), organism).validate(column)

    @classmethod
    def inspect(cls, values: Any, field: str | None = None, *, organism: str | Record | None = None) -> Inspection:
        """Return what is and is not in the registry, why, and what to do next.

        Parameters
        ----------
        values, field, organism
            As for :meth:`validate`.
        """
        column = values_of(values)
        return cls.vocabulary_for(column, field, (), organism).inspect(column)

    @classmethod
    def standardize(
        cls,
        values: Any,
        field: str | None = None,
        *,
        return_field: str | None = None,
        return_mapper: bool = False,
        keep: Keep = None,
        organism: str | Record | None = None,
    ) -> Any:
        """Return values with the names of records in place of other spellings.

        Exact, then case-insensitive, then synonym. What is unknown, ambiguous or missing passes unchanged.

        Parameters
        ----------
        values, field, organism
            As for :meth:`validate`.
        return_field
            The column to return instead, such as ``ontology_id``.
        return_mapper
            Return a dict from each value that changes to what it becomes instead.
        keep
            What to do with a value that several records answer to: None leaves it, ``first`` and ``last`` pick one,
            False lists all.
        """
        fields = () if return_field is None else (return_field,)
        column = values_of(values)
        both = cls.vocabulary_for(column, field, fields, organism)
        return both.standardize(column, return_field=return_field, return_mapper=return_mapper, keep=keep)

    @classmethod
    def map_synonyms(
        cls,
        values: Any,
        field: str | None = None,
        *,
        return_mapper: bool = False,
        keep: Keep = None,
        organism: str | Record | None = None,
    ) -> Any:
        """Return values with the names of records in place of synonyms; no other spelling is mended.

        Parameters
        ----------
        values, field, organism
            As for :meth:`validate`.
        return_mapper, keep
            As for :meth:`standardize`.
        """
        column = values_of(values)
        both = cls.vocabulary_for(column, field, (), organism)
        return both.map_synonyms(column, return_mapper=return_mapper, keep=keep)

    def add_synonym(self, synonym: str, *, force: bool = False) -> Self:
        """Add another name to the record, save it, and return it.

        Parameters
        ----------
        synonym
            The other name.
        force
            Whether it may be a name or synonym of another record, too, and thereby ambiguous.

        Raises
        ------
        Duplicate
            When another record has that name or synonym.
        Unsupported
            When the registry keeps no synonyms.
        """
        registry: Any = type(self)
        declared = self.meta.columns.get("synonyms")
        if declared is None:
            raise Unsupported(f"{self.meta.name} keeps no synonyms: registries with a column of that name do")
        if not isinstance(synonym, str):
            raise InputError(f"synonym {shown(synonym)} is a {type(synonym).__name__}: text is accepted")
        synonym, record = check_name(synonym, f"{self.meta.name}.synonyms"), _as_record(self)
        label = label_field(registry)
        organism = {"organism": record.value("organism")} if record.value("organism") else None
        known = vocabulary_of(registry, self.home_of(), where=organism)
        known.check_synonym(str(record.value(label)), synonym, force=force)
        held = record.value("synonyms")
        names = list(held or []) if declared.python == TEXTS else [name for name in (held or "").split("|") if name]
        if synonym in names:
            return self
        record.assign(declared, [*names, synonym] if declared.python == TEXTS else "|".join([*names, synonym]))
        return self.save()


def _as_record(vectors: Any) -> Record:
    return vectors  # type: ignore[no-any-return]
