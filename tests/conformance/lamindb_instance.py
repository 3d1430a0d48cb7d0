"""Fill a LaminDB instance and write down what LaminDB says of it; run by LaminDB's own Python, in ``make conformance``.

``lamindb_instance.py FOLDER`` expects an instance made by ``lamin init --storage FOLDER/storage --modules bionty``, with
FOLDER as the working folder, and writes ``FOLDER/expected.json`` and ``FOLDER/lamindb.sql``: the tables that the import
reads, and some that it has no use for, with the storage's place left open as ``{storage}``.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

TABLES = re.compile(
    r"(lamindb_(user|storage|transform|run|artifact|feature|ulabel|ulabel_parents|jsonvalue|artifactjsonvalue|runjsonvalue"
    r"|artifactulabel|runulabel|transformulabel|schema|schemafeature|artifactschema|collection|collectionartifact"
    r"|artifact_input_of_runs|branch|space|project|artifactproject)|bionty_(organism|celltype|celltype_parents|gene|source"
    r"|artifactcelltype|schemagene))"
)


def fill() -> None:
    import anndata
    import bionty as bt
    import lamindb as ln
    import numpy as np
    import pandas as pd

    ln.setup.settings.instance._is_on_hub = False
    transform = ln.Transform(key="make.py", kind="script", source_code="print('made')").save()
    run = ln.Run(transform)
    run.params = {"alpha": 0.5, "steps": [1, 2]}
    run.save()
    human = bt.Organism(name="human", ontology_id="NCBITaxon:9606").save()
    t_cell = bt.CellType(
        name="T cell", ontology_id="CL:0000084", synonyms="T-cell|T lymphocyte", description="x"
    ).save()
    lymphocyte = bt.CellType(name="lymphocyte", ontology_id="CL:0000542").save()
    bt.CellType(name="B cell", ontology_id="CL:0000236").save()
    t_cell.parents.add(lymphocyte)
    t_cell.source = bt.Source.filter(entity="bionty.CellType", name="cl").first()
    t_cell.save()
    for symbol, stable in (("CD8A", "ENSG00000153563"), ("CD4", "ENSG00000010610")):
        bt.Gene(symbol=symbol, ensembl_gene_id=stable, organism=human, synonyms="x|y").save()
    study = ln.ULabel(name="Study", is_type=True).save()
    ln.ULabel(name="Study1", type=study, description="the first").save()
    treated = ln.ULabel(name="treated").save()
    ln.ULabel(name="treated with A").save().parents.add(treated)
    ln.ULabel(name="given up").save().delete(permanent=False)
    features = [
        ln.Feature(name="donor", dtype=str, description="who gave").save(),
        ln.Feature(name="age", dtype=int, description="in years").save(),
        ln.Feature(name="cell_type", dtype=bt.CellType).save(),
    ]
    ln.Feature(name="temperature", dtype=float).save()
    ln.Feature(name="study", dtype=ln.ULabel).save()
    ln.Feature(name="passed", dtype=bool).save()
    frame = pd.DataFrame({"donor": ["D1", "D2"], "age": [1, 2], "cell_type": ["T cell", "B cell"]})
    first = ln.Artifact.from_dataframe(frame, key="samples.parquet", description="Samples", run=run).save()
    first.ulabels.add(treated)
    first.cell_types.add(t_cell)
    first.features.add_values({"temperature": 21.5, "study": "Study1", "passed": True})
    ln.Schema(name="samples schema", features=features).save()
    second = ln.Artifact.from_dataframe(frame.assign(age=[3, 4]), key="samples.parquet", revises=first, run=run).save()
    var = pd.DataFrame(index=["ENSG00000153563", "ENSG00000010610"])
    array = anndata.AnnData(np.ones((2, 2), dtype="float32"), obs=frame[["cell_type"]].set_axis(["a", "b"]), var=var)
    cells = ln.Artifact.from_anndata(array, key="x.h5ad", run=run).save()
    genes = ln.Schema.from_values(["CD8A", "CD4"], bt.Gene.symbol, organism="human").save()
    cells.schemas.add(genes, through_defaults={"slot": "var"})
    for name in ("notes.txt", "old.txt"):
        Path(name).write_text(f"hello from {name}")
    notes = ln.Artifact("notes.txt", key="notes.txt").save()
    run.input_artifacts.add(notes)
    ln.Artifact("old.txt", key="old.txt").save().delete(permanent=False)
    ln.Collection([second, cells], key="atlas", description="an atlas", run=run).save()
    second.projects.add(ln.Project(name="P").save())
    run.finished_at = run.started_at
    run.save()


def said() -> dict[str, Any]:
    """What LaminDB answers."""
    import bionty as bt
    import lamindb as ln

    artifacts = [one for one in ln.Artifact.filter().all() if one.branch_id == 1]
    return {
        "artifacts": {
            one.uid: {
                "key": one.key,
                "size": one.size,
                "rows": one.n_observations,
                "run": one.run.uid if one.run else None,
                "ulabels": sorted(label.name for label in one.ulabels.all()),
                "cell_types": sorted(label.name for label in one.cell_types.all()),
                "values": {
                    row.jsonvalue.feature.name: row.jsonvalue.value
                    for row in one.json_values.through.filter(artifact=one)
                },
                "collections": sorted(c.key for c in one.collections.all()),
            }
            for one in artifacts
        },
        "ulabels": {one.name: one.description for one in ln.ULabel.filter().all() if one.branch_id == 1},
        "features": sorted(one.name for one in ln.Feature.filter().all()),
        "cell_types": {
            one.name: [one.ontology_id, sorted(p.name for p in one.parents.all())] for one in bt.CellType.filter().all()
        },
        "sources": {
            one.name: [one.source.name, one.source.version]
            for one in bt.CellType.filter().all()
            if one.source is not None
        },
        "genes": {one.ensembl_gene_id: one.symbol for one in bt.Gene.filter().all()},
        "schemas": {
            one.name: sorted(f.name for f in one.features.all()) for one in ln.Schema.filter().all() if one.name
        },
    }


def dump(database: Path, storage: Path) -> str:
    """The tables as SQL statements."""
    con = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    lines = []
    for line in con.iterdump():
        found = re.match(r'(?:CREATE TABLE|INSERT INTO) "?(\w+)"?', line)
        if found is not None and TABLES.fullmatch(found[1]):
            lines.append(
                re.sub(r" REFERENCES .*?DEFERRABLE INITIALLY DEFERRED", "", line).replace(str(storage), "{storage}")
            )
    con.close()
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    fill()
    (folder / "expected.json").write_text(json.dumps(said(), indent=1, sort_keys=True) + "\n")
    (folder / "lamindb.sql").write_text(dump(folder / "storage/.lamindb/lamin.db", folder / "storage"))
