"""Contents of tables as views that DuckDB has without this program: ``content."samples.csv"``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from formats.registry import by_name
from lakehouse.errors import InputError, LakehouseError, shown

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["CONTENTS", "plain_contents"]

CONTENTS = 100
"""Tables whose contents are attached, where nothing else is asked for."""
_TABLES = (
    "select * from artifact where deleted_at is null and key is not null and kind = 'dataframe' "
    "qualify row_number() over (partition by key order by version desc, uid desc) = 1 order by created_at desc, uid limit ?"
)


def plain_contents(home: Instance, snapshot: Snapshot, most: int | None) -> Iterator[tuple[str, str]]:
    """Yield the key of each of the newest tables, and the ``SELECT`` that reads it; nothing where DuckDB alone cannot.

    It can where a parquet, csv or tsv file lies on a disk.

    Parameters
    ----------
    most
        How many; all, where none is given.
    """
    _check_number(most)
    rows = snapshot.arrow(_TABLES, [1 << 62 if most is None else most], ["artifact"]).to_pylist()
    for row in rows:
        yield row["key"], _sql(home.Artifact.from_row(row, home))


def _check_number(most: object) -> None:
    if most is None or (isinstance(most, int) and not isinstance(most, bool) and 0 <= most < 1 << 62):
        return
    raise InputError(f"contents = {shown(most)}: a whole number from 0, or None for all, is accepted")


def _sql(artifact: Artifact) -> str:
    store, _ = artifact.place()
    if not store.local:
        return ""
    try:
        return by_name(artifact.format).plain_sql(artifact.path) or ""
    except LakehouseError:  # its bytes are gone, or are no table: whoever exports is told that it is left out
        return ""
