from __future__ import annotations

import io

import pytest

import lakehouse as lh


def test_names_of_lamindb_are_answered_with_ours(lake):
    artifact = lake.Artifact(b"x", key="a.txt").save()
    for call, ours in (
        (lambda: lake.Artifact.from_dataframe, r"from_df\(\)"),
        (lambda: artifact.cache, r"stage\(\)"),
        (lambda: lake.Artifact.filter().to_dataframe, r"df\(\)"),
        (lambda: lake.CellType.from_source, r"import_source\(\)"),
        (lambda: lake.Artifact(b"1").features.set_values, r"add_values\(\)"),
        (lambda: lake.ULabel.get_or_none, "one_or_none"),
        (lambda: lh.Collection, "'Dataset'"),
    ):
        with pytest.raises(AttributeError, match=ours):
            call()
    with pytest.raises(AttributeError, match="did you mean 'labels'"):
        artifact.lables  # noqa: B018
    assert lh.File is lh.Artifact
    with artifact.backed() as file:
        assert file.read() == b"x"


def test_records_and_queries_show_as_html_with_nothing_of_theirs_run(lake):
    lake.ULabel(name="<script>alert(1)</script>").save()
    for text in (lake.ULabel.filter()._repr_html_(), lake.ULabel.filter().one()._repr_html_()):
        assert "&lt;script&gt;" in text
        assert "<script>" not in text
    assert "1 records" in lake.ULabel.filter()._repr_html_()


def test_records_and_descriptions_show_in_rich_terminals(lake):
    from rich.console import Console

    artifact = lake.Artifact(b"a,b\n1,2\n", key="a.csv").save()
    lake.Feature(name="temperature", dtype="float", unit="degC").save()
    lake.Feature(name="condition", dtype="cat[ULabel]").save()
    artifact.labels.add("[red]treated", feature="condition", create=True)
    artifact.cell_types.add("T cell", create=True)
    artifact.features.add_values({"temperature": 21.5})
    artifact.features.add_set(lake.FeatureSet.of([lake.Gene(symbol="CD8A").save()], modality="rna"), slot="var")
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(artifact.describe())
    console.print(artifact)
    text = out.getvalue()
    for part in ("temperature: 21.5 degC", "condition: [red]treated", "var: 1 Gene, rna", "CellType: T cell", "a.csv"):
        assert part in text
    assert str(artifact.describe()).startswith("Artifact a.csv")
    assert "T cell" in artifact.describe()._repr_html_()
