"""What registries do with many records at once, and with their names: values, frames, completion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lakehouse.errors import UnknownField, did_you_mean, shown
from registries.bulk import Upserted
from registries.completion import Names
from registries.record_set import RecordSet, from_frame, from_values, upserted

if TYPE_CHECKING:
    from registries.meta import Meta

__all__ = ["Many"]


class Many:
    """The class methods of a registry for many records."""

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
    def upsert_df(cls, df: Any, *, on: str | None = None) -> Upserted:
        """Insert or change a record for each row of a frame, all in one commit or none.

        Parameters
        ----------
        df
            A pandas or Polars frame, an Arrow table or a list of dicts; its columns are fields. Fields of existing
            records that it does not name stay as they are.
        on
            The unique field that says which record a row is; by default the one by which records are called.

        Raises
        ------
        Duplicate
            When a value of that field occurs twice.
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
        return upserted(registry, registry.home(), df, on)

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
