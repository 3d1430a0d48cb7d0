"""Rows of a made-up instance of any size, a batch at a time: artifacts with their users, runs, labels and links.

Uids are made as the registries make them (coarse time, then random), so their order is that of ``created_at`` up to
the hour; a day holds as many artifacts as any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.ids import ALPHABET, derived_uid, new_uid
from registries import Artifact, ULabel
from registries.links import ArtifactULabel, link_uid

__all__ = ["DAYS", "FIRST", "HITS", "World"]

FIRST = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 1_000
"""From the first artifact to the last."""
HITS = 1_000
"""Artifacts of a label."""
_SHARE = 10  # one artifact in so many carries a label
_KINDS = [("parquet", ".parquet", "dataframe"), ("h5ad", ".h5ad", "AnnData"), ("csv", ".csv.gz", "dataframe"),
          ("blob", ".fastq.gz", "blob"), ("blob", ".pdf", "blob")]  # fmt: skip
_BASE32 = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", dtype=np.uint8)
_BASE62 = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
Texts = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class World:
    """So many artifacts, and what goes with them.

    Parameters
    ----------
    rows
        Artifacts.
    """

    rows: int
    user: str = derived_uid("user", "bench")
    storage: str = derived_uid("storage", "bench")
    transform: str = derived_uid("transform", "bench")

    @property
    def labels(self) -> int:
        """How many labels there are: as many as leave each with ``HITS`` artifacts."""
        return max(self.rows // _SHARE // HITS, 1)

    @property
    def runs(self) -> int:
        """How many runs there are; each made as many artifacts as any other."""
        return max(self.rows // 10_000, 1)

    def label_rows(self) -> list[dict[str, object]]:
        """Return the labels; the same on every call."""
        empty: dict[str, object] = {name: [] for name in ("synonyms", "parent_uids", "parent_relations")}
        return [
            {"uid": derived_uid("label", str(i)), "name": f"label {i}", **empty, **self.stamps}
            for i in range(self.labels)
        ]

    def run_rows(self) -> list[dict[str, object]]:
        """Return the runs; the same on every call."""
        return [{"uid": self.run_uid(i), "transform": self.transform, **self.stamps} for i in range(self.runs)]

    def run_uid(self, number: int) -> str:
        """Return the uid of a run."""
        return derived_uid("run", str(number))

    @property
    def stamps(self) -> dict[str, object]:
        """When and by whom the rows beside the artifacts were made."""
        return {"created_at": FIRST, "created_by": self.user}

    def batches(self, step: int) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield artifacts and their links, in the order of time."""
        runs = pa.array([self.run_uid(i) for i in range(self.runs)])
        for start in range(0, self.rows, step):
            artifacts = self._artifacts(start, min(step, self.rows - start), runs)
            yield artifacts, self._links(start, artifacts)

    def first_row(self) -> dict[str, object]:
        """Return an artifact to make others like it."""
        runs = pa.array([self.run_uid(i) for i in range(self.runs)])
        row: dict[str, object] = self._artifacts(0, 1, runs).to_pylist()[0]
        return row

    def _artifacts(self, start: int, count: int, runs: pa.Array) -> pa.Table:
        random = np.random.default_rng(start)
        numbers = np.arange(start, start + count)
        micros = int(FIRST.timestamp() * 1e6) + numbers * (DAYS * 86_400_000_000 // self.rows)
        kinds = random.choice(len(_KINDS), count, p=[0.4, 0.2, 0.2, 0.15, 0.05]).astype(np.int32)
        formats, suffixes, kind = (pa.array(list(part)).take(pa.array(kinds)) for part in zip(*_KINDS, strict=True))
        uid, digest = _texts(_uids(micros, random)), _texts(_drawn(random, _BASE32, count, 52))
        batch = pa.array([f"batch-{i:05}" for i in range(start // 1_000, (start + count) // 1_000 + 1)])
        folder = batch.take(pa.array((numbers // 1_000 - start // 1_000).astype(np.int32)))
        shard = pc.utf8_slice_codeunits(digest, 0, 2)
        columns = {
            "uid": uid,
            "key": _joined("raw/", folder, "/", pc.utf8_slice_codeunits(uid, 4, 16), suffixes),
            "description": pa.array(["as it came", "checked", None]).take(pa.array(random.integers(0, 3, count))),
            "suffix": suffixes,
            "format": formats,
            "kind": kind,
            "size": pa.array(random.lognormal(14, 2, count).astype(np.int64)),
            "hash": digest,
            "hash_kind": _same("blake3", count),
            "n_rows": pa.array(random.integers(0, 1_000_000, count), mask=kinds > 2),
            "n_files": pa.nulls(count, pa.int64()),
            "storage": _same(self.storage, count),
            "path": _joined("objects/", shard, "/", digest, suffixes),
            "version": pa.array(np.zeros(count, np.int64)),
            "created_at": pa.array(micros).cast(pa.timestamp("us", "UTC")),
            "created_by": _same(self.user, count),
            "run": runs.take(pa.array(numbers * self.runs // self.rows)),
            "deleted_at": pa.nulls(count, pa.timestamp("us", "UTC")),
        }
        schema = Artifact.spec().schema
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)

    def _links(self, start: int, artifacts: pa.Table) -> pa.Table:
        """Label one artifact in ten, so that each label's artifacts come from all times."""
        picked = np.arange(-start % _SHARE, len(artifacts), _SHARE)
        mine = artifacts["uid"].take(pa.array(picked)).to_pylist()
        names = [derived_uid("label", str((start + int(i)) // _SHARE % self.labels)) for i in picked]
        rows = len(mine)
        columns = {
            "uid": pa.array([link_uid(a, b, None) for a, b in zip(mine, names, strict=True)]),
            "artifact": pa.array(mine),
            "ulabel": pa.array(names),
            "feature": pa.nulls(rows, pa.string()),
            "created_at": artifacts["created_at"].take(pa.array(picked)).combine_chunks(),
            "created_by": _same(self.user, rows),
            "run": pa.nulls(rows, pa.string()),
        }
        schema = ArtifactULabel.spec().schema
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)

    def day(self, number: int) -> tuple[datetime, datetime]:
        """Return the bounds of a day; the second is exclusive."""
        return FIRST + timedelta(days=number), FIRST + timedelta(days=number + 1)

    @staticmethod
    def label_name(number: int) -> str:
        """Return the name of a label."""
        return str(ULabel(name=f"label {number}").name)


def _uids(micros: npt.NDArray[np.int64], random: np.random.Generator) -> Texts:
    """Return fresh uids as ``lakehouse.ids.new_uid`` makes them at these times."""
    hours, where = np.unique(micros // 3_600_000_000, return_inverse=True)
    heads = np.array([list(new_uid(int(hour) * 3600.0)[:4].encode()) for hour in hours], dtype=np.uint8)
    tail = np.full((len(micros), 4), ord("0"), dtype=np.uint8)
    return np.hstack([heads[where], _drawn(random, _BASE62, len(micros), 12), tail])


def _drawn(random: np.random.Generator, alphabet: Texts, count: int, width: int) -> Texts:
    drawn: Texts = alphabet[random.integers(0, len(alphabet), size=(count, width), dtype=np.uint8)]
    return drawn


def _texts(letters: Texts) -> pa.Array:
    """Return rows of letters as texts."""
    count, width = letters.shape
    ends = pa.py_buffer(np.arange(0, (count + 1) * width, width, dtype=np.int32))
    return pa.StringArray.from_buffers(count, ends, pa.py_buffer(np.ascontiguousarray(letters)))


def _joined(*parts: object) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _same(value: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value])).cast(pa.string())
