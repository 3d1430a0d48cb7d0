"""What became of each file, as a frame, JSON and a summary that says what to do."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["BAD", "IngestReport", "Outcome"]

BAD = ("failed", "quarantined")
"""Outcomes of what was not ingested as it was meant."""

_NAMED = 3
_DO = {
    "unreadable": "they are damaged, or carry the wrong suffix: have them sent again, or save them with format='blob'",
    "invalid": "they do not conform to the schema: lh.validate(path, schema) lists every fault; mend them, then run it again",
    "vanished": "they were there when the run began: see what removes them, or ingest once they stay",
    "changed": "something writes to them still: run it again when that is done",
    "waiting": "they were written a moment ago: the next run takes them",
    "not_found": "check the paths of the manifest; they are relative to where it lies",
    "duplicate_key": "give each row of the manifest a key of its own",
    "duplicate_path": "a file is ingested once: leave one of the rows, and add further keys by hand",
    "no_path": "fill in the path, or take the rows out of the manifest",
    "manifest": "mend these rows of the manifest",
    "unknown_label": "save the labels first, or pass create_labels=True",
    "feature": "save the features first, or mend the values",
    "refused": "rename them, or give them keys in a manifest",
    "unavailable": "see that they can be read by this user, and that the disk answers",
    "killed": "reading them ended the worker: they may need more memory than there is; try one alone",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    outcome
        ``new``, ``new version``, ``unchanged``, ``failed``, ``quarantined``, ``waiting`` or ``vanished`` (moved to the
        trash).
    reason
        Why, where it is not one of the first three: a code such as ``unreadable``.
    """

    path: str
    key: str
    outcome: str
    uid: str | None = None
    hash: str | None = None
    size: int | None = None
    reason: str | None = None
    message: str | None = None


@dataclass
class IngestReport:
    """What ``lh.ingest`` returns.

    Examples
    --------
    >>> report = IngestReport([Outcome("a.csv", "a.csv", "new"), Outcome("b.csv", "b.csv", "failed", reason="changed")])
    >>> report.counts
    {'new': 1, 'failed': 1}
    >>> report.ok
    False
    """

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many files had each outcome."""
        return dict(Counter(one.outcome for one in self.outcomes))

    @property
    def failures(self) -> list[Outcome]:
        """What was not ingested as it was meant."""
        return [one for one in self.outcomes if one.outcome in BAD]

    @property
    def ok(self) -> bool:
        """Whether there are no failures."""
        return not self.failures

    @property
    def rate(self) -> float:
        """Files per second."""
        return len(self.outcomes) / self.seconds if self.seconds else 0.0

    def arrow(self) -> pa.Table:
        """Return the outcomes as an Arrow table."""
        schema = pa.schema([(name, pa.int64() if name == "size" else pa.string()) for name in Outcome.__slots__])
        columns = [[_plain(getattr(one, name)) for one in self.outcomes] for name in schema.names]
        return pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)

    def df(self) -> pd.DataFrame:
        """Return the outcomes as a pandas DataFrame."""
        return self.arrow().to_pandas()

    def pl(self) -> pl.DataFrame:
        """Return the outcomes as a Polars DataFrame."""
        import polars

        found = polars.from_arrow(self.arrow())
        return found if isinstance(found, polars.DataFrame) else found.to_frame()

    def to_dict(self) -> dict[str, Any]:
        """Return counts and outcomes as plain values."""
        return {
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
            "counts": self.counts,
            "outcomes": self.arrow().to_pylist(),
        }

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def summary(self) -> str:
        """Return counts, and for each kind of failure some files and what to do about it."""
        counted = ", ".join(f"{n:,} {name}" for name, n in self.counts.items()) or "no files"
        head = f"{len(self.outcomes):,} files in {self.seconds:,.1f} s ({self.rate:,.{0 if self.rate >= 10 else 1}f}/s): {counted}"
        lines = [f"{head}; nothing was saved, as this was a dry run" if self.dry_run else head]
        groups: dict[str, list[Outcome]] = {}
        for one in self.outcomes:
            if one.reason is not None and one.outcome != "vanished":
                groups.setdefault(one.reason, []).append(one)
        for reason, found in sorted(groups.items(), key=lambda group: -len(group[1])):
            lines.append(f"  {reason.replace('_', ' ')}: {len(found):,}; {_DO.get(reason, 'see their messages')}")
            lines += [f"    {_plain(one.path)}: {_plain(one.message)}" for one in found[:_NAMED]]
            if len(found) > _NAMED:
                lines.append(f"    and {len(found) - _NAMED:,} more")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()


def _plain(value: Any) -> Any:
    """Return text that any reader takes: a name that is not UTF-8 shows its bytes as escapes."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value
