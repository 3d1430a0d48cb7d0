"""Registries as people use them: labels, look-ups, links and bulk, at 100,000 rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.bare import BareSqlite
from benchmarks.harness import Limit, Row, Sample, alternate, at_most, ms, scratch
from benchmarks.processes import bare, ours, together
from lakehouse.ids import new_uid
from registries import Instance
from registries.bulk import new_uids
from registries.links import link_uid

__all__ = ["run"]

_MANY = 100_000
_GENES = 30_000
_SETS = 500
_ARTIFACTS = 10_000
_ROUNDS = 15
_SECONDS = 6.0


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    with scratch() as folder:
        yield from _labels(folder)
        yield from _bulk(folder)
        yield from _linked(folder)
        yield from _genes(folder)
        yield from _processes(folder)


def _repeated(act: Callable[[], object], rounds: int = _ROUNDS) -> Sample:
    return alternate({"ours": lambda _: act}, rounds=rounds, warm=2)["ours"]


def _labels(folder: Path) -> Iterator[Row]:
    with Instance.create(folder / "labels", user="bench") as lake:
        bare = BareSqlite(folder / "bare.db", ["label"])
        sides: dict[str, Any] = {
            "ours": lambda turn: lambda: lake.ULabel(name=f"label {turn}").save(near=False),
            "bare": lambda turn: lambda: bare.insert([("label", new_uid(), f"label {turn}".encode())]),
            "near": lambda turn: lambda: lake.ULabel(name=f"other {turn}").save(),
        }
        found = alternate(sides, rounds=200, warm=10)
        bare.close()
    floor = "SQLite, one row"
    yield ms("registries", "save a label", found["ours"], found["bare"], floor, at_most(value=0.8))
    yield ms("registries", "with the check for close names", found["near"], found["bare"], floor, at_most(value=3))


def _rate(group: str, name: str, count: int, sample: Sample, least: float, unit: str) -> Row:
    return Row(group, name, count / sample.median, unit, limits=(Limit("value", least, least=True),))


def _bulk(folder: Path) -> Iterator[Row]:
    turn = 0

    def objects() -> float:
        nonlocal turn
        turn += 1
        with Instance.create(folder / f"bulk{turn}", user="bench") as lake:
            records = [lake.ULabel(name=f"label {i}") for i in range(_MANY)]
            began = time.perf_counter()
            lake.save(records)
            return time.perf_counter() - began

    def frame() -> float:
        nonlocal turn
        turn += 1
        table = pd.DataFrame({"name": [f"label {i}" for i in range(_MANY)], "description": ["made"] * _MANY})
        with Instance.create(folder / f"bulk{turn}", user="bench") as lake:
            began = time.perf_counter()
            lake.ULabel.upsert_df(table)
            return time.perf_counter() - began

    saved, upserted = (Sample(tuple(act() for _ in range(3))) for act in (objects, frame))
    yield _rate("registries", "100,000 labels as objects", _MANY, saved, 80_000, "objects/s")
    yield _rate("registries", "100,000 labels from a frame", _MANY, upserted, 300_000, "rows/s")


def _linked(folder: Path) -> Iterator[Row]:
    """Measure with 100,000 artifacts that carry three of a thousand labels each."""
    random = np.random.default_rng(1)
    with Instance.create(folder / "linked", user="bench") as lake:
        lake.ULabel.upsert_df(pd.DataFrame({"name": [f"term {i}" for i in range(_MANY)]}))
        labels = lake.ULabel.filter().arrow()["uid"].to_pylist()
        artifacts = _fill_artifacts(lake, _MANY)
        links = [
            (uid, labels[int(label)], None) for uid in artifacts for label in random.choice(1_000, 3, replace=False)
        ]
        _insert_links(lake, links)
        lake.flush()
        values = [f"term {i}" for i in random.permutation(_MANY)]
        asked = lake.ULabel.get(labels[5])
        yield ms(
            "registries",
            "from_values of 100,000 on 100,000",
            _repeated(lambda: lake.ULabel.from_values(values).unknown, 5),
            None,
            "",
            at_most(value=300),
        )
        yield ms(
            "registries",
            "get by uid at 100,000",
            _repeated(lambda: lake.ULabel.get(labels[77])),
            None,
            "",
            at_most(value=3),
        )
        yield ms(
            "registries",
            "get by name at 100,000",
            _repeated(lambda: lake.ULabel.get(name="term 77")),
            None,
            "",
            at_most(value=3),
        )
        counted = _repeated(lambda: lake.Artifact.filter(ulabels=asked).count())
        listed = _repeated(lambda: lake.Artifact.filter(ulabels=asked).all())
        named = _repeated(lambda: lake.Artifact.filter(ulabels__name=asked.name).all())
        for name, sample in (("count", counted), ("list", listed), ("list by name", named)):
            yield ms("registries", f"artifacts of a label, 100,000 x 3: {name}", sample, None, "", at_most(value=10))
        exported = _repeated(lambda: lake.Artifact.filter().df(), 5)
        yield ms("registries", "export of 100,000 artifacts (pandas)", exported, None, "", at_most(value=80))
        exported = _repeated(lambda: lake.ULabel.filter().df(), 5)
        yield ms("registries", "export of 100,000 labels (pandas)", exported, None, "", at_most(value=80))


def _fill_artifacts(lake: Instance, count: int) -> list[str]:
    first = lake.Artifact(b"bench", key="first.txt").save().to_row()
    uids: list[str] = new_uids(count).to_pylist()
    schema = lake.Artifact.spec().schema
    columns = {f.name: pa.array([first[f.name]] * count, f.type) for f in schema}
    columns["uid"] = pa.array(uids)
    columns["key"] = pa.array([f"raw/{i}.txt" for i in range(count)])
    columns["size"] = pa.array(np.arange(count))
    lake.run(lambda txn: txn.insert("artifact", pa.table(columns, schema=schema), fresh=True))
    return uids


def _insert_links(lake: Instance, links: list[tuple[str, str, str | None]]) -> None:
    stamps = lake.ULabel.filter().first()
    assert stamps is not None
    count = len(links)
    table = pa.table(
        {
            "uid": [link_uid(*link) for link in links],
            "artifact": [link[0] for link in links],
            "ulabel": [link[1] for link in links],
            "feature": pa.nulls(count, pa.string()),
            "created_at": pa.array([stamps.created_at] * count, pa.timestamp("us", "UTC")),
            "created_by": [stamps.created_by] * count,
            "run": pa.nulls(count, pa.string()),
        }
    )
    lake.run(lambda txn: txn.insert("artifact_ulabel", table, fresh=True))


def _genes(folder: Path) -> Iterator[Row]:
    """Measure 10,000 artifacts over 500 sets of 30,000 out of 40,000 genes, published and compacted."""
    random = np.random.default_rng(2)
    with Instance.create(folder / "genes", user="bench") as lake:
        organism = lake.Organism(name="human").save()
        pool = _GENES + 10_000
        genes = new_uids(pool)
        seen = lake.Gene(symbol="CD8A", stable_id="ENSG00000153563", organism=organism).save()
        row = seen.to_row()
        schema = lake.Gene.spec().schema
        columns = {f.name: pa.array([row[f.name]] * pool, f.type) for f in schema}
        columns["uid"], columns["symbol"] = genes, pa.array([f"G{i}" for i in range(pool)])
        columns["stable_id"] = pa.array([f"ENSG{i:011}" for i in range(pool)])
        lake.run(lambda txn: txn.insert("gene", pa.table(columns, schema=schema), fresh=True))
        sets, times = [], []
        for number in range(_SETS):
            members = genes.take(pa.array(random.choice(pool, _GENES - 1, replace=False)))
            whole = [*members.to_pylist(), *([seen.uid] if number % 10 == 0 else [])]
            began = time.perf_counter()
            sets.append(lake.FeatureSet.of(whole, registry="Gene", modality="rna").save())
            times.append(time.perf_counter() - began)
        artifacts = _fill_artifacts(lake, _ARTIFACTS)
        stamps = sets[0]
        table = pa.table(
            {
                "uid": new_uids(_ARTIFACTS),
                "artifact": artifacts,
                "feature_set": [sets[i % _SETS].uid for i in range(_ARTIFACTS)],
                "slot": ["var"] * _ARTIFACTS,
                "created_at": pa.array([stamps.created_at] * _ARTIFACTS, pa.timestamp("us", "UTC")),
                "created_by": [stamps.created_by] * _ARTIFACTS,
                "run": pa.nulls(_ARTIFACTS, pa.string()),
            }
        )
        lake.run(lambda txn: txn.insert("artifact_feature_set", table, fresh=True))
        lake.flush()
        yield ms("registries", "save a set of 30,000 genes", Sample(tuple(times)))
        query = lake.Artifact.filter(genes__symbol="CD8A")
        assert query.count() == _ARTIFACTS // 10
        before = _repeated(query.count, 3)
        yield ms("registries", "artifacts that measure a gene, before compaction", before)
        lake.compact()
        after = _repeated(query.all, 7)
        yield ms("registries", "artifacts that measure a gene, 500 x 30,000", after, None, "", at_most(value=50))


def _processes(folder: Path) -> Iterator[Row]:
    limit = Limit("value", 500, least=True)
    found, floor = together(ours(folder / "shared"), _SECONDS), together(bare(folder / "bare"), _SECONDS)
    against = "parquet, blake3, fsync, SQLite"
    yield Row("registries", "four processes saving frames", found, "artifacts/s", floor, against, limits=(limit,))
