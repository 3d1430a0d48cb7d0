from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse.errors import Duplicate, InputError, InvalidName, MultipleFound, UnknownField, Unsupported
from registries.bulk import new_uids


def names(lake):
    return sorted(lake.ULabel.filter().arrow()["name"].to_pylist())


def test_many_records_are_one_commit_and_each_is_bound_to_its_row(lake):
    commits = len(lake.snapshots())
    labels = [lake.ULabel(name=f"label {i}", description=str(i)) for i in range(500)]
    assert lake.save(labels) == labels
    assert len(lake.snapshots()) == commits + 1
    assert lake.ULabel.get(labels[77].uid).description == "77"
    assert lake.ULabel.get(name="label 77") == labels[77]
    assert len({label.uid for label in labels}) == 500
    assert labels[3].created_by == lake.User.get(handle="ada").uid


def test_names_that_are_there_or_come_twice_are_the_same_record(lake):
    known = lake.ULabel(name="label 5").save()
    labels = lake.save([lake.ULabel(name=f"label {i % 200}") for i in range(400)])
    assert labels[5] == labels[205] == known
    assert labels[7] == labels[207]
    assert lake.ULabel.filter().count() == 200


def test_one_bad_name_among_many_saves_nothing(lake):
    labels = [lake.ULabel(name=f"label {i}") for i in range(300)]
    labels[200].name = " bad"
    with pytest.raises(InvalidName, match="' bad' begins or ends with a blank"):
        lake.save(labels)
    assert lake.ULabel.filter().count() == 0
    assert not labels[0].is_saved


def test_names_are_normalised_in_bulk_as_one_by_one(lake):
    decomposed, composed = "cafe\u0301", "caf\u00e9"
    lake.save([lake.ULabel(name=f"label {i}") for i in range(200)] + [lake.ULabel(name=decomposed)])
    assert lake.ULabel.get(name=composed).name == composed


def test_a_bulk_save_that_is_rolled_back_leaves_records_unsaved(lake):
    labels = [lake.ULabel(name=f"label {i}") for i in range(300)]
    with pytest.raises(ZeroDivisionError), lake.transaction():
        lake.save(labels)
        assert labels[0].is_saved
        raise ZeroDivisionError
    assert not labels[0].is_saved
    assert lake.save(labels)[299].is_saved


def test_records_of_another_instance_are_refused_in_bulk(lake, other):
    labels = [other.ULabel(name=f"label {i}") for i in range(200)]
    with pytest.raises(InputError, match="belongs to the instance"):
        lake.save(labels)


@pytest.mark.parametrize("wrap", [list, np.array, pd.Series, pl.Series, pa.array, pd.Categorical, tuple, iter])
def test_values_become_records_in_input_order_and_nothing_is_written_before_save(lake, wrap):
    fed = lake.ULabel(name="fed").save()
    commits = len(lake.snapshots())
    found = lake.ULabel.from_values(wrap(["treated", "fed", "treated", "new"]))
    assert (found.values, found.unknown, len(found)) == (["treated", "fed", "new"], ["treated", "new"], 3)
    assert found[1] == fed
    assert [record.is_saved for record in found] == [False, True, False]
    assert len(lake.snapshots()) == commits
    assert [record.name for record in found.save()] == ["treated", "fed", "new"]
    assert len(lake.snapshots()) == commits + 1
    assert found.unknown == []
    assert all(record.is_saved for record in found)
    found.save()
    assert len(lake.snapshots()) == commits + 1


def test_missing_and_empty_values_are_left_out(lake):
    assert lake.ULabel.from_values(["a", None, ""]).values == ["a"]
    assert lake.ULabel.from_values(pd.Series(["a", None, np.nan])).values == ["a"]
    assert lake.ULabel.from_values([]).values == []
    assert lake.ULabel.from_values([]).save().unknown == []


@pytest.mark.parametrize("wrong", ["abc", 3, None, ["a", 3], b"x"])
def test_what_is_no_list_of_values_is_refused(lake, wrong):
    with pytest.raises(InputError, match=r"ULabel\.name"):
        lake.ULabel.from_values(wrong)


def test_values_of_a_field_that_there_is_not_are_refused_with_near_ones(lake):
    with pytest.raises(UnknownField, match="did you mean 'name'"):
        lake.ULabel.from_values(["a"], field="nmae")


def test_many_values_are_found_among_many_records(lake):
    lake.ULabel.upsert_df(pd.DataFrame({"name": [f"n{i}" for i in range(3_000)]}))
    found = lake.ULabel.from_values([f"n{i}" for i in range(1_000, 4_000)])
    assert len(found.unknown) == 1_000
    assert found[0].name == "n1000"
    assert found.df()["uid"].notna().sum() == 2_000
    assert lake.ULabel.filter().count() == 3_000
    found.save()
    assert lake.ULabel.filter().count() == 4_000


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_frame_is_inserted_changed_or_left_alone_in_one_commit(lake, make):
    lake.ULabel(name="same", description="x").save()
    kept = lake.ULabel(name="other", description="old").save()
    commits = len(lake.snapshots())
    done = lake.ULabel.upsert_df(make({"name": ["same", "other", "fresh"], "description": ["x", "new", None]}))
    assert (done.inserted, done.updated, done.unchanged) == (1, 1, 1)
    assert len(lake.snapshots()) == commits + 1
    now = lake.ULabel.get(name="other")
    assert (now.uid, now.description, now.created_at) == (kept.uid, "new", kept.created_at)
    assert names(lake) == ["fresh", "other", "same"]


def test_columns_that_a_frame_does_not_name_stay(lake):
    lake.ULabel(name="a", description="kept").save()
    assert lake.ULabel.upsert_df([{"name": "a"}]).unchanged == 1
    assert lake.ULabel.get(name="a").description == "kept"


def test_a_frame_with_one_bad_row_changes_nothing(lake):
    for wrong, error, message in (
        ({"name": ["a", "a"]}, Duplicate, "'a' occurs twice"),
        ({"name": ["a", None]}, InputError, "missing in 1 rows"),
        ({"name": ["a", " b"]}, InvalidName, "begins or ends with a blank"),
        ({"name": ["a"], "colour": ["red"]}, UnknownField, "no field 'colour'"),
        ({"name": [1, 2]}, InputError, "ULabel.name = 1 is a int64: str is accepted"),
        ({"name": ["a", "b\0"]}, InvalidName, "control character"),
        ({"description": ["a"]}, InputError, "needs a column 'name'"),
    ):
        with pytest.raises(error, match=message):
            lake.ULabel.upsert_df(pd.DataFrame(wrong))
    with pytest.raises(InputError, match="a pandas or Polars frame"):
        lake.ULabel.upsert_df("frame.csv")
    assert lake.ULabel.filter().count() == 0


def test_registries_that_need_more_than_columns_say_how_to_save(lake):
    with pytest.raises(Unsupported, match=r"save them with lh\.save\(\[Artifact"):
        lake.Artifact.upsert_df([{"key": "x"}])
    with pytest.raises(Unsupported, match="more than columns"):
        lake.FeatureSet.upsert_df([{"hash": "x"}])
    assert lake.Feature.from_df([{"name": "x", "dtype": "int"}]).save()[0].dtype == "int"


def test_frames_of_any_registry_are_inserted_changed_or_left_alone(lake):
    features = [{"name": "age", "dtype": "int"}, {"name": "dose", "dtype": "float", "unit": "mg"}]
    assert repr(lake.Feature.upsert_df(features)) == "2 inserted, 0 updated, 0 unchanged"
    features[0]["description"] = "in years"
    assert repr(lake.Feature.upsert_df(features)) == "0 inserted, 1 updated, 1 unchanged"
    assert lake.Feature.get(name="age").description == "in years"
    runs = [{"name": "align", "version": "1"}, {"name": "align", "version": "2"}]
    assert repr(lake.Transform.upsert_df(runs)) == "2 inserted, 0 updated, 0 unchanged"
    assert repr(lake.Transform.upsert_df([runs[1] | {"kind": "notebook"}])) == "0 inserted, 1 updated, 0 unchanged"
    with pytest.raises(InputError, match="known"):
        lake.Transform.upsert_df([{"name": "x"}, {"name": "y", "kind": "spell"}])
    assert lake.Transform.filter().count() == 2


def test_rows_as_dicts_give_each_its_own_fields(lake):
    lake.ULabel.upsert_df([{"name": "fed"}, {"name": "treated", "description": "with drug A"}])
    assert lake.ULabel.get(name="treated").description == "with drug A"
    done = lake.ULabel.upsert_df([{"name": "fed", "description": "daily"}, {"name": "treated"}])
    assert (done.updated, done.unchanged) == (1, 1)
    assert lake.ULabel.get(name="treated").description == "with drug A"
    made = lake.Transform.from_df([{"name": "a"}, {"name": "b", "kind": "notebook"}]).save()
    assert [one.kind for one in made] == ["script", "notebook"]
    with pytest.raises(Duplicate, match="occurs twice"):
        lake.ULabel.upsert_df([{"name": "x"}, {"name": "x", "description": "y"}])


@pytest.mark.parametrize(
    "on", ["'; drop table ulabel;--", "nothing", 3, [3], [], ["name", "nothing"], "created_at", "x" * 10**6]
)
def test_what_is_no_field_says_no_record(lake, on):
    with pytest.raises(InputError) as caught:
        lake.ULabel.upsert_df([{"name": "a"}], on=on)
    assert len(str(caught.value)) < 1_000
    assert lake.ULabel.filter().count() == 0


def test_columns_and_frames_without_values_are_taken_as_such(lake):
    assert lake.ULabel.upsert_df(pd.DataFrame({"name": []})) == lake.ULabel.upsert_df([])
    frame = pd.DataFrame({"name": ["a", "b"], "description": [None, np.nan]})
    assert lake.ULabel.upsert_df(frame).inserted == 2
    assert lake.ULabel.get(name="a").description is None
    assert len(lake.ULabel.from_df(pd.DataFrame({"name": []})).save()) == 0


def test_terms_of_a_frame_are_known_by_their_public_identifier(lake):
    frame = pd.DataFrame({"ontology_id": ["CL:1", "CL:2"], "name": ["T cell", "B cell"], "synonyms": [["T"], []]})
    assert repr(lake.CellType.upsert_df(frame)) == "2 inserted, 0 updated, 0 unchanged"
    frame.loc[1, "name"] = "B lymphocyte"
    assert repr(lake.CellType.upsert_df(frame)) == "0 inserted, 1 updated, 1 unchanged"
    assert lake.CellType.get(ontology_id="CL:2").name == "B lymphocyte"
    assert lake.CellType.get(name="T cell").synonym_scopes == ["EXACT"]
    assert (
        repr(lake.CellType.upsert_df([{"name": "T cell", "definition": "x"}])) == "0 inserted, 1 updated, 0 unchanged"
    )
    with pytest.raises(Duplicate, match="is there already"):
        lake.CellType.upsert_df([{"name": "another", "ontology_id": "CL:1"}], on="name")
    lake.CellType(name="T cell", ontology_id="CL:3").save()
    with pytest.raises(MultipleFound, match="choose on="):
        lake.CellType.upsert_df([{"name": "T cell", "definition": "y"}])


def test_many_terms_are_saved_together_as_one_by_one(lake):
    names = [f"cell {i % 150}" for i in range(300)]
    lake.CellType(name="cell 7", definition="was there").save()
    cells = [lake.CellType(name=name, synonyms=[f"{name}!"]) for name in names]
    before = lake.lake.head()
    lake.save([lake.ULabel(name="beside"), *cells])
    assert lake.lake.head() == before + 1
    assert lake.CellType.filter().count() == 150
    assert cells[0] == cells[150] and cells[7].definition == "was there"
    assert cells[0].uid == lake.CellType.get(name="cell 0").uid
    for cell in cells[:150]:
        cell.definition = "changed"
    lake.save(cells[:150])
    assert lake.CellType.filter(definition="changed").count() == 150


def test_one_bad_term_among_many_saves_nothing(lake):
    cells = [lake.CellType(name=f"cell {i}") for i in range(200)]
    with pytest.raises(InvalidName, match="blank"):
        lake.save([*cells, lake.CellType(name=" blank")])
    assert lake.CellType.filter().count() == 0 and not cells[0].is_saved


def test_rows_of_a_frame_become_records(lake):
    lake.ULabel(name="a").save()
    found = lake.ULabel.from_df(pl.DataFrame({"name": ["a", "b"], "description": ["1", "2"]}))
    assert found.unknown == ["b"]
    found.save()
    assert lake.ULabel.get(name="b").description == "2"
    assert lake.ULabel.get(name="a").description is None


def test_uids_in_bulk_look_like_those_of_one(lake):
    many = new_uids(1_000).to_pylist()
    assert len(set(many)) == 1_000
    assert {uid[:4] for uid in many} == {lake.ULabel(name="x").save().uid[:4]}
    assert all(len(uid) == 20 and uid.endswith("0000") for uid in many)


def test_names_complete_as_attributes_without_loading_the_registry(lake):
    lake.save([lake.CellType(name=name) for name in ("T cell", "CD8-positive, alpha-beta T cell", "10x", "T-cell")])
    lookup = lake.CellType.lookup()
    assert lookup.cd8_positive_alpha_beta_t_cell.name == "CD8-positive, alpha-beta T cell"
    assert lookup.n_10x.name == lookup["10x"].name == "10x"
    assert {"t_cell", "n_10x"} <= set(dir(lookup))
    with pytest.raises(MultipleFound, match=r"'T cell', 'T-cell'|'T-cell', 'T cell'"):
        lookup.t_cell  # noqa: B018
    with pytest.raises(AttributeError, match="no CellType has a name like 'b_cell'"):
        lookup.b_cell  # noqa: B018


def test_close_names_are_told_of_where_that_is_asked_for(lake, caplog):
    lake.ULabel(name="treated").save()
    with caplog.at_level(logging.WARNING, "lakehouse"):
        lake.ULabel(name="treatde").save(near=True)
        assert "'treatde' is close to 'treated'" in caplog.text
        caplog.clear()
        lake.ULabel(name="control").save(near=True)
        lake.ULabel(name="treated").save(near=True)
        assert "close" not in caplog.text
