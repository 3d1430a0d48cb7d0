"""The tables of a dataset as one lazy scan.

Opening thousands of small files costs more than reading them. Small members, and those that are no Parquet, are
merged in blocks of 512 into files of the cache: named by the contents that they hold, made at first use, and good
for every later version, since members are only added behind. Their footers and statistics are those of few files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from formats.base import reading
from formats.cache import Cache
from formats.convert import LAZY_FORMS, check_form
from formats.opened import closing
from formats.registry import by_name
from lakehouse.errors import Unsupported, shown
from registries.dataset.annotations import UID
from registries.dataset.filtering import unified
from registries.whereabouts import staged

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.dataset.record import Dataset

__all__ = ["Piece", "open_tables", "pieces"]

_SMALL = 4 << 20
"""Bytes up to which a Parquet file is merged with others; larger ones are scanned where they lie."""
_BLOCK = 512
_THREADS = 4


@dataclass(frozen=True)
class Piece:
    """A Parquet file that holds one member, or a block of them with their uids."""

    path: Path
    uid: str | None
    """Of the member that it is; None for a block, which has the column itself."""


def open_tables(dataset: Dataset, *, as_: str | None) -> Any:
    """Return the rows of all members lazily; see ``Dataset.open``."""
    form = check_form(as_ or "polars", LAZY_FORMS)
    found = list(pieces(dataset))
    if form == "polars":
        return closing(_scan(found))
    made = _dataset(found)
    if form == "arrow":
        return closing(made)
    import duckdb

    return duckdb.connect().from_arrow(made)


def pieces(dataset: Dataset) -> Iterator[Piece]:
    """Yield the files that hold the rows of all members, in their order as far as blocks allow it.

    Raises
    ------
    Unsupported
        When a member is no table.
    """
    home, merged = dataset.home_of(), []
    for one in dataset.ordered():
        if one.kind != "dataframe":
            raise Unsupported(f"dataset {shown(dataset.name)} has {one.key or one.uid} among its members: no table")
        home.note_read(one)
        if one.format == "parquet" and one.size > _SMALL:
            yield Piece(staged(one), one.uid)
        else:
            merged.append(one)
    blocks = [merged[start : start + _BLOCK] for start in range(0, len(merged), _BLOCK)]
    if blocks:
        cache = Cache()
        yield from (Piece(_merged(cache, block), None) for block in blocks)


def _merged(cache: Cache, block: Sequence[Artifact]) -> Path:
    digest = hashlib.blake2b(digest_size=20)
    for one in block:
        digest.update(f"{one.uid} {one.hash}\n".encode())
    name = f"dataset block 1 {digest.hexdigest()}"
    return cache.find(name, suffix=".parquet") or cache.fetch(name, lambda to: _write(block, to), suffix=".parquet")


def _write(block: Sequence[Artifact], target: Path) -> None:
    import pyarrow.parquet as pq

    with ThreadPoolExecutor(_THREADS) as pool:
        tables = list(pool.map(_read, block))
    pq.write_table(unified(tables), target)


def _read(one: Artifact) -> pa.Table:
    table = by_name(one.format).load_as(staged(one), "arrow")
    table = table.drop_columns([UID]) if UID in table.column_names else table
    return table.append_column(UID, pa.array([one.uid] * len(table), pa.string()))


def _scan(found: Sequence[Piece]) -> Any:
    import polars as pl

    scans = []
    for piece in found:
        scan = pl.scan_parquet(piece.path, glob=False, hive_partitioning=False)
        scans.append(scan if piece.uid is None else scan.with_columns(pl.lit(piece.uid).alias(UID)))
    return scans[0] if len(scans) == 1 else pl.concat(scans, how="diagonal_relaxed")


def _dataset(found: Sequence[Piece]) -> Any:
    import pyarrow.dataset as ds

    kind = ds.ParquetFileFormat()
    fragments = []
    for piece in found:
        same = None if piece.uid is None else ds.field(UID) == piece.uid
        fragments.append(kind.make_fragment(str(piece.path), _local(), partition_expression=same))
    schemas = []
    for piece, fragment in zip(found, fragments, strict=True):
        with reading(piece.path, "parquet"):
            schemas.append(fragment.physical_schema.remove_metadata())
    schema = pa.unify_schemas([*schemas, pa.schema([(UID, pa.string())])], promote_options="permissive")
    return ds.FileSystemDataset(fragments, schema, kind, _local())


def _local() -> Any:
    from pyarrow.fs import LocalFileSystem

    return LocalFileSystem()
