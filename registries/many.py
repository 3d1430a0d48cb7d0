"""What registries do with many records at once, and with their names: values, frames, completion."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lakehouse.errors import UnknownField, did_you_mean, shown
from registries.completion import Names
from registries.record_set import RecordSet, from_frame, from_values
from registries.search.asking import LEAST, MOST, search
from registries.search.hits import Hits
from registries.upserting import Upserted, upserted

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.engine import Snapshot
    from registries.meta import Meta

__all__ = ["STEPS", "Many"]


STEPS = ("check", "find", "prepare", "plan_save", "plan_insert")
"""The methods of a record that saving runs, by name."""


class Many:
    """The class methods of a registry for many records."""

    columnar: ClassVar[frozenset[Callable[..., Any]]] = frozenset()
    """Those of the steps that are taken with whole columns just as well."""

    @classmethod
    def from_values(cls, values: Iterable[Any], *, field: str | None = None) -> RecordSet[Any]:
        """Return the records for values, in input order and each once; nothing is written before ``save()``.

        Parameters
        ----------
        values
            A list, array, series or column; missing and empty ones are left out.
        field
            The field that they are values of; by default the one by which records are called, such as ``name``.

        Examples
        --------
        >>> import tempfile
        >>> from registries import Instance
        >>> lake = Instance.create(tempfile.mkdtemp())
        >>> lake.ULabel.from_values(["fed", "treated"]).save()
        <2 ULabel records>
        >>> lake.close()
        """
        registry: Any = cls
        return from_values(registry, registry.home(), values, field)

    @classmethod
    def from_df(cls, df: Any) -> RecordSet[Any]:
        """Return the records for the rows of a frame, whose columns are fields; nothing is written before ``save()``.

        Parameters
        ----------
        df
            A pandas or Polars frame, an Arrow table or a list of dicts.
        """
        registry: Any = cls
        return from_frame(registry, registry.home(), df)

    @classmethod
    def upsert_df(cls, df: Any, *, on: str | Sequence[str] | None = None) -> Upserted:
        """Insert or change a record for each row of a frame, all in one commit or none.

        Parameters
        ----------
        df
            A pandas or Polars frame, an Arrow table or a list of dicts; its columns are fields. Fields of existing
            records that it does not name stay as they are.
        on
            The field, or fields together, that say which record a row is. By default those by which ``save()`` finds
            records that are there; of terms and genes the public identifier, where the frame has it, else the name.

        Raises
        ------
        Duplicate
            When a value of that field occurs twice in the frame, or a new row is a record that is there already.
        MultipleFound
            When several records have a value of that field.
        Unsupported
            For registries whose records need more than their columns, such as artifacts.

        Examples
        --------
        >>> import tempfile
        >>> from registries import Instance
        >>> lake = Instance.create(tempfile.mkdtemp())
        >>> lake.ULabel.upsert_df([{"name": "fed"}, {"name": "treated", "description": "with drug A"}])
        2 inserted, 0 updated, 0 unchanged
        >>> lake.close()
        """
        registry: Any = cls
        return upserted(registry, registry.home(), df, on, from_columns=registry.is_made_of_columns())

    @classmethod
    def search(
        cls,
        text: str,
        *,
        limit: int = MOST,
        field: str | Iterable[str] | None = None,
        min_score: float = LEAST,
    ) -> Hits[Any]:
        """Return the records whose names, synonyms, keys or descriptions are nearest to a text, the nearest first.

        Typos, case, accents, punctuation and the order of words are forgiven; the beginning of a name is enough. A
        name itself scores 1, what is misspelt or has more words scores less, and a description 0.6 at most. What is
        in the trash is not found, and of versions of a key the newest.

        Parameters
        ----------
        text
            What to look for.
        limit
            How many records at most.
        field
            The column to look at, or several; all with names and descriptions, where none is given.
        min_score
            The score to reach, from 0 to 1.

        Raises
        ------
        InputError
            When there is nothing to look for.

        Examples
        --------
        >>> import tempfile
        >>> from registries import Instance
        >>> lake = Instance.create(tempfile.mkdtemp())
        >>> _ = lake.save([lake.CellType(name="fibroblast"), lake.CellType(name="neuron", synonyms=["nerve cell"])])
        >>> lake.CellType.search("fibrblast").first().name
        'fibroblast'
        >>> lake.CellType.search("Nerve-cell", field="synonyms")[0].name
        'neuron'
        >>> lake.close()
        """
        registry: Any = cls
        return search(registry, registry.home(), text, limit=limit, field=field, min_score=min_score)

    def merge_into(self, other: Self) -> Self:
        """Let everything that refers to this record refer to another, delete this one, and return the other.

        Labels, values, members and children move, the names of this one become synonyms of the other, and what the
        other one lacks it takes over, all in one commit.

        Parameters
        ----------
        other
            A record of the same registry.

        Raises
        ------
        InputError, Unsupported
            When they are one, one is above the other, or records of this registry have no names.
        Duplicate
            When something has values under both of two features.

        Examples
        --------
        >>> import tempfile
        >>> from registries import Instance
        >>> lake = Instance.create(tempfile.mkdtemp())
        >>> wrong, right = lake.ULabel(name="treatde").save(), lake.ULabel(name="treated").save()
        >>> wrong.merge_into(right).synonyms
        ['treatde']
        >>> lake.close()
        """
        record: Any = self
        merged: Self = record.home_of().merge(record, other)
        return merged

    @classmethod
    def lookup(cls, *, field: str | None = None) -> Names[Any]:
        """Return names as attributes, for completion: ``ULabel.lookup().treated`` is the record.

        Parameters
        ----------
        field
            The text field whose values become attributes; by default the one by which records are called.
        """
        registry: Any = cls
        meta: Meta = registry.meta
        name = meta.title if field is None else field
        if name not in meta.columns:
            raise UnknownField(f"{meta.name} has no field {shown(name)}{did_you_mean(name, meta.columns)}")
        return Names(registry, registry.home(), name)

    # How its records are saved

    @classmethod
    def is_plain(cls) -> bool:
        """Return whether records need no more for saving than their columns, and are known by one unique name."""
        meta = _meta(cls)
        own = {getattr(cls, name) for name in STEPS}
        return own <= cls.columnar and meta.natural == (meta.title,) and meta.columns[meta.title].unique

    @classmethod
    def upsert_key(cls, given: Collection[str]) -> tuple[str, ...]:
        """Return the fields that say which record a row of a frame is, out of a frame that has the given ones."""
        natural = _meta(cls).natural
        return natural if set(natural) <= set(given) else natural[:1]

    @classmethod
    def check_columns(cls, columns: pa.Table) -> pa.Table:
        """Return columns of new or changed rows as they are stored; what :meth:`check` does for one record."""
        return columns

    @classmethod
    def check_rows(cls, snapshot: Snapshot, rows: pa.Table) -> None:
        """Refuse rows, which are written in the snapshot already, that contradict others."""


def _meta(registry: Any) -> Meta:
    found: Meta = registry.meta
    return found
