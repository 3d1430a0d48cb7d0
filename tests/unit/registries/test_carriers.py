"""Labels out of every registry, on artifacts, runs and transforms."""

from __future__ import annotations

import pytest

from lakehouse.errors import ChangedSinceRead, InputError


@pytest.fixture
def carriers(lake):
    """An artifact, a run and a transform, each with a cell type under a feature, and a universal label."""
    cell = lake.CellType(name="T cell", ontology_id="CL:0000084").save()
    lake.Feature(name="cell_type", dtype="cat[CellType]").save()
    transform = lake.Transform(name="align", version="2").save()
    artifact, run = lake.Artifact(b"1", key="a.txt").save(), lake.Run(transform=transform).save()
    dataset = lake.Dataset([artifact], name="all").save()
    for holder in (artifact, run, transform, dataset):
        holder.labels.add(cell, feature="cell_type")
        holder.labels.add("treated", create=True)
    return lake


def test_runs_and_transforms_carry_labels_of_every_registry(carriers):
    run, transform = carriers.Run.filter().one(), carriers.Transform.get(name="align")
    for holder in (run, transform, carriers.Dataset.get(name="all")):
        assert holder.labels.all() == {None: ["treated"], "cell_type": ["T cell"]}
        assert [label.name for label in holder.cell_types.get()] == ["T cell"]
        assert [label.name for label in holder.ulabels.get()] == ["treated"]
    assert carriers.Run.filter(cell_types__ontology_id="CL:0000084").one() == run
    assert carriers.Transform.filter(cell_types__name="T cell", ulabels__name="treated").one() == transform
    assert carriers.Dataset.filter(cell_types__name="T cell").one().name == "all"
    assert carriers.CellType.filter(transforms__name="align", runs=run).count() == 1
    transform.cell_types.remove("T cell")
    assert carriers.Transform.filter(cell_types__name="T cell").count() == 0


def test_values_of_categorical_features_are_labels_of_runs_too(carriers):
    run = carriers.Run.filter().one()
    carriers.CellType(name="B cell").save()
    run.features.add_values({"cell_type": ["B cell"]})
    assert sorted(run.labels.all()["cell_type"]) == ["B cell", "T cell"]
    assert carriers.Run.filter(features__cell_type="B cell").one() == run


def test_datasets_have_values_of_features(carriers):
    dataset = carriers.Dataset.get(name="all")
    carriers.Feature(name="batches", dtype="int").save()
    dataset.features.add_values({"batches": 3})
    assert dataset.features.get_values() == {"batches": 3, "cell_type": "T cell"}
    assert carriers.Dataset.filter(features__batches__gt=2).one() == dataset


def test_labels_and_values_go_with_what_carries_them(carriers):
    run, transform, dataset = (
        carriers.Run.filter().one(),
        carriers.Transform.get(name="align"),
        carriers.Dataset.get(name="all"),
    )
    carriers.Feature(name="batches", dtype="int").save()
    for holder in (run, dataset):
        holder.features.add_values({"batches": 3})
    dataset.delete(permanent=True)
    for holder in (run, transform):
        holder.delete()
    for table in ("run_value", "dataset_value", "run_label", "transform_label", "dataset_label"):
        assert carriers.sql(f"select count(*) from {table}").fetchall() == [(0,)]
    carriers.CellType.get(name="T cell")


def test_labels_are_taken_over_from_one_carrier_to_another(carriers):
    fresh = carriers.Artifact(b"2", key="b.txt").save()
    fresh.labels.add_from(carriers.Transform.get(name="align"))
    assert fresh.labels.all() == {None: ["treated"], "cell_type": ["T cell"]}
    with pytest.raises(InputError, match="artifacts, runs, transforms, datasets"):
        fresh.labels.add_from(carriers.ULabel.get(name="treated"))


@pytest.mark.parametrize(
    ("view", "columns", "named"),
    [
        ("artifact_label", "key", ("a.txt",)),
        ("run_label", "run is not null", (True,)),
        ("transform_label", "name, version", ("align", "2")),
        ("dataset_label", "name, version", ("all", 0)),
    ],
)
def test_sql_shows_labels_of_all_registries_in_one_view(carriers, view, columns, named):
    rows = carriers.sql(f"select {columns}, registry, label, feature from {view} order by registry").fetchall()
    assert rows == [(*named, "cell_type", "T cell", "cell_type"), (*named, "ulabel", "treated", None)]


def test_the_view_of_labels_shows_what_a_transaction_has_added_and_older_commits_what_they_had(carriers):
    count = "select count(*) from artifact_label where registry = 'tissue'"
    before = carriers.snapshots()[0]
    with carriers.transaction():
        carriers.Artifact.get(key="a.txt").labels.add(carriers.Tissue(name="lung").save())
        assert carriers.sql(count).fetchall() == [(1,)]
    assert carriers.sql(count).fetchall() == [(1,)] and carriers.sql(count, at=before).fetchall() == [(0,)]


def test_a_serialisable_block_notices_labels_of_a_registry_that_had_none(carriers):
    count = "select count(*) from artifact_label where registry = 'disease'"
    asthma, artifact = carriers.Disease(name="asthma").save(), carriers.Artifact.get(key="a.txt")
    with pytest.raises(ChangedSinceRead), carriers.transaction(serializable=True):
        assert carriers.sql(count).fetchall() == [(0,)]
        link = carriers.lake.begin()
        row = {"uid": "x" * 20, "artifact": artifact.uid, "disease": asthma.uid}
        row |= {"created_at": artifact.created_at, "created_by": artifact.created_by}
        link.insert("artifact_disease", [row])
        carriers.lake.commit(link)
        carriers.ULabel(name="none has it").save()
