"""What a validating ingest records of the content of files is what saving them one by one records."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from lakehouse.errors import InputError
from registries.curate import Curator
from registries.ingest import Ingest, Options
from registries.schema import ArtifactSchema
from validation import Rule, Slot


@pytest.fixture
def here(lake):
    def run(source, **options):
        return Ingest(lake, source, Options(executor=ThreadPoolExecutor(1), **options)).run()

    return run


def told(artifact):
    """Labels by feature, and the members of what was measured by slot."""
    sets = artifact.features.sets()
    return artifact.labels.all(), {slot: sorted(m.uid for m in one.members.all()) for slot, one in sets.items()}


def test_labels_and_genes_of_many_files_are_those_of_each(lake, here, tmp_path):
    import anndata

    human = lake.Organism(name="human").save()
    lake.save([lake.Gene(symbol=f"G{i}", ensembl_gene_id=f"ENSG{i}", organism=human) for i in range(4)])
    lake.save([lake.ULabel(name=name) for name in ("D1", "D2")])
    lake.CellType(name="T cell", ontology_id="CL:0000084").save()
    spec = {
        "obs": Slot([Rule("donor", "cat[ULabel|CellType]"), Rule("age", "int")]),
        "var": Slot([], index=Rule("index", "cat[Gene]", field="ensembl_gene_id")),
    }
    schema = lake.Schema(spec, name="cells").save()
    top = tmp_path / "cells"
    top.mkdir()
    for n, (donors, genes) in enumerate([(["D1", "T cell"], [0, 1]), (["D2", "D1"], [0, 1]), (["D2", "D2"], [2, 3])]):
        obs = pd.DataFrame({"donor": donors, "age": [n, n + 1]}, index=pd.Index(["a", "b"]))
        var = pd.DataFrame(index=pd.Index([f"ENSG{i}" for i in genes]))
        anndata.AnnData(np.ones((2, 2), "float32"), obs=obs, var=var).write_h5ad(top / f"{n}.h5ad")
    before = len(lake.snapshots())
    assert here(top, schema="cells").counts == {"new": 3}
    assert len(lake.snapshots()) == before + 1
    for n in range(3):
        one = Curator(top / f"{n}.h5ad", schema, lake).save_artifact(key=f"alone/{n}.h5ad")
        assert told(lake.Artifact.get(key=f"cells/{n}.h5ad")) == told(one) != ({}, {})
    assert lake.FeatureSet.filter(registry="Gene").count() == 2
    assert lake.Artifact.filter(schemas__name="cells", cell_types__name="T cell").count() == 2


def test_a_schema_that_is_no_record_annotates_new_files_alone(lake, here, folder):
    lake.save([lake.ULabel(name="D1"), lake.ULabel(name="D2")])
    files = str(folder / "*.csv")
    assert here(files, schema=[Rule("donor", "cat[ULabel]")]).counts == {"new": 1}
    found = lake.Artifact.get(key="t.csv")
    assert found.labels.all() == {"donor": ["D1", "D2"]}
    found.labels.remove("D2")
    assert here(files, schema=[Rule("donor", "cat[ULabel]")], resume=False).counts == {"unchanged": 1}
    assert found.labels.all() == {"donor": ["D1"]}


def test_what_was_found_invalid_once_is_valid_when_it_conforms_now(lake, here, folder):
    schema = lake.Schema([Rule("age", "int", ge=0)], name="ages").save()
    here(str(folder / "*.csv"))
    found = lake.Artifact.get(key="t.csv")
    lake.bound(ArtifactSchema)(artifact=found, schema=schema, status="invalid", n_faults=2).save()
    assert here(str(folder / "*.csv"), schema="ages").counts == {"unchanged": 1}
    rows = lake.sql("select status, n_faults from artifact_schema").fetchall()
    assert rows == [("valid", 0)]


def test_a_feature_that_takes_other_labels_is_told_and_nothing_is_saved(lake, here, folder):
    lake.save([lake.ULabel(name="D1"), lake.ULabel(name="D2"), lake.Feature(name="donor", dtype="cat[CellType]")])
    with pytest.raises(InputError, match=r"cat\[CellType\]"):
        here(str(folder / "*.csv"), schema=[Rule("donor", "cat[ULabel]")])
    assert lake.Artifact.filter().count() == 0
