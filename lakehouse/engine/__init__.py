"""The engine: tables that commit as one.

The catalog is the log's head and Delta is its body: a commit is one SQL transaction, visible and durable at once;
publishing folds what was committed into open Delta tables afterwards. ``Lake`` is the way in.
"""

from lakehouse.engine.batch import Batch
from lakehouse.engine.catalog import CommitInfo, Tag
from lakehouse.engine.history import Changes
from lakehouse.engine.lake import Lake
from lakehouse.engine.opening import is_a_lake as is_lake
from lakehouse.engine.options import Options
from lakehouse.engine.postgres_address import is_postgres
from lakehouse.engine.requirements import (
    KeysAbsent,
    Requirement,
    RowsAsRead,
    RowsExist,
    RowsUntouched,
    TableUntouched,
    Unreferenced,
)
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.table import TableSpec
from lakehouse.engine.transaction import Transaction

__all__ = [
    "Batch",
    "Changes",
    "CommitInfo",
    "KeysAbsent",
    "Lake",
    "Options",
    "Requirement",
    "RowsAsRead",
    "RowsExist",
    "RowsUntouched",
    "Snapshot",
    "TableSpec",
    "TableUntouched",
    "Tag",
    "Transaction",
    "Unreferenced",
    "is_lake",
    "is_postgres",
]
