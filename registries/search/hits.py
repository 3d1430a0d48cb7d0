"""What a search found: records, the nearest first, and how near they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from registries.display import html_table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from registries.record import Record

__all__ = ["Hit", "Hits"]

R = TypeVar("R", bound="Record")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Hit(Generic[R]):
    """A record, and why it was found."""

    record: R
    score: float
    """From 0 to 1, which is the name itself; the same in all registries and instances."""
    field: str
    """The column in which the text was found."""
    match: str
    """The name, synonym or description that is near."""


class Hits(Sequence[R]):
    """What ``search()`` returns: a sequence of records, the nearest first.

    ``hits`` are the same with scores; ``df()``, ``pl()`` and ``arrow()`` give them as frames.

    Examples
    --------
    >>> import tempfile
    >>> from registries import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> _ = lake.save([lake.CellType(name="fibroblast"), lake.CellType(name="T cell", synonyms=["T lymphocyte"])])
    >>> found = lake.CellType.search("t lymphocite")
    >>> found[0].name, found.hits[0].match
    ('T cell', 'T lymphocyte')
    >>> lake.close()
    """

    def __init__(self, text: str, hits: Sequence[Hit[R]]) -> None:
        self.text, self.hits = text, list(hits)

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, which: int) -> R: ...
    @overload
    def __getitem__(self, which: slice) -> Hits[R]: ...
    def __getitem__(self, which: int | slice) -> R | Hits[R]:
        return Hits(self.text, self.hits[which]) if isinstance(which, slice) else self.hits[which].record

    def __iter__(self) -> Iterator[R]:
        return (hit.record for hit in self.hits)

    @property
    def scores(self) -> list[float]:
        """How near each record is, from 0 to 1."""
        return [hit.score for hit in self.hits]

    def first(self) -> R | None:
        """Return the nearest record, or None."""
        return self.hits[0].record if self.hits else None

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a dict per record: score, registry, uid, name, field and match."""
        return [
            {
                "score": round(hit.score, 4),
                "registry": hit.record.meta.table,
                "uid": hit.record.uid,
                "name": str(hit.record.value(hit.record.meta.title)),
                "field": hit.field,
                "match": hit.match,
            }
            for hit in self.hits
        ]

    def arrow(self) -> pa.Table:
        """Return score, registry, uid, name, field and match as a pyarrow Table."""
        import pyarrow as pa

        texts = [pa.field(name, pa.string()) for name in ("registry", "uid", "name", "field", "match")]
        return pa.Table.from_pylist(self.to_dicts(), pa.schema([pa.field("score", pa.float64()), *texts]))

    def df(self) -> pd.DataFrame:
        """Return the same as a pandas DataFrame."""
        return self.arrow().to_pandas()

    def pl(self) -> pl.DataFrame:
        """Return the same as a Polars DataFrame."""
        import polars

        frame = polars.from_arrow(self.arrow())
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    def __repr__(self) -> str:
        lines = [f"<{len(self)} found for {self.text[:60]!r}>"]
        lines += [
            f"{row['score']:.2f}  {row['registry']}  {row['name']!r}{_why(row)}" for row in self.to_dicts()[:_SHOWN]
        ]
        return "\n".join([*lines, *(["…"] if len(self) > _SHOWN else [])])

    def _repr_html_(self) -> str:
        columns = ("score", "registry", "name", "field", "match")
        rows = [[f"{row['score']:.2f}", *(row[name] for name in columns[1:])] for row in self.to_dicts()]
        return html_table(f"{len(self)} found for {self.text[:60]!r}", columns, rows)


def _why(row: dict[str, Any]) -> str:
    if row["match"] == row["name"]:
        return ""
    text = row["match"] if len(row["match"]) <= 60 else row["match"][:60] + "…"
    return f"  ({row['field']}: {text!r})"
