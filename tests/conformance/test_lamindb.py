"""What an import of a LaminDB instance brings, beside what LaminDB itself says of it.

The tables were recorded from an instance that the real LaminDB made (``make conformance`` makes it anew, and then these
tests run on the instance itself, too).
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from lakehouse.cli import main
from lakehouse.errors import InvalidFile, NotFound, ReadOnly
from registries import Instance
from registries.lamindb import import_lamindb

HERE = Path(__file__).parent
REAL = HERE.parents[1] / ".cache/conformance/lamindb"


def recorded(folder: Path) -> Path:
    """Make the database of the recorded instance, with the files that are small enough to be made up."""
    database = folder / "storage/.lamindb/lamin.db"
    database.parent.mkdir(parents=True)
    con = sqlite3.connect(database)
    con.executescript((HERE / "lamindb.sql").read_text().replace("{storage}", str(folder / "storage")))
    for uid, suffix, key in con.execute("SELECT uid, suffix, key FROM lamindb_artifact WHERE suffix = '.txt'"):
        (database.parent / f"{uid}{suffix}").write_text(f"hello from {key}")
    con.close()
    return database


@pytest.fixture(scope="module", params=["recorded", "real"])
def moved(request, tmp_path_factory):
    """An instance into which another one was moved, the report, and what LaminDB says."""
    folder = tmp_path_factory.mktemp("lamin")
    if request.param == "real" and not (REAL / "expected.json").exists():
        pytest.skip("no instance of the real LaminDB is here: make conformance makes one")
    database = recorded(folder) if request.param == "recorded" else REAL / "storage/.lamindb/lamin.db"
    expected = json.loads(
        (HERE / "lamindb_expected.json" if request.param == "recorded" else REAL / "expected.json").read_text()
    )
    with Instance.create(folder / "lake", user="ada") as lake:
        report = import_lamindb(lake, database)
        yield lake, report, expected, database


def test_artifacts_lie_where_they_lay_with_all_that_they_carry(moved):
    lake, _, expected, _ = moved
    every = [one for one in lake.Artifact.filter().all() if not one.key.startswith("lamindb/source/")]
    assert {one.uid for one in every} == set(expected["artifacts"])
    for uid, said in expected["artifacts"].items():
        artifact = lake.Artifact.get(uid)
        assert (artifact.key, artifact.size, artifact.n_rows) == (said["key"], said["size"], said["rows"])
        assert sorted(label.name for label in artifact.ulabels.get()) == said["ulabels"]
        assert sorted(label.name for label in artifact.cell_types.get()) == said["cell_types"]
        assert [one.name for one in lake.Dataset.filter(artifacts__uid=uid).all()] == said["collections"]
        assert said["values"].items() <= artifact.features.get_values().items()
        run = lake.Run.get(artifact.run).external_id if artifact.run else None
        assert run == said["run"]
    atlas = lake.Dataset.get(name="atlas")
    assert (atlas.description, len(atlas), [one.key for one in atlas.ordered()]) == (
        "an atlas",
        2,
        ["samples.parquet", "x.h5ad"],
    )
    notes = lake.Artifact.get(key="notes.txt")
    assert notes.load() == b"hello from notes.txt"
    assert ".lamindb" in str(notes.path)
    assert lake.sql("select count(*) from artifact_all where deleted_at is not null").fetchall() == [(1,)]
    versions = lake.Artifact.get(key="samples.parquet").versions
    assert [one.version for one in versions] == [0, 1]
    assert versions[0].labels.all() == {None: ["T cell", "treated"], "study": ["Study1"]}


def test_words_hierarchies_and_sets_are_those_that_lamindb_says(moved):
    lake, _, expected, _ = moved
    assert {one.name: one.description for one in lake.ULabel.filter().all()} == expected["ulabels"]
    assert sorted(one.name for one in lake.Feature.filter().all()) == expected["features"]
    assert lake.Feature.get(name="cell_type").dtype == "cat[CellType]"
    cells = lake.CellType.filter().all()
    assert {c.name: [c.ontology_id, sorted(p.name for p in c.parents.all())] for c in cells} == expected["cell_types"]
    taken = {one.name: lake.Source.get(one.source) for one in cells if one.source}
    assert {name: [one.name, one.version] for name, one in taken.items()} == expected["sources"]
    assert lake.CellType.get(name="T cell").synonyms == ["T-cell", "T lymphocyte"]
    assert {one.ensembl_gene_id: one.symbol for one in lake.Gene.filter().all()} == expected["genes"]
    assert {one.name for one in lake.ULabel.filter(descendant_of="treated").all()} == {"treated", "treated with A"}
    assert [parent.name for parent in lake.ULabel.get(name="Study1").parents.all()] == ["Study"]
    for name, members in expected["schemas"].items():
        found = lake.Schema.get(name=name).definition.slots
        assert sorted(rule.name for slot in found.values() for rule in slot.rules) == members
    measured = lake.Artifact.get(key="x.h5ad").features.sets()
    assert {slot: (one.registry, one.n) for slot, one in measured.items()} == {"var": ("Gene", 2)}
    assert lake.Artifact.filter(genes__symbol="CD8A").one().key == "x.h5ad"


def test_lineage_is_kept_with_users_sources_and_parameters(moved):
    lake, _, _, _ = moved
    run = lake.Run.filter(external_id__isnull=False).one()
    assert run.params == {"alpha": 0.5, "steps": [1, 2]}
    assert (run.outcome, lake.Transform.get(run.transform).name) == ("finished", "make.py")
    assert lake.Artifact.get(lake.Transform.get(run.transform).source).load() == b"print('made')"
    assert [one.key for one in lake.Artifact.filter(uid__in=[r["artifact"] for r in lake.snapshot().rows("run_input").to_pylist()]).all()] == ["notes.txt"]  # fmt: skip
    assert lake.User.get(lake.Artifact.get(key="x.h5ad").created_by).handle == "anonymous"
    assert lake.Artifact.get(key="x.h5ad").created_at < lake.Storage.filter(kind="file").first().created_at


def test_the_report_counts_rows_and_names_what_has_no_counterpart(moved):
    lake, report, expected, database = moved
    assert report.moved["Artifact"].there == report.moved["Artifact"].added == len(expected["artifacts"]) + 1
    assert report.lacking["lamindb_project"] == 1
    assert report.lacking["lamindb_artifactproject"] == 1
    assert not [name for name in report.lacking if "artifactulabel" in name or name == "lamindb_artifact"]
    assert "no counterpart: lamindb_project (1)" in repr(report)
    assert "1 rows of lamindb_ulabel are in the trash there: they and their links stayed behind" in report.notes
    head = {table: lake.snapshot().rows(table).num_rows for table in lake.snapshot().tables}
    again = import_lamindb(lake, database)
    assert {name: one.added for name, one in again.moved.items() if one.added} == {}
    assert {table: lake.snapshot().rows(table).num_rows for table in lake.snapshot().tables} == head


def test_a_storage_that_was_moved_with_its_database_is_found_beside_it(tmp_path):
    database = recorded(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        report = import_lamindb(lake, tmp_path / "new" / database.relative_to(tmp_path / "old"))
        assert lake.Artifact.get(key="notes.txt").load() == b"hello from notes.txt"
        assert any("stands for it" in note for note in report.notes)
        assert any("3 artifacts are not where the instance says" in note for note in report.notes)


def test_a_storage_in_a_bucket_is_named_and_not_asked(tmp_path):
    database = recorded(tmp_path)
    con = sqlite3.connect(database)
    con.execute("UPDATE lamindb_storage SET root = 's3://bucket/lamin', type = 's3'")
    con.execute("UPDATE lamindb_artifact SET key = '../up.txt' WHERE key = 'notes.txt'")
    con.commit()
    con.close()
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        report = import_lamindb(lake, database)
        artifact = lake.Artifact.get(key="x.h5ad")
        assert (lake.Storage.get(artifact.storage).root, artifact.hash_kind) == ("s3://bucket/lamin", "lamindb-md5")
        assert artifact.to_row()["path"] == f".lamindb/{artifact.uid}.h5ad"
        assert any("an artifact has no key here: key '../up.txt'" in note for note in report.notes)


def test_names_that_clash_or_cannot_be_names_are_told_and_nothing_is_lost(tmp_path):
    database = recorded(tmp_path)
    con = sqlite3.connect(database)
    row = "SELECT 0, 0, NULL, created_at, updated_at, {id}, '{uid}', {name}, description, NULL, NULL, 1, 1, NULL, 1, 1, {type}"
    con.execute(
        "INSERT INTO lamindb_ulabel "
        + row.format(id=90, uid="aaaaaaaa", name="'treated'", type=1)
        + " FROM lamindb_ulabel WHERE id = 1"
    )
    con.execute(
        "INSERT INTO lamindb_ulabel "
        + row.format(id=91, uid="bbbbbbbb", name="' odd' || char(10) || 'one'", type="NULL")
        + " FROM lamindb_ulabel WHERE id = 1"
    )
    con.execute("UPDATE lamindb_feature SET _dtype_str = 'cat[Record[abc]]' WHERE name = 'donor'")
    con.execute("UPDATE lamindb_artifact SET key = 'notes.txt', uid = 'Zx' || substr(uid, 3) WHERE key = 'x.h5ad'")
    con.execute("UPDATE lamindb_artifactulabel SET ulabel_id = 90")
    con.commit()
    con.close()
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        report = import_lamindb(lake, database)
        names = {one.name for one in lake.ULabel.filter().all()}
        assert {"treated", "Study: treated", "odd one"} <= names
        assert lake.Artifact.filter(ulabels__name="Study: treated").count() == 1
        assert lake.Artifact.filter(key__endswith="notes.txt").count() == 2
        told = "\n".join(report.notes)
        assert "one of them is called 'Study: treated' here" in told
        assert "feature donor has dtype cat[Record[abc]], which has no counterpart" in told
        assert "they have their uid before it here" in told


def test_what_is_no_instance_is_refused_and_a_reader_moves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE x(y)")
    text = tmp_path / "text.db"
    text.write_text("no database, and longer than a header of one would be " * 20)
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        head = lake.lake.head()
        with pytest.raises(NotFound, match=r"storage/\.lamindb/lamin\.db"):
            import_lamindb(lake, tmp_path / "gone.db")
        for path in (other, text):
            with pytest.raises(InvalidFile):
                import_lamindb(lake, path)
        assert lake.lake.head() == head
    with Instance.open(tmp_path / "lake", read_only=True) as reader, pytest.raises(ReadOnly):
        import_lamindb(reader, other)
    database = recorded(tmp_path / "there")
    assert main(["import", "lamindb", str(database), "--instance", "lake"]) == 0
    shown = capsys.readouterr().out
    assert "Artifact" in shown
    assert "no counterpart: lamindb_project (1)" in shown
