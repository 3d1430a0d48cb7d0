"""Schemas as records: versions, texts, pandera, what they refuse."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse.errors import InputError, RecordNotFound, UnknownField
from registries.curate import Curator, find_schema
from validation import Rule


def test_another_content_under_a_name_is_the_next_version(lake):
    first = lake.Schema([Rule("a", "int")], name="s").save()
    assert lake.Schema([Rule("a", "int")], name="s").save() == first
    second = lake.Schema([Rule("a", "float")], name="s").save()
    assert (first.version, second.version) == (0, 1)
    assert lake.Schema.get(name="s") == second
    assert find_schema(lake, "s", version=0).rule("a").dtype == "int"
    assert lake.Schema.get(first.uid).definition == first.definition
    assert lake.sql("select name, version from schema order by version").fetchall() == [("s", 0), ("s", 1)]


def test_two_writers_of_one_name_make_two_versions(lake):
    one, two = lake.Schema([Rule("a", "int")], name="s"), lake.Schema([Rule("a", "str")], name="s")
    lake.save([one, two])
    assert {one.version, two.version} == {0, 1}


def test_features_are_rules(lake):
    age = lake.Feature(name="age", dtype=int, unit="years", nullable=False).save()
    condition = lake.Feature(name="condition", dtype=lake.ULabel).save()
    schema = lake.Schema([age, condition, Rule("note", "str")], name="samples").save()
    assert schema.rule("age") == Rule("age", "int", unit="years")
    assert schema.rule("condition").registries == ("ULabel",) and schema.rule("condition").nullable


def test_unknown_registries_fields_and_look_ups_are_named(lake):
    with pytest.raises(InputError, match="CelType"):
        lake.Schema([Rule("a", "cat[CelType]")], name="s").save()
    with pytest.raises(UnknownField):
        lake.Schema([Rule("a", "cat[CellType]", field="nme")], name="s").save()
    with pytest.raises(UnknownField):
        lake.Schema([Rule("a", "cat[CellType(nme='x')]")], name="s").save()
    with pytest.raises(UnknownField, match="did you mean 'descendant_of'"):
        lake.Schema([Rule("a", "cat[CellType]", where={"descendnt_of": "T cell"})], name="s").save()
    with pytest.raises(InputError, match="does not tell organisms apart"):
        lake.Schema([Rule("a", "cat[CellType]", organism="human")], name="s").save()
    assert lake.Schema.filter().count() == 0


def test_bounds_of_times_hold_after_the_schema_is_read_again(lake):
    day = dt.date(2026, 1, 31)
    lake.Schema([Rule("a", "date", ge=day), Rule("b", "datetime", isin=[dt.datetime(2026, 1, 31)])], name="s").save()
    frame = pl.DataFrame({"a": [day, dt.date(2025, 1, 1)], "b": [dt.datetime(2025, 1, 1), dt.datetime(2026, 1, 31)]})
    found = Curator(frame, "s", lake).validate()
    assert [(one.reason, one.column, one.rows) for one in found] == [
        ("out_of_range", "a", (1,)),
        ("not_allowed", "b", (0,)),
    ]


def test_text_comes_back(lake):
    schema = lake.Schema({"obs": [Rule("a", "int")], "var": []}, name="s").save()
    assert lake.Schema.from_yaml(schema.to_yaml()).definition == schema.definition
    assert lake.Schema.from_json(schema.to_json()).save() == schema


def test_what_was_inferred_is_saved(lake):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    schema = lake.Schema.infer(frame, name="s").save()
    assert [(r.name, r.dtype, r.nullable) for r in schema.definition.slots["columns"].rules] == [
        ("a", "int", False),
        ("b", "str", True),
    ]


def test_panderas_validate_returns_the_standardized_frame(lake):
    lake.ULabel(name="treated", synonyms=["dosed"]).save()
    schema = lake.Schema([Rule("c", "cat[ULabel]")], name="s").save()
    assert schema.to_pandera().validate(pd.DataFrame({"c": ["DOSED"]}))["c"].tolist() == ["treated"]
    with pytest.raises(InputError, match="choose one of 'columns'"):
        schema.to_pandera(slot="obs")


@pytest.mark.parametrize(
    ("backend", "wrap"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.table)]
)
def test_one_call_standardizes_what_panderas_backend_only_validates(lake, backend, wrap):
    lake.ULabel(name="treated", synonyms=["dosed"]).save()
    rules = [Rule("c", "cat[ULabel]"), Rule("n", "int", coerce=True), Rule("x", "str")]
    schema = lake.Schema(rules, name="s").save()
    given = wrap({"c": ["DOSED", "treated"], "n": ["1", "2"], "x": ["a", "b"]})
    made = schema.standardize_data(given)
    assert type(made) is type(given)
    validated = schema.to_pandera(backend).validate(made)
    frame = validated if backend == "pandas" else validated.to_pandas()
    assert frame.to_dict("list") == {"c": ["treated"] * 2, "n": [1, 2], "x": ["a", "b"]}
    assert list(given["c"].to_pylist() if backend == "pyarrow" else given["c"]) == ["DOSED", "treated"]


def test_a_schema_of_pandera_is_a_schema(lake):
    import pandera.pandas as pandera

    theirs = pandera.DataFrameSchema({"a": pandera.Column(int, pandera.Check.ge(0))})
    assert lake.Schema(theirs, name="s").save().rule("a").ge == 0


def test_a_name_that_there_is_not_is_told_with_near_ones(lake):
    lake.Schema([Rule("a")], name="samples").save()
    with pytest.raises(RecordNotFound, match="did you mean 'samples'"):
        find_schema(lake, "sampels")
