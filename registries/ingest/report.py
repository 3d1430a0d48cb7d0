"""What became of each file, as a frame, JSON and a summary that says what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registries.ingest.outcomes import Outcome, Outcomes, plain_text

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["IngestReport"]

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

    outcomes: Sequence[Outcome] = field(default_factory=Outcomes)
    seconds: float = 0.0
    dry_run: bool = False

    def __post_init__(self) -> None:
        self._found = self.outcomes if isinstance(self.outcomes, Outcomes) else Outcomes(self.outcomes)

    @property
    def counts(self) -> dict[str, int]:
        """How many files had each outcome."""
        return self._found.counts()

    @property
    def failures(self) -> list[Outcome]:
        """What was not ingested as it was meant."""
        return self._found.failures()

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
        return self._found.arrow()

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
        for row, reason in enumerate(self._found.column("reason")):
            if reason is not None and (one := self._found[row]).outcome != "vanished":
                groups.setdefault(reason, []).append(one)
        for reason, found in sorted(groups.items(), key=lambda group: -len(group[1])):
            lines.append(f"  {reason.replace('_', ' ')}: {len(found):,}; {_DO.get(reason, 'see their messages')}")
            lines += [f"    {plain_text(one.path)}: {plain_text(one.message)}" for one in found[:_NAMED]]
            if len(found) > _NAMED:
                lines.append(f"    and {len(found) - _NAMED:,} more")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()
