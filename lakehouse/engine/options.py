"""What can be tuned about a lake, in one value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Thresholds, retentions and time-outs of a lake; every process may use its own.

    Examples
    --------
    >>> Options(retention=3600.0).lock_timeout
    30.0
    """

    lease: float = 30.0
    """How long a publisher's lease lives without renewal, in seconds. Safety does not depend on it."""
    bucket_lease: float = 60.0
    """How long the right to write to a lake in a bucket lives without renewal, in seconds."""
    retention: float = 7 * 86_400.0
    """How long a commit stays readable, in seconds."""
    grace: float = 3_600.0
    """How long staging may take before its files can be swept, in seconds."""
    lock_timeout: float = 30.0
    """How long to wait for the head lock, in seconds; then ``Busy``."""
    statement_timeout: float = 120.0
    """How long a Postgres server may work on one statement, and a session may idle inside a transaction, in seconds."""
    lock_idle: float = 10.0
    """How long a client may sleep while it holds the head lock of a Postgres catalog, in seconds; then it loses it."""
    reconnect: float = 10.0
    """How long to try to reach a Postgres server that is restarting or has no free slot, in seconds."""
    connections: int = 8
    """Most connections of a process to a Postgres catalog."""
    attempts: int = 100
    """How often a transaction is planned again after a conflict."""
    bulk_rows: int = 10_000
    """Inserts of more rows than this (per table) are staged as Parquet files."""
    bulk_bytes: int = 4_000_000
    """Inserts of more bytes than this (per table) are staged as Parquet files."""
    file_bytes: int = 12_000_000
    """Aimed size of a data file, in bytes as held in memory halved (what compression leaves)."""
    file_rows: int = 150_000
    """Most rows of a data file."""
    small_rows: int = 200_000
    """Tables up to this many published rows are kept in memory per version."""
    small_bytes: int = 32_000_000
    """Tables up to this many bytes of Parquet are kept in memory per version."""
    crossing_rows: int = 2_000_000
    """Rows of larger tables that are kept in memory by one of their columns, for look-ups across relations: some 60 bytes
    each."""
    merge_files: int = 8
    """Small files are merged when a table has this many of them."""
    compact_rows: int = 5_000_000
    """Rows that a compaction step rewrites in one Delta version, unless a single group of overlapping files has more."""
    compact_memory: int = 1_000_000_000
    """Bytes that a compaction sorts in memory; what is more goes to a temporary folder."""
    checkpoint_every: int = 50
    """Delta versions between checkpoints."""
    auto_publish: bool = True
    """Publish in the background when the tail passes a threshold or grows old, and at the end when it passed one."""
    publish_rows: int = 20_000
    """Tail rows (of all tables) that start a publishing round."""
    publish_bytes: int = 16_000_000
    """Tail bytes that start a publishing round."""
    publish_commits: int = 2_000
    """Tail commits that start a publishing round."""
    publish_rewrite: int = 64_000_000
    """Bytes of published files that changed rows may cost a round once what waits is ``publish_age`` old; a round that
    costs more waits longer in proportion, or until 1% of the rows, or four times ``publish_bytes``, are changed."""
    publish_age: float = 30.0
    """How long what this process committed waits for a publishing round at most, in seconds."""
