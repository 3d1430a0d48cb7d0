from __future__ import annotations

import numpy as np
import pytest

from lakehouse.errors import InputError


@pytest.fixture
def genes(lake):
    human = lake.Organism(name="human").save()
    names = ("CD8A", "CD4", "MS4A1", "GNLY")
    return lake.save([lake.Gene(symbol=name, stable_id=f"ENSG{i}", organism=human) for i, name in enumerate(names)])


def test_the_same_members_are_one_set_whatever_their_order(lake, genes):
    first = lake.FeatureSet.of(genes[:3], modality="rna").save()
    commits = len(lake.snapshots())
    assert lake.FeatureSet.of([genes[2], *genes[:2], genes[0]], modality="rna").save() == first
    assert len(lake.snapshots()) == commits
    assert lake.FeatureSet.of(genes[:3], modality="protein").save() != first
    assert {gene.symbol for gene in first.members.all()} == {"CD8A", "CD4", "MS4A1"}
    assert first.n == 3


def test_artifacts_are_found_by_what_they_measure(lake, genes):
    rna = lake.Artifact(b"1", key="rna.bin").save()
    adt = lake.Artifact(b"2", key="adt.bin").save()
    rna.features.add_set(lake.FeatureSet.of(genes[:2], modality="rna"), slot="var")
    adt.features.add_set(lake.FeatureSet.of(genes[1:], modality="protein"), slot="var")
    assert lake.Artifact.filter(genes__symbol="CD8A").all() == [rna]
    assert lake.Artifact.filter(genes__symbol="CD4").count() == 2
    assert lake.Artifact.filter(feature_sets__modality__name="protein", genes__symbol="CD4").all() == [adt]
    assert lake.Gene.filter(feature_sets__artifacts__key="adt.bin").count() == 3
    assert rna.features.sets()["var"].n == 2


def test_what_was_measured_is_described_with_the_dtypes_of_features(lake, genes):
    artifact = lake.Artifact(b"1", key="rna.bin").save()
    features = lake.save([lake.Feature(name="cell_type", dtype="cat[CellType]"), lake.Feature(name="age", dtype="int")])
    artifact.features.add_set(lake.FeatureSet.of(features), slot="obs")
    artifact.features.add_set(lake.FeatureSet.of(genes, modality="rna"), slot="var")
    described = str(artifact.describe())
    assert "obs: 2 Feature: age (int), cell_type (cat[CellType])" in described
    assert "var: 4 Gene, rna\n" in described + "\n"


def test_members_are_saved_records_of_one_registry_that_is_measured(lake, genes):
    with pytest.raises(InputError, match="at least one member"):
        lake.FeatureSet.of([])
    with pytest.raises(InputError, match="is not saved"):
        lake.FeatureSet.of([lake.Gene(symbol="X")])
    with pytest.raises(InputError, match="mixes Gene and Feature"):
        lake.FeatureSet.of([genes[0], lake.Feature(name="x", dtype="int").save()])
    with pytest.raises(InputError, match=r"ULabel is not measured: members come from one of .*Gene"):
        lake.FeatureSet.of([lake.ULabel(name="x").save()])


def test_h5ad_files_of_a_donor_that_measure_a_gene_made_by_a_notebook_are_one_query_and_one_select(lake, genes):
    import anndata as ad
    import pandas as pd

    lake.Feature(name="donor", dtype="cat[ULabel]").save()
    expected = None
    for version in ("2", "3"):
        notebook = lake.Transform(name="annotate", kind="notebook", version=version).save()
        with lake.use_run(lake.Run(transform=notebook).save()):
            for donor in ("X", "Y"):
                for count in (2, 4):
                    measured = genes[:2] if count == 2 else genes[1:]
                    names = [gene.symbol for gene in measured]
                    adata = ad.AnnData(np.ones((count, len(names)), "float32"), var=pd.DataFrame(index=names))
                    adata.uns["made"] = f"{version}{donor}{count}"
                    file = lake.Artifact.from_anndata(adata, key=f"{donor}/{version}-{count}.h5ad").save()
                    file.labels.add(donor, feature="donor", create=True)
                    file.features.add_set(lake.FeatureSet.of(measured, modality="rna"), slot="var")
                    if (version, donor, count) == ("3", "X", 2):
                        expected = file
    found = lake.Artifact.filter(
        suffix=".h5ad",
        features__donor="X",
        genes__symbol="CD8A",
        run__transform__name="annotate",
        run__transform__version="3",
    )
    assert found.all() == [expected]
    rows = lake.sql(
        """
        select a.key, a.size from artifact a
        join artifact_ulabel al on al.artifact = a.uid join ulabel l on l.uid = al.ulabel
        join feature f on f.uid = al.feature
        join artifact_feature_set s on s.artifact = a.uid
        join feature_set_gene m on m.feature_set = s.feature_set join gene g on g.uid = m.gene
        join run r on r.uid = a.run join transform t on t.uid = r.transform
        where a.suffix = '.h5ad' and f.name = 'donor' and l.name = 'X' and g.symbol = 'CD8A'
          and t.name = 'annotate' and t.version = '3'
        """
    ).fetchall()
    assert rows == [(expected.key, expected.size)]


def test_members_of_large_sets_are_found_after_publishing(lake):
    genes = lake.save([lake.Gene(symbol=f"g{i}", stable_id=f"E{i}") for i in range(300)])
    for start in range(0, 200, 10):
        artifact = lake.Artifact(str(start).encode(), key=f"{start}.txt").save()
        artifact.features.add_set(lake.FeatureSet.of(genes[start : start + 100], modality="rna"), slot="var")
    before = lake.Artifact.filter(genes__symbol="g105").count()
    lake.flush()
    assert lake.Artifact.filter(genes__symbol="g105").count() == before == 10
