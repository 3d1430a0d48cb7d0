"""Data files of a table: written sorted, with bloom filters, and durable before anything refers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.engine.arrow import pc
from lakehouse.engine.changes import DataFile
from lakehouse.engine.folder import Folder
from lakehouse.engine.options import Options
from lakehouse.engine.parallel import WORKERS, side_by_side, sort_numbers
from lakehouse.engine.pruning import statistics_of
from lakehouse.engine.table import TableVersion
from lakehouse.errors import DataLoss, Unavailable

__all__ = ["is_sound", "read_column", "read_rows", "sorted_by_uid", "write_files"]

_ROW_GROUP = 16_384
_PAGE_ROWS = 2_048  # DuckDB's vector: of columns that are read for few rows, it unpacks the pages of these alone
_SAMPLE = 1_000


def sorted_by_uid(rows: pa.Table) -> pa.Table:
    """Return the rows in uid order, untouched when they are so already.

    Examples
    --------
    >>> sorted_by_uid(pa.table({"uid": ["b", "a"]}))["uid"].to_pylist()
    ['a', 'b']
    """
    rows = rows.combine_chunks()
    order, _ = uid_order(rows["uid"])
    return rows if order is None else rows.take(order).combine_chunks()


def uid_order(uids: pa.ChunkedArray) -> tuple[pa.Array | None, str | None]:
    """Return the positions that sort uids (None when they are in order), and a uid that occurs twice, if one does.

    Examples
    --------
    >>> order, twice = uid_order(pa.chunked_array([["b", "a", "b"]]))
    >>> order.to_pylist(), twice
    ([1, 0, 2], 'b')
    """
    if len(uids) < 2:
        return None, None
    if pc.all(pc.less_equal(uids.slice(0, len(uids) - 1), uids.slice(1))).as_py():
        return None, _repeated(uids)
    flat = uids.combine_chunks()
    width = len(flat[0].as_py().encode())
    lengths = pc.min_max(pc.binary_length(flat)).as_py()
    if width >= 8 and lengths == {"min": width, "max": width}:
        return _ranked(flat, width)
    order = pc.sort_indices(flat)
    return order, _repeated(flat.take(order))


def _ranked(uids: pa.Array, width: int) -> tuple[pa.Array, str | None]:
    """Sort uids of one length by the bytes after what all begin with, as numbers: ten times faster than as texts."""
    start = int(np.frombuffer(uids.buffers()[1], np.int32)[uids.offset])
    letters = np.frombuffer(uids.buffers()[2], np.uint8)[start : start + len(uids) * width].reshape(len(uids), width)
    same = 0
    while same < width - 8 and (letters[:, same] == letters[0, same]).all():
        same += 1
    spare = np.uint64(len(uids).bit_length())  # the number's lower bits make room for the position
    numbers = np.ascontiguousarray(letters[:, same : same + 8]).view(">u8").ravel().astype(np.uint64)
    numbers >>= spare
    numbers <<= spare
    numbers |= np.arange(len(uids), dtype=np.uint64)
    sort_numbers(numbers)
    order = (numbers & ((np.uint64(1) << spare) - np.uint64(1))).astype(np.int64)
    numbers >>= spare
    alike = numbers[1:] == numbers[:-1]
    twins = np.flatnonzero(np.r_[False, alike] | np.r_[alike, False])
    if not len(twins):
        return pa.array(order), None
    # settle those that begin alike; they stand side by side, so their places stay the same
    texts = uids.take(pa.array(order[twins]))
    settled = pc.sort_indices(texts)
    order[twins] = order[twins][settled.to_numpy()]
    return pa.array(order), _repeated(texts.take(settled))


def _repeated(uids: pa.ChunkedArray | pa.Array) -> str | None:
    """Return the first of the (sorted) uids that occurs twice."""
    same = pc.equal(uids.slice(0, len(uids) - 1), uids.slice(1))
    position = pc.index(same, pa.scalar(value=True)).as_py()
    return uids[position].as_py() if position >= 0 else None


def write_files(
    folder: Folder,
    rows: pa.Table,
    version: TableVersion,
    options: Options,
    *,
    stem: str,
    order: pa.Array | None = None,
) -> list[DataFile]:
    """Write rows to files of bounded size; all are durable on return, with their folder.

    Parameters
    ----------
    stem
        How file names begin; a random part is appended, so that no name is ever used twice.
    order
        The positions that sort the rows by uid; None when they are sorted.
    """
    if not len(rows):
        return []
    step = _rows_per_file(rows, options)
    done: list[DataFile] = []

    def write(start: int) -> DataFile:
        part = rows.slice(start, step) if order is None else rows.take(order.slice(start, step))
        done.append(write_file(folder, part, version, stem=stem))
        return done[-1]

    starts = range(0, len(rows), step)
    try:
        folder.make()
        if len(starts) > 1:
            rows = _with_dictionaries(rows)
        files = [write(0)] if len(starts) == 1 else side_by_side(write, starts)
        folder.sync(up=1)  # another process may have made the folder a moment ago
    except OSError as error:  # most likely the disk is full: nothing refers to these files, give the room back
        for file in done:
            folder.remove(file.path)
        raise Unavailable(f"{folder} cannot be written ({error}); nothing was committed: free some space") from error
    return files


def _rows_per_file(rows: pa.Table, options: Options) -> int:
    """Return how many rows go into a file: within the limits, and as many files as keep all cores busy."""
    per_row = max(rows.nbytes / len(rows), 1)
    most = max(min(options.file_rows, int(2 * options.file_bytes / per_row)), 1)
    if len(rows) <= most:
        return most
    files = -(-len(rows) // most)
    return -(-len(rows) // (-(-files // WORKERS) * WORKERS))


def write_file(folder: Folder, rows: pa.Table, version: TableVersion, *, stem: str) -> DataFile:
    """Write rows in uid order to one file under a name never used before; its bytes are durable on return."""
    repetitive = _repetitive(rows)
    blooms = {c: {"ndv": max(len(rows), 1)} for c in _sought(rows.schema, version, repetitive)}
    footer: list[pq.FileMetaData] = []

    def encode(sink: BinaryIO) -> None:
        with pq.ParquetWriter(
            sink,
            rows.schema,
            compression="zstd",
            compression_level=-3,
            use_dictionary=repetitive,  # pyright: ignore[reportArgumentType]
            write_statistics=_comparable(rows.schema),  # pyright: ignore[reportArgumentType]
            bloom_filter_options=blooms,
            max_rows_per_page=_PAGE_ROWS,
            store_schema=False,  # it would make readers see our dictionaries as a type of their own
        ) as writer:
            writer.write_table(rows, row_group_size=_ROW_GROUP)
        footer.append(writer.writer.metadata)

    name, size = folder.create(stem, encode)
    uids = rows["uid"]
    bounds = uids[0].as_py(), uids[-1].as_py()
    return DataFile(name, size, len(rows), *bounds, version.version, statistics_of(footer[0]))


def _sought(schema: pa.Schema, version: TableVersion, repetitive: Sequence[str]) -> list[str]:
    """Return the columns by which few rows are looked for: of references, those that name many different rows."""
    named = {"uid", "hash", "key"} | (version.spec.references.keys() - set(repetitive))
    return [item.name for item in schema if item.name in named and item.type == pa.string()]


def _repetitive(rows: pa.Table) -> list[str]:
    """Return the columns worth a dictionary, by a sample; trying it on all-different values costs a third of the time."""
    if len(rows) < _SAMPLE:
        return list(rows.schema.names)
    sample = rows.slice(0, _SAMPLE)
    return [item.name for item in rows.schema if _repeats(sample[item.name])]


def _repeats(column: pa.ChunkedArray) -> bool:
    if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
        return True
    distinct: int = pc.count_distinct(column).as_py()
    return distinct < _SAMPLE // 2


def _with_dictionaries(rows: pa.Table) -> pa.Table:
    """Return rows with repetitive texts as dictionaries, which are picked and written ten times faster."""
    sample = rows.slice(0, _SAMPLE)
    for position, item in enumerate(rows.schema):
        if item.type == pa.string() and item.name != "uid" and _repeats(sample[item.name]):
            rows = rows.set_column(position, item.name, rows[item.name].dictionary_encode())
    return rows


def _comparable(schema: pa.Schema) -> list[str]:
    """Return the columns whose bounds may spare a reader rows: those of texts in uid order span everything."""
    return [item.name for item in schema if item.name == "uid" or pa.types.is_primitive(item.type)]


def read_rows(folder: Folder, file: DataFile, schema: pa.Schema) -> pa.Table:
    """Return a file's rows with the columns of ``schema``; those it lacks are null."""
    return conformed(_read(folder, file, None), schema)


def conformed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of ``schema``; those they lack are null."""
    columns = [
        found[item.name].cast(item.type) if item.name in found.schema.names else pa.nulls(len(found), item.type)
        for item in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def read_columns(folder: Folder, file: DataFile, schema: pa.Schema) -> pa.Table:
    """Return the same, reading no other columns: sooner where these are few."""
    return conformed(_read(folder, file, schema.names), schema)


def read_column(folder: Folder, file: DataFile, column: str) -> pa.ChunkedArray:
    """Return one column of a file; empty when the file is older than the column."""
    found = _read(folder, file, [column])
    return found[column] if column in found.schema.names else pa.chunked_array([], pa.string())


def _read(folder: Folder, file: DataFile, columns: Sequence[str] | None) -> pa.Table:
    try:
        return pq.ParquetFile(folder.path(file.path, file.size)).read(columns=columns)
    except FileNotFoundError as error:
        raise DataLoss(
            f"{folder.uri}/{file.path} is gone, though the catalog names it: restore it from a backup"
        ) from error
    except (pa.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None):  # the disk's fault, not the file's
            raise
        raise DataLoss(f"{folder.uri}/{file.path} is damaged ({error}): restore it from a backup") from error


def is_sound(folder: Folder, file: DataFile) -> bool:
    """Whether the file is there, of the stated size and with a footer that counts the stated rows."""
    try:
        if folder.size(file.path) != file.size:
            return False
        with pq.ParquetFile(folder.path(file.path, file.size)) as opened:
            return bool(opened.metadata.num_rows == file.rows)
    except (OSError, pa.ArrowInvalid):
        return False
