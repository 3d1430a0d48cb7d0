from __future__ import annotations

import pytest

from lakehouse.errors import InputError, RecordNotFound

OLD = """[Term]
id: CL:1
name: cell

[Term]
id: CL:2
name: T-cell
synonym: "T lymphocyte" EXACT []
is_a: CL:1

[Term]
id: CL:3
name: helper
is_a: CL:2

[Term]
id: CL:4
name: forgotten
"""
NEW = """[Term]
id: CL:1
name: cell

[Term]
id: CL:2
name: T cell
synonym: "T-cell" EXACT []
is_a: CL:1

[Term]
id: CL:3
name: obsolete helper
is_obsolete: true
replaced_by: CL:5

[Term]
id: CL:5
name: CD4 T cell
is_a: CL:2
"""


@pytest.fixture
def versions(tmp_path):
    files = tmp_path / "old.obo", tmp_path / "new.obo"
    for file, text in zip(files, (OLD, NEW), strict=True):
        file.write_text(text)
    return files


@pytest.fixture
def upgrade(lake, versions):
    lake.CellType.import_source("1", path=versions[0], source="cl")
    return lake.CellType.upgrade_source("2", path=versions[1])


def ids(entries):
    return [one["ontology_id"] for one in entries]


def test_what_changes_is_shown_and_nothing_done(lake, upgrade):
    commits = len(lake.snapshots())
    assert ids(upgrade.new) == ["CL:5"]
    assert [(one["before"], one["after"]) for one in upgrade.renamed] == [("T-cell", "T cell")]
    stead = [(one["ontology_id"], one["replaced_by"], one["replaced_by_name"]) for one in upgrade.replaced]
    assert stead == [("CL:3", "CL:5", "CD4 T cell")]
    assert ids(upgrade.obsolete) == ["CL:3"]
    assert ids(upgrade.dropped) == ["CL:4"]
    assert "to cl 2: 1 new, 1 renamed, 1 obsolete, 1 replaced, 1 dropped" in repr(upgrade)
    assert len(lake.snapshots()) == commits


def test_it_is_applied_in_one_commit_that_keeps_uids_and_own_synonyms(lake, upgrade):
    before = lake.CellType.get(name="T-cell")
    before.synonyms, before.synonym_scopes = [*before.synonyms, "mine"], [*before.synonym_scopes, "EXACT"]
    before.save()
    commits = len(lake.snapshots())
    upgrade.apply()
    assert len(lake.snapshots()) == commits + 1
    after = lake.CellType.get(before.uid)
    assert (after.name, after.created_at) == ("T cell", before.created_at)
    assert after.synonyms == ["T-cell", "T lymphocyte", "mine"]
    assert lake.CellType.get(name="forgotten").obsolete
    assert lake.CellType.filter(source__version="2").count() == 4
    assert lake.CellType.get(name="CD4 T cell").parents.one() == after
    assert [(one.version, one.pinned) for one in lake.Source.filter().order_by("version")] == [
        ("1", False),
        ("2", True),
    ]
    assert repr(lake.CellType.upgrade_source("2", path=upgrade.source.url)).count("0 new, 0 renamed, 0 obsolete") == 1


def test_artifacts_that_carry_obsolete_terms_are_told_and_labels_moved_when_asked(lake, upgrade):
    artifact = lake.Artifact(b"x", key="a.txt").save()
    feature = lake.Feature(name="cell", dtype="cat[CellType]").save()
    artifact.cell_types.add("helper", feature=feature)
    artifact.cell_types.add(["cell", "forgotten"])
    told = upgrade.artifacts()
    assert told.select("key", "identifier", "replaced_by", "replaced_by_name").rows() == [
        ("a.txt", "CL:3", "CL:5", "CD4 T cell"),
        ("a.txt", "CL:4", None, None),
    ]
    upgrade.apply()
    assert {one.ontology_id for one in artifact.cell_types.get()} == {"CL:1", "CL:3", "CL:4"}
    upgrade.apply(move_labels=True)
    assert artifact.cell_types.all() == {"cell": ["CD4 T cell"], None: ["cell", "forgotten"]}
    assert upgrade.artifacts()["identifier"].to_list() == ["CL:4"]


def test_labels_that_are_there_already_are_not_made_twice(lake, versions):
    lake.CellType.import_source("1", path=versions[0], source="cl")
    lake.CellType(name="CD4 T cell", ontology_id="CL:5").save()
    artifact = lake.Artifact(b"x", key="a.txt").save()
    artifact.cell_types.add(["helper", "CD4 T cell"])
    lake.CellType.upgrade_source("2", path=versions[1]).apply(move_labels=True)
    assert [one.name for one in artifact.cell_types.get()] == ["CD4 T cell"]


def test_two_versions_lie_side_by_side(lake, versions):
    lake.CellType.import_source("1", path=versions[0], source="cl")
    assert lake.CellType.import_source("2", path=versions[1], source="cl").added == 1
    assert lake.CellType.get(ontology_id="CL:5").source != lake.CellType.get(ontology_id="CL:2").source
    assert lake.CellType.get(ontology_id="CL:2").name == "T-cell"
    assert len(lake.CellType.public("2", source="cl", path=versions[1])) == 4
    assert len(lake.CellType.public("1", source="cl")) == 4


def test_an_upgrade_of_nothing_is_refused(lake, versions):
    with pytest.raises(InputError, match=r"holds nothing of 'cl' that could be upgraded: import_source\('2'\)"):
        lake.CellType.upgrade_source("2", path=versions[1], source="cl")
    with pytest.raises(RecordNotFound, match="version '3'"):
        lake.CellType.upgrade_source("3")


def test_an_upgrade_can_be_reverted(lake, upgrade):
    upgrade.apply()
    lake.revert(lake.snapshots()[0])
    assert lake.CellType.get(ontology_id="CL:2").name == "T-cell"
    assert lake.CellType.filter(ontology_id="CL:5").count() == 0


PAIRS = [
    ("CellType", "cl", "cxg/CL-ontology-v2025-07-30.json.zst", "cxg/CL-ontology-v2026-03-26.json.zst", 197, 2),
    (
        "Tissue",
        "uberon",
        "cxg/UBERON-ontology-v2025-08-15.json.zst",
        "cxg/UBERON-ontology-v2026-04-01.json.zst",
        304,
        1,
    ),
    (
        "Disease",
        "mondo",
        "cxg/MONDO-ontology-v2025-09-02.json.zst",
        "cxg/MONDO-ontology-v2026-05-05.json.zst",
        1654,
        35,
    ),
    (
        "Ethnicity",
        "hancestro",
        "cxg/HANCESTRO-ontology-v2025-04-01.json.zst",
        "cxg/HANCESTRO-ontology-v2025-10-14.json.zst",
        27,
        0,
    ),
    (
        "CellLine",
        "cellosaurus",
        "cxg/CVCL-ontology-53.0.json.zst",
        "cxg/CVCL-ontology-55.0.json.zst",
        1239,
        0,
    ),
    ("Pathway", "pw", "obo/pw_7.96.obo", "obo/pw_7.97.obo", 0, 0),
    ("CellLine", "depmap", "obo/depmap_24Q4.obo", "obo/depmap_25Q3.obo", 0, 0),
]


@pytest.mark.parametrize(("entity", "source", "old", "new", "added", "withdrawn"), PAIRS)
def test_real_pairs_of_versions_are_upgraded(lake, real, entity, source, old, new, added, withdrawn):
    registry = getattr(lake, entity)
    registry.import_source("old", source=source, path=real / old)
    before = set(registry.filter().arrow()["uid"].to_pylist())
    upgrade = registry.upgrade_source("new", source=source, path=real / new)
    assert (len(upgrade.new), len(upgrade.obsolete)) == (added, withdrawn)
    upgrade.apply()
    after = set(registry.filter().arrow()["uid"].to_pylist())
    assert before <= after
    assert len(after) == len(before) + added
    again = registry.upgrade_source("new", source=source, path=real / new)
    assert not (again.new or again.renamed or again.obsolete or again.dropped)


def test_an_upgrade_that_names_no_version_goes_to_the_newest_that_is_known(lake, versions):
    source = lake.CellType.public().source
    lake.CellType.import_source("1", path=versions[0], source="cl")
    assert lake.Source.get(name="cl", version="1").pinned
    assert lake.CellType.upgrade_source(source="cl").source == source


def test_the_newest_version_may_be_one_that_the_user_added(lake, versions):
    lake.CellType.import_source("1", path=versions[0], source="ours")
    lake.Source(entity="CellType", name="ours", version="2", url=str(versions[1]), format="obo").save()
    plan = lake.CellType.upgrade_source(source="ours")
    assert plan.source.version == "2" and plan.renamed
