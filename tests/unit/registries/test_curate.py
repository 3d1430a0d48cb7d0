"""Curators: validate, standardize, add what is new, save annotated."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse.errors import InputError, InvalidData, InvalidFile
from registries.checking import check_files, stale
from registries.curate import Curator
from validation import Rule, Slot


@pytest.fixture
def samples(lake):
    lake.save([lake.ULabel(name="treated", synonyms=["dosed"]), lake.ULabel(name="control")])
    rules = [Rule("condition", "cat[ULabel]"), Rule("age", "int", ge=0, unit="years")]
    return lake.Schema(rules, name="samples").save()


def frame(**more):
    return pl.DataFrame({"condition": ["treated", "control"], "age": [31, 27]} | more)


CONTAINERS = [frame, lambda **m: frame(**m).to_pandas(), lambda **m: frame(**m).to_arrow()]


@pytest.mark.parametrize("make", CONTAINERS, ids=["polars", "pandas", "arrow"])
def test_tables_are_standardized_saved_and_annotated(lake, samples, make):
    given = make(condition=["Dosed", "control"])
    curator = Curator(given, samples, lake)
    assert [f.reason for f in curator.validate()] == ["not_in_registry"]
    with pytest.raises(InvalidData):
        curator.save_artifact(key="x.parquet")
    assert [(fix.before, fix.after) for fix in curator.standardize()] == [("Dosed", "treated")]
    assert type(curator.data) is type(given) and curator.validate().ok
    artifact = curator.save_artifact(key="x.parquet", description="pilot")
    assert [label.name for label in artifact.labels.get(feature="condition")] == ["control", "treated"]
    assert lake.Feature.get(name="age").unit == "years"
    assert list(artifact.features.sets()) == ["columns"]
    assert lake.Artifact.filter(schemas__name="samples").one() == artifact
    assert artifact.load()["condition"].tolist() == ["treated", "control"]
    column = given["condition"]
    assert (column.to_pylist() if isinstance(given, pa.Table) else list(column)) == ["Dosed", "control"]


def test_all_is_one_commit_and_an_invalid_one_leaves_nothing(lake, samples):
    before = lake.snapshot().commit
    with pytest.raises(InvalidData):
        Curator(frame(age=[-1, 2]), samples, lake).save_artifact(key="x.parquet")
    assert lake.snapshot().commit == before
    Curator(frame(), samples, lake).save_artifact(key="x.parquet")
    assert lake.snapshot().commit == before + 1


def test_an_invalid_one_is_registered_as_such_when_asked(lake, samples):
    artifact = Curator(frame(age=[-1, 2]), samples, lake).save_artifact(key="x.parquet", on_invalid="register")
    rows = lake.sql("select status, n_faults from artifact_schema where artifact = ?", [artifact.uid]).fetchall()
    assert rows == [("invalid", 1)]
    assert not artifact.labels.get()


@pytest.mark.parametrize("wrap", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_that_are_to_be_converted_are_converted_unless_a_value_would_be_lost(lake, wrap):
    rules = [
        Rule("n", "int", coerce=True, nullable=True),
        Rule("day", "date", coerce=True),
        Rule("x", "int", coerce=True),
    ]
    frame = wrap({"n": ["1", None], "day": ["2026-01-31", "2026-02-01"], "x": ["1", "2.5"]})
    curator = Curator(frame, rules, lake)
    assert [(fix.column, fix.after) for fix in curator.standardize()] == [("n", "int"), ("day", "date")]
    made = pl.DataFrame(curator.data) if not isinstance(curator.data, pd.DataFrame) else pl.from_pandas(curator.data)
    assert made["n"].to_list() == [1, None]
    assert made["day"].dtype.is_temporal()
    assert made["x"].to_list() == ["1", "2.5"]
    assert [fault.column for fault in curator.validate()] == ["x"]


def test_a_lazy_frame_is_a_frame(lake, samples):
    curator = Curator(frame(condition=["Dosed", "control"]).lazy(), samples, lake)
    assert [fault.rows for fault in curator.validate()] == [(0,)]
    assert [fix.after for fix in curator.standardize()] == ["treated"]
    assert curator.save_artifact(key="lazy.parquet").labels.get(feature="condition")


def test_data_in_memory_are_no_files(lake):
    with pytest.raises(InputError, match=r"curate\(data, schema\)"):
        check_files(lake, pd.DataFrame({"a": [1]}), "s")


def test_new_terms_are_added_and_spellings_are_not(lake, samples):
    curator = Curator(frame(condition=["Dosed", "washed out"]), samples, lake)
    assert [record.name for record in curator.add_new_from("condition")] == ["washed out"]
    curator.standardize()
    assert curator.validate().ok
    with pytest.raises(InputError, match="did you mean 'condition'"):
        curator.add_new_from("conditions")


def test_a_schema_is_a_name_a_list_or_panderas_own(lake, samples):
    import pandera.polars as pandera

    assert Curator(frame(), "samples", lake).validate().ok
    assert not Curator(frame(), [Rule("age", "str")], lake).validate().ok
    own = pandera.DataFrameSchema(
        {"age": pandera.Column(int, pandera.Check(lambda d: d.lazyframe.select(pl.col("age") > 30), name="old"))}
    )
    report = Curator(frame(), own, lake).validate()
    assert [(f.reason, f.column, f.rows) for f in report] == [("old", "age", (1,))]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_files_are_read_in_batches_and_saved(lake, samples, tmp_path, suffix):
    path = tmp_path / f"samples{suffix}"
    table = frame()
    table.write_parquet(path) if suffix == ".parquet" else table.write_csv(path)
    curator = Curator(path, samples, lake)
    assert curator.validate().ok
    artifact = curator.save_artifact(key=f"samples{suffix}")
    assert len(artifact.labels.get()) == 2


def test_a_large_csv_whose_last_value_is_of_another_type_is_told_as_a_small_one_is(lake, tmp_path):
    path, rows = tmp_path / "large.csv", 2_000_000  # types are found in the first 8 MB of files above 16 MB
    path.write_text("n\n" + "12345678\n" * rows + "x7\n")
    (fault,) = Curator(path, [Rule("n", "int", coerce=True)], lake).validate()
    assert (fault.reason, fault.rows, fault.examples) == ("not_coercible", (rows,), ("x7",))
    path.write_text("n\n" + "12345678\n" * rows + "1.5\n")
    assert Curator(path, [Rule("n", "float")], lake).validate().ok
    path.write_text("n,m\n" + "1234567,8\n" * rows + "1,2,3\n")
    with pytest.raises(InvalidFile, match=r"large.csv.*cannot be read as csv"):
        Curator(path, [Rule("n", "int")], lake).validate()


@pytest.mark.parametrize("name", [None, "cell"])
def test_the_index_of_a_pandas_frame_is_validated_in_its_file_too(lake, tmp_path, name):
    rules = Slot([Rule("a", "int")], index=Rule("index", "str", regex="c.*", unique=True), extra="forbid")
    schema = lake.Schema({"columns": rules}, name="indexed").save()
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=pd.Index(["c1", "c2", "c3"], name=name))
    Curator(frame, schema, lake).save_artifact(key="x.parquet")
    assert not stale(lake)
    bad = frame.set_axis(pd.Index(["c1", "x", "c1"], name=name), axis="index")
    bad.to_parquet(tmp_path / "bad.parquet")
    told = [
        (fault.reason, fault.column, fault.rows) for fault in Curator(tmp_path / "bad.parquet", schema, lake).validate()
    ]
    assert told == [(fault.reason, fault.column, fault.rows) for fault in Curator(bad, schema, lake).validate()]
    assert [reason for reason, *_ in told] == ["no_match", "duplicate"]
    plain = lake.Schema({"columns": Slot([Rule("a", "int")], extra="forbid")}, name="plain").save()
    assert Curator(bad, plain, lake).validate().ok and Curator(tmp_path / "bad.parquet", plain, lake).validate().ok


def test_lists_of_labels_are_labels(lake, samples):
    curator = Curator(pl.DataFrame({"tags": [["treated", "control"], []]}), [Rule("tags", "list[cat[ULabel]]")], lake)
    assert curator.validate().ok
    assert len(curator.save_artifact(key="t.parquet").labels.get(feature="tags")) == 2


@pytest.mark.parametrize("wrap", [pd.DataFrame, pl.DataFrame, pa.table])
def test_items_of_lists_are_told_and_standardized(lake, samples, wrap):
    given = wrap({"labels": [["DOSED", "control"], [], ["contro", "treated"]]})
    curator = Curator(given, [Rule("labels", "list[cat[ULabel]]")], lake)
    (fault,) = curator.validate()
    assert (fault.rows, fault.examples) == ((0, 2), ("DOSED", "contro"))
    assert fault.suggestion == "standardize() makes 'DOSED' 'treated'; for 'contro' did you mean 'control'?"
    assert [(fix.column, fix.before, fix.after) for fix in curator.standardize()] == [("labels", "DOSED", "treated")]
    made = curator.data["labels"]
    assert type(curator.data) is type(given) and type(made) is type(given["labels"])
    rows = made.to_pylist() if hasattr(made, "to_pylist") else made.to_list()
    assert [list(row) for row in rows] == [["treated", "control"], [], ["contro", "treated"]]
    assert [fault.examples for fault in curator.validate()] == [("contro",)]


def test_ids_are_compared_with_their_field(lake):
    lake.CellType(name="T cell", ontology_id="CL:0000084").save()
    curator = Curator(pl.DataFrame({"c": ["CL:0000084"]}), [Rule("c", "cat[CellType]", field="ontology_id")], lake)
    assert curator.validate().ok
    assert [label.name for label in curator.save_artifact(key="t.parquet").cell_types.get()] == ["T cell"]


# AnnData and MuData


def anndata(**obs):
    import anndata

    frame = pd.DataFrame({"condition": ["treated", "control"]} | obs, index=["c1", "c2"])
    var = pd.DataFrame(index=["ENSG1", "ENSG2"])
    return anndata.AnnData(
        np.ones((2, 2), dtype="float32"), obs=frame, var=var, uns={"title": "t"}, obsm={"X_umap": np.ones((2, 2))}
    )


@pytest.fixture
def cells(lake, samples):
    lake.save([lake.Gene(symbol=f"G{i}", ensembl_gene_id=f"ENSG{i}") for i in (1, 2)])
    slots = {
        "obs": Slot([Rule("condition", "cat[ULabel]")], index=Rule("index", "str", unique=True)),
        "var": Slot([], index=Rule("index", "cat[Gene]", field="ensembl_gene_id")),
        "uns": [Rule("title", "str")],
        "obsm": [Rule("X_umap", "float", ncols=2)],
        "X": [Rule("X", "float")],
    }
    return lake.Schema(slots, name="cells").save()


def test_an_anndata_is_validated_and_annotated(lake, cells):
    curator = Curator(anndata(condition=["dosed", "control"]), cells, lake)
    assert [(f.reason, f.slot) for f in curator.validate()] == [("not_in_registry", "obs")]
    curator.standardize()
    artifact = curator.save_artifact(key="x.h5ad")
    assert [label.name for label in artifact.labels.get(feature="condition")] == ["control", "treated"]
    assert artifact.features.sets()["var"].n == 2
    assert lake.Artifact.filter(genes__symbol="G1").one() == artifact


def test_every_slot_of_an_anndata_tells_its_faults(lake, cells, tmp_path):
    bad = anndata()
    bad.var_names = ["ENSG1", "ENSG9"]
    del bad.uns["title"]
    bad.obsm["X_umap"] = np.ones((2, 3), dtype=int)
    bad.X = bad.X.astype(int)
    expected = {
        ("not_in_registry", "var"),
        ("missing_key", "uns"),
        ("wrong_dtype", "obsm"),
        ("wrong_shape", "obsm"),
        ("wrong_dtype", "X"),
    }
    assert {(f.reason, f.slot) for f in Curator(bad, cells, lake).validate()} == expected
    bad.write_h5ad(tmp_path / "bad.h5ad")
    assert {(f.reason, f.slot) for f in Curator(tmp_path / "bad.h5ad", cells, lake).validate()} == expected


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_raw_is_validated_where_it_lies(lake, tmp_path, suffix):
    data, path = anndata(), tmp_path / f"x{suffix}"
    data.raw = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr, about formats to come
        data.write_h5ad(path) if suffix == ".h5ad" else data.write_zarr(path)
    rules = {"raw/var": Slot([Rule("gone")], index=Rule("index", "str", regex="x")), "raw/X": [Rule("X", "bool")]}
    told = sorted((fault.slot, fault.column, fault.reason) for fault in Curator(path, rules, lake).validate())
    assert told == [
        ("raw/X", "X", "wrong_dtype"),
        ("raw/var", "gone", "missing_column"),
        ("raw/var", "index", "no_match"),
    ]


def test_a_share_of_genes_may_be_unknown(lake, cells):
    given = anndata()
    given.var_names = ["ENSG1", "ENSG9"]
    slot = Slot([], index=Rule("index", "cat[Gene]", field="ensembl_gene_id", max_unknown=0.5))
    assert Curator(given, {"var": slot}, lake).validate().ok


def test_each_modality_of_a_mudata_has_its_slots(lake, cells):
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = mudata.MuData({"rna": anndata(condition=["dosed", "x"])})
    schema = {"rna/obs": [Rule("condition", "cat[ULabel]")], "prot/obs": [Rule("a")]}
    curator = Curator(given, schema, lake)
    assert {(f.reason, f.slot) for f in curator.validate()} == {
        ("not_in_registry", "rna/obs"),
        ("missing_slot", "prot/obs"),
    }
    assert [fix.after for fix in curator.standardize()] == ["treated"]
    assert given.mod["rna"].obs["condition"].tolist() == ["treated", "x"]


def test_a_soma_experiment_is_validated_where_it_lies(lake, cells, tmp_path):
    soma_io = pytest.importorskip("tiledbsoma.io")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = anndata(condition=["dosed", "control"])
        soma_io.from_anndata(str(tmp_path / "x.soma"), given, measurement_name="rna")
        schema = {"obs": [Rule("condition", "cat[ULabel]")], "rna/var": [Rule("var_id", "str", unique=True)]}
        report = Curator(tmp_path / "x.soma", schema, lake).validate()
    assert [(f.reason, f.slot, f.rows) for f in report] == [("not_in_registry", "obs", (0,))]


# Public terms


@pytest.fixture
def public(lake, tmp_path):
    """A public source in a file of this machine, nothing of which is imported."""
    file = tmp_path / "cl.obo"
    terms = ["CL:0000000\nname: cell", 'CL:0000084\nname: T cell\nsynonym: "T lymphocyte" EXACT []\nis_a: CL:0000000']
    terms += ['CL:1\nname: a\nsynonym: "twin" EXACT []', 'CL:2\nname: b\nsynonym: "twin" EXACT []']
    file.write_text("format-version: 1.2\n\n" + "".join(f"[Term]\nid: {term}\n\n" for term in terms))
    lake.Source(entity="CellType", name="cl", version="1", url=str(file), format="obo", prefix="CL", pinned=True).save()
    return lake.Schema([Rule("cell_type", "cat[CellType]")], name="cells").save()


def test_public_terms_are_imported_and_others_become_records_of_their_own(lake, public):
    curator = Curator(pl.DataFrame({"cell_type": ["T lymphocyte", "my cell", "CELL", "twin"]}), public, lake)
    assert "'T lymphocyte' is in cl 1: add_new_from('cell_type') imports it" in str(curator.validate())
    before = lake.snapshot().commit
    added = curator.add_new_from("cell_type")
    assert lake.snapshot().commit == before + 1
    assert {one.name: one.ontology_id for one in added} == {
        "T cell": "CL:0000084",
        "cell": "CL:0000000",
        "my cell": None,
    }
    assert [one.name for one in lake.CellType.get(name="T cell").parents.all()] == ["cell"]
    assert {(fix.before, fix.after) for fix in curator.standardize()} == {("T lymphocyte", "T cell"), ("CELL", "cell")}
    left = curator.validate().faults
    assert [(one.reason, one.examples) for one in left] == [("not_in_registry", ("twin",))]
    assert curator.add_new_from("cell_type") == []


def test_versions_of_gene_ids_are_taken_off_an_index_unless_two_would_be_one(lake):
    import anndata

    human = lake.Organism(name="Homo sapiens", ontology_id="NCBITaxon:9606", synonyms=["human"]).save()
    lake.save([lake.Gene(symbol=s, ensembl_gene_id=f"ENSG0000000000{n}", organism=human) for n, s in enumerate("ABC")])
    rule = Rule("index", "cat[Gene]", field="ensembl_gene_id")
    for ids, fixed in (
        (["ENSG00000000001.2", "ENSG00000000002"], True),
        (["ENSG00000000001.2", "ENSG00000000001"], False),
    ):
        data = anndata.AnnData(np.eye(2, dtype="float32"), var=pd.DataFrame(index=ids))
        curator = Curator(data, {"var": Slot((), index=rule)}, lake)
        assert not curator.validate().ok
        assert [(fix.slot, fix.after) for fix in curator.standardize()] == ([("var", ids[0][:-2])] if fixed else [])
        assert curator.validate().ok == fixed
    frame = pd.DataFrame({"n": [1]}, index=["ensg00000000002.1"])
    curator = Curator(frame, {"columns": Slot((), index=rule, extra="allow")}, lake)
    assert curator.standardize()[0].after == "ENSG00000000002"
    assert list(frame.index) == ["ensg00000000002.1"] and list(curator.data.index) == ["ENSG00000000002"]


# Files on their way in


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    frame().write_csv(folder / "good.csv")
    frame(age=[-1, 2]).write_csv(folder / "bad.csv")
    (folder / "torn.parquet").write_bytes(b"PAR1")
    return folder


def test_one_bad_file_refuses_all(lake, samples, folder):
    before = lake.snapshot().commit
    with pytest.raises(InvalidData, match="2 of 3 files do not conform, so none was saved"):
        check_files(lake, [folder], "samples", save=True)
    assert lake.snapshot().commit == before
    assert {one.outcome for one in check_files(lake, [folder], "samples")} == {"valid", "invalid"}


def test_bad_files_are_moved_with_their_reports(lake, samples, folder, tmp_path):
    away = tmp_path / "away"
    found = check_files(lake, [folder], "samples", save=True, on_invalid="quarantine", quarantine=away)
    assert sorted(one.outcome for one in found) == ["quarantined", "quarantined", "saved"]
    assert sorted(p.name for p in away.iterdir()) == [
        "bad.csv",
        "bad.csv.report.json",
        "torn.parquet",
        "torn.parquet.report.json",
    ]
    assert [p.name for p in folder.iterdir()] == ["good.csv"]
    assert lake.Artifact.filter().one().key == "good.csv"


def test_files_of_a_folder_are_saved_under_their_paths_in_it(lake, samples, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        frame(age=[len(name), ord(name)]).write_csv(tmp_path / "in" / name / "x.csv")
    check_files(lake, [tmp_path / "in"], "samples", save=True)
    assert sorted(one.key for one in lake.Artifact.filter().all()) == ["a/x.csv", "b/x.csv"]
    before = lake.snapshot().commit
    with pytest.raises(InputError, match=r"would both be saved under the key 'x\.csv'"):
        check_files(lake, [tmp_path / "in" / "a", tmp_path / "in" / "b"], "samples", save=True)
    assert lake.snapshot().commit == before


def test_artifacts_that_no_longer_conform_are_listed(lake, samples):
    artifact = Curator(frame(), samples, lake).save_artifact(key="x.parquet")
    assert stale(lake) == []
    lake.Schema([Rule("condition", "cat[ULabel]"), Rule("age", "int", ge=30)], name="samples").save()
    assert [(one.name, one.uid) for one in stale(lake)] == [("x.parquet", artifact.uid)]
    assert stale(lake, "samples")[0].report.faults[0].reason == "out_of_range"


def test_an_artifact_is_stale_when_a_registry_changes(lake, samples):
    Curator(frame(), samples, lake).save_artifact(key="x.parquet")
    label = lake.ULabel.get(name="treated")
    label.name = "dosed"
    label.save()
    assert [one.report.faults[0].reason for one in stale(lake)] == ["not_in_registry"]
