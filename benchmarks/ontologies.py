"""Ontologies: whole sources into a registry, hierarchies, names of genes, and reading beside pronto where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.harness import Limit, Row, alternate, at_most, ms, scratch
from lakehouse import config
from registries.instance import Instance
from registries.ontology.guide import guide_files
from registries.ontology.obo import read_obo
from registries.ontology.rdfxml import read_rdfxml
from registries.ontology.readers import read_source

__all__ = ["run"]

_REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "ontologies"
_GROUP = "ontologies"


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures; sources come from the package cellxgene-ontology-guide, or from files beside the repository."""
    # a cache of its own: the copies that earlier runs left would be read instead of the sources
    with scratch() as folder, config.using(cache_dir=str(folder / "cache")), Instance.create(folder / "lake") as lake:
        yield from _import(lake, "Disease", "MONDO", 3)
        yield from _import(lake, "Tissue", "UBERON", 3)
        yield from _import(lake, "Protein", "UniProt", 15)
        if large:
            yield from _import(lake, "Organism", "NCBITaxon", 40)
            yield from _hierarchy(lake)
        yield from _genes(lake)
    yield from _reading()


def _file(name: str) -> Path | None:
    found = guide_files(name) or guide_files(name, _REAL / "cxg")
    return next(iter(found.values()), None)


def _once(act: Callable[[], Any]) -> tuple[Any, float, str]:
    """Return what it gives, how long it took, and how much of that the processor worked, for machines that are busy."""
    began, worked = time.perf_counter(), time.process_time()
    found = act()
    return found, time.perf_counter() - began, f"{time.process_time() - worked:.1f} s of CPU"


def _import(lake: Instance, entity: str, name: str, bound: float) -> Iterator[Row]:
    if (file := _file(name)) is None:
        return
    _, floor, _ = _once(lambda: sum(map(len, read_source(file))))
    done, took, note = _once(lambda: getattr(lake, entity).import_source(path=file))
    title = f"{name}, {done.added:,} terms, into a registry"
    yield Row(_GROUP, title, took, "s", floor, "reading the file alone", (Limit("value", bound),), note=note)


def _hierarchy(lake: Instance) -> Iterator[Row]:
    human = lake.Organism.get(ontology_id="NCBITaxon:9606")
    _, cold, note = _once(lambda: human.ancestor_uids())
    yield Row(_GROUP, "the hierarchy of NCBITaxon, built once", cold, "s", note=note)
    samples = alternate({"up": lambda _: lambda: human.ancestor_uids()}, rounds=9)
    yield ms(_GROUP, "ancestors of a term in NCBITaxon", samples["up"], None, "", at_most(value=20))
    samples = alternate({"up": lambda _: lambda: human.ancestors().all()}, rounds=9)
    yield ms(_GROUP, "the same as records", samples["up"])
    # the package's file holds animals: of bacteria it has none
    insects = lake.Organism.get(ontology_id="NCBITaxon:50557")
    samples = alternate({"down": lambda _: lambda: insects.descendant_uids()}, rounds=5)
    name = f"all {len(insects.descendant_uids()):,} descendants of Insecta"
    yield ms(_GROUP, name, samples["down"], None, "", at_most(value=1000))


def _genes(lake: Instance) -> Iterator[Row]:
    folder = _REAL / "genes"
    if not folder.is_dir():
        return
    for file, source, organism, enrich in (
        ("genes_homo_sapiens.csv.gz", "ensembl", "human", False),
        ("genes_mus_musculus.csv.gz", "ensembl", "mouse", False),
        ("hgnc_entries_2024-07.tsv.gz", "hgnc", "human", True),
    ):
        options = {"source": source, "organism": organism, "path": folder / file, "enrich": enrich}
        done, took, note = _once(lambda options=options: lake.Gene.import_source("1", **options))
        yield Row(
            _GROUP,
            f"genes of {source}, {organism}: {done.added:,} new, {done.enriched:,} enriched",
            took,
            "s",
            note=note,
        )
    names = lake.Gene.filter(organism__name="Homo sapiens").pl()["symbol"].drop_nulls().to_list()[:33_000]
    act = lambda: lake.Gene.standardize(names, organism="human")  # noqa: E731 - a side
    samples = alternate({"ours": lambda _: act}, rounds=7)
    yield ms(_GROUP, "standardize 33,000 gene names", samples["ours"], None, "", at_most(value=60))


def _reading() -> Iterator[Row]:
    folder = _REAL / "obo"
    if not folder.is_dir():
        return
    for name in (
        "cl-basic_2022-12-15.obo",
        "pato.obo",
        "ncbitaxon_taxslim_2022-10.obo.gz",
        "hancestro.owl",
        "so.owl.gz",
    ):
        file = folder / name
        read = read_rdfxml if ".owl" in name else read_obo
        sides: dict[str, Any] = {"ours": lambda _, f=file, read=read: lambda: list(read(f))}
        if find_spec("pronto"):
            import pronto

            sides["pronto"] = lambda _, f=file: lambda: pronto.Ontology(f, import_depth=0)
        samples = alternate(sides, rounds=3)
        limits = (at_most(0.2),) if "pronto" in samples else ()
        yield ms(_GROUP, f"read {name}", samples["ours"], samples.get("pronto"), "pronto", *limits)
