"""Frames against slots: the same faults on pandas, Polars and Arrow, whole or in batches."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse.errors import InputError, InvalidData, Unsupported
from validation import Relation, Report, Rule, Slot, Vocabulary
from validation.coercion import coerced_column
from validation.compile import compiled, failures, slot_of
from validation.frames import frame_faults
from validation.infer import inferred
from validation.parts import array_faults, mapping_faults

CELLS = Vocabulary(["T cell", "B cell"], synonyms={"T cell": ["T lymphocyte"]}, name="CellType")


def resolve(name: str, rule: Rule) -> Vocabulary:
    return CELLS


def found(slot: Slot, frame: Any) -> list[tuple[str, str | None, tuple[int, ...]]]:
    return [(f.reason, f.column, f.rows) for f in frame_faults(slot, frame, resolve) if not f.is_note]


DAY = dt.datetime(2026, 1, 1)
CASES: list[tuple[str, Rule, list[Any], list[tuple[str, tuple[int, ...]]]]] = [
    ("integers", Rule("a", "int"), [1, 2], []),
    ("text for integers", Rule("a", "int"), ["1"], [("wrong_dtype", ())]),
    ("integers for floats", Rule("a", "float"), [1], [("wrong_dtype", ())]),
    ("integers for numbers", Rule("a", "number"), [1], []),
    ("coerced", Rule("a", "float", coerce=True), [1], []),
    ("not to be coerced", Rule("a", "int", coerce=True), ["x"], [("not_coercible", (0,))]),
    ("missing", Rule("a", "str"), ["x", None], [("null", (1,))]),
    ("missing, admitted", Rule("a", "str", nullable=True), ["x", None], []),
    ("NaN", Rule("a", "float"), [1.0, float("nan")], [("null", (1,))]),
    ("only nulls", Rule("a", "int"), [None, None], [("null", (0, 1))]),
    ("only nulls, admitted", Rule("a", "int", nullable=True), [None, None], []),
    ("below", Rule("a", "int", ge=2), [1, 2], [("out_of_range", (0,))]),
    ("above", Rule("a", "int", lt=2), [1, 2], [("out_of_range", (1,))]),
    ("times", Rule("a", "datetime", ge=DAY), [DAY, dt.datetime(2025, 1, 1)], [("out_of_range", (1,))]),
    ("not among", Rule("a", "str", isin=["x"]), ["x", "y"], [("not_allowed", (1,))]),
    ("no match", Rule("a", "str", regex="a+"), ["aa", "ab"], [("no_match", (1,))]),
    ("the whole has to match", Rule("a", "str", regex="a|b"), ["a", "ba\n", "b\n"], [("no_match", (1, 2))]),
    ("long regular expressions end", Rule("a", "str", regex="(a+)+"), ["a" * 5000 + "b"], [("no_match", (0,))]),
    ("too long", Rule("a", "str", max_length=2), ["é́", "abc"], [("wrong_length", (1,))]),
    ("repeats", Rule("a", "int", unique=True), [1, 1, 2], [("duplicate", (0, 1))]),
    ("missing ones may repeat", Rule("a", "str", unique=True, nullable=True), [None, None, "x"], []),
    ("not in order", Rule("a", "int", order="increasing"), [1, 3, 2, 2], [("not_ordered", (2,))]),
    ("falling", Rule("a", "int", order="decreasing"), [3, 3, 4], [("not_ordered", (2,))]),
    ("not a member", Rule("a", "cat[CellType]"), ["T cell", "x"], [("not_in_registry", (1,))]),
    ("another spelling", Rule("a", "cat[CellType]"), ["t cell"], [("not_in_registry", (0,))]),
    ("admitted beside", Rule("a", "cat[CellType]", terms=["unknown"]), ["T cell", "unknown"], []),
    ("few unknown", Rule("a", "cat[CellType]", max_unknown=1), ["T cell", "x", "x"], []),
    ("too many unknown", Rule("a", "cat[CellType]", max_unknown=1), ["x", "y"], [("not_in_registry", (0, 1))]),
    ("a share unknown", Rule("a", "cat[CellType]", max_unknown=0.5), ["T cell", "x"], []),
    ("lists", Rule("a", "list[cat[CellType]]"), [["T cell"], ["B cell", "x"], []], [("not_in_registry", (1,))]),
    ("lists that are long", Rule("a", "list[int]", max_length=1), [[1], [1, 2]], [("wrong_length", (1,))]),
    ("no lists", Rule("a", "list[int]"), [1], [("wrong_dtype", ())]),
    ("vectors", Rule("a", "vector[2]"), [[1.0, 2.0], [1.0]], [("wrong_length", (1,))]),
]


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table, pd.DataFrame], ids=["polars", "arrow", "pandas"])
@pytest.mark.parametrize(("rule", "values", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CASES])
def test_a_rule(make: Any, rule: Rule, values: list[Any], expected: list[tuple[str, tuple[int, ...]]]):
    assert found(Slot([rule]), make({"a": values})) == [(reason, "a", rows) for reason, rows in expected]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(("rule", "values", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CASES])
def test_panderas_backends_agree(backend: str, rule: Rule, values: list[Any], expected: list[Any]):
    make: Any = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[backend]
    if rule.coerce and backend == "pyarrow":
        pytest.skip("pandera's Arrow backend does not coerce")
    schema = compiled(Slot([rule]), resolve, backend, standardize=False)
    reasons = {one.reason for one in failures(schema, make({"a": values}))}
    assert reasons == {reason for reason, _ in expected} or (backend == "pandas" and rule.coerce)


def test_all_faults_are_told_at_once_with_what_to_do():
    frame = pl.DataFrame({"celltype": ["t cell"], "age": [-1], "b": [1]})
    slot = Slot([Rule("cell_type", "str"), Rule("age", "int", ge=0, le=9), Rule("b", forbidden=True)])
    report = Report.of("samples", frame_faults(slot, frame, resolve))
    assert {f.reason for f in report} == {"missing_column", "out_of_range", "forbidden_column"}
    assert [f.reason for f in report.notes] == ["extra_column"]
    text = repr(report)
    assert "does not conform to schema 'samples': 3 faults" in text
    assert "is it 'celltype'?" in text and "-1 is not at least 0 [out_of_range] at row 0" in text
    assert report.pl().height == 4 and "<table>" in report.to_html()
    assert report.to_dict()["faults"][0]["slot"] == "columns"
    with pytest.raises(InvalidData) as error:
        report.raise_if_invalid()
    assert error.value.report is report


def test_html_has_positions_and_tells_notes_apart():
    frame = pl.DataFrame({"a": ["y"] * 7, "b": [1] * 7})
    text = Report.of("s", frame_faults(Slot([Rule("a", "str", isin=["x"])]), frame, resolve)).to_html()
    assert "<td>7</td><td>0, 1, 2, 3, 4, …</td>" in text
    assert "<td>note: extra_column</td>" in text and "<td>note: not_allowed</td>" not in text


def test_html_is_escaped():
    report = Report.of(
        "<b>", frame_faults(Slot([Rule("a", "str", isin=["x"])]), pl.DataFrame({"a": ["<script>"]}), resolve)
    )
    assert "<script>" not in report.to_html() and "<b>" not in report.to_html()


def test_what_to_do_about_unknown_values_is_told():
    slot = Slot([Rule("a", "cat[CellType]")])
    hints = [frame_faults(slot, pl.DataFrame({"a": [v]}), resolve)[0].suggestion for v in ("t cell", "T cel", "qqq")]
    assert hints[0] == "standardize() makes 't cell' 'T cell'"
    assert hints[1] == "for 'T cel' did you mean 'T cell'?"
    assert "add_new_from('a')" in str(hints[2])


@pytest.mark.parametrize("extra", ["report", "allow", "forbid"])
def test_columns_without_a_rule(extra: str):
    faults = frame_faults(Slot([], extra=extra), pl.DataFrame({"a": [1]}), resolve)
    assert [(f.reason, f.is_note) for f in faults] == {
        "report": [("extra_column", True)],
        "allow": [],
        "forbid": [("extra_column", False)],
    }[extra]


def test_columns_out_of_order_and_rows_between_columns():
    slot = Slot([Rule("a", "int"), Rule("b", "int")], ordered=True, relations=[Relation("a", "<", "b")])
    assert {f[0] for f in found(slot, pl.DataFrame({"b": [2, 1], "a": [1, 1]}))} == {"wrong_column_order", "relation"}
    slot = Slot([Rule("a"), Rule("b")], unique_together=[("a", "b")])
    assert found(slot, pl.DataFrame({"a": [1, 1, 1], "b": [1, 1, 2]})) == [("duplicate_rows", None, (0, 1))]


CONVERTED: list[tuple[str, str, list[Any], list[int]]] = [
    ("text to int", "int", ["1", " 2", "x", "2.5"], [2, 3]),
    ("float to int", "int", [1.0, 2.5], [1]),
    ("text to float", "float", ["1.5", "x"], [1]),
    ("text to a number", "number", ["1", "1.5", "x"], [2]),
    ("text to bool", "bool", ["true", "False", "no"], [2]),
    ("int to bool", "bool", [0, 1, 2], [2]),
    ("number to text", "str", [1, 2], []),
    ("text to date", "date", ["2026-01-31", "31.1.2026"], [1]),
    ("time to date", "date", [dt.datetime(2026, 1, 31), dt.datetime(2026, 1, 31, 9)], [1]),
    ("text to time", "datetime", ["2026-01-31", "2026-01-31 09:30", "2026-01-31T09:30:01.5", "soon"], [3]),
    ("text with a zone to time", "datetime", ["2026-01-31T09:30:00Z", "2026-01-31"], [1]),
    ("date to time", "datetime", [dt.date(2026, 1, 31)], []),
    ("number to date", "date", [3], [0]),
    ("date to number", "int", [dt.date(2026, 1, 31)], [0]),
]


@pytest.mark.parametrize("wrap", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(("kind", "values", "bad"), [pytest.param(*row[1:], id=row[0]) for row in CONVERTED])
def test_what_cannot_be_converted_is_told_value_by_value(kind: str, values: list[Any], bad: list[int], wrap: Any):
    slot = Slot([Rule("a", kind, coerce=True, nullable=True)])
    expected = [("not_coercible", "a", tuple(bad))] if bad else []
    assert found(slot, wrap({"a": [*values, None]})) == expected


def test_a_whole_number_that_no_float_holds_is_not_converted():
    assert found(Slot([Rule("a", "float", coerce=True)]), pl.DataFrame({"a": [1, 2**60 + 1]})) == [
        ("not_coercible", "a", (1,))
    ]


def test_missing_values_are_told_beside_those_that_cannot_be_converted():
    slot = Slot([Rule("a", "int", coerce=True, ge=2)])
    assert found(slot, pl.DataFrame({"a": ["x", None, "1"]})) == [
        ("not_coercible", "a", (0,)),
        ("null", "a", (1,)),
        ("out_of_range", "a", (2,)),
    ]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("bound", [dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02"])
def test_times_are_compared_whether_they_have_a_zone_or_not(zone: str | None, bound: Any):
    times = pl.Series([dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 3)]).dt.replace_time_zone(zone)
    assert found(Slot([Rule("a", "datetime", ge=bound)]), pl.DataFrame({"a": times})) == [("out_of_range", "a", (0,))]


def test_what_cannot_be_compared_is_told_and_nothing_passes_for_a_column_that_is_not_there():
    slot = Slot([Rule("a")], relations=[Relation("a", "<", "b"), Relation("a", "<", "c")])
    frame = pl.DataFrame({"a": ["x"], "b": [1]})
    told = [(fault.reason, fault.message) for fault in frame_faults(slot, frame, resolve) if not fault.is_note]
    assert told == [
        ("not_comparable", "a < b cannot be told: they are String and Int64"),
        ("missing_column", "is missing, and is needed for a < c"),
    ]


def test_an_index_has_rules_too():
    slot = Slot([], index=Rule("index", "str", unique=True, regex="c.*"), extra="allow")
    assert found(slot, pd.DataFrame({"a": [1, 2, 3]}, index=["c1", "c1", "x"])) == [
        ("no_match", "index", (2,)),
        ("duplicate", "index", (0, 1)),
    ]


ODD: list[tuple[str, Any, list[str], list[str]]] = [
    ("mixed types", lambda: pd.DataFrame({"a": [1, "x", None]}), ["mixed_types"], []),
    (
        "mixed zones",
        lambda: pd.DataFrame({"a": [pd.Timestamp("2026", tz="UTC"), pd.Timestamp("2026", tz="CET"), "x"]}),
        ["mixed_types"],
        [],
    ),
    (
        "two zones",
        lambda: pd.DataFrame({"a": [pd.Timestamp("2026", tz="UTC"), pd.Timestamp("2026", tz="CET")]}),
        [],
        [],
    ),
    (
        "with a zone and without",
        lambda: pd.DataFrame({"a": [pd.Timestamp("2026", tz="UTC"), pd.Timestamp("2026")]}),
        ["mixed_types"],
        [],
    ),
    ("objects of Polars", lambda: pl.DataFrame({"a": pl.Series(["x", "y"], dtype=pl.Object)}), [], []),
    ("mixed objects of Polars", lambda: pl.DataFrame({"a": pl.Series([1, "x"], dtype=pl.Object)}), ["mixed_types"], []),
    ("numbers that no column holds", lambda: pd.DataFrame({"a": [2**70, 1]}), ["unsupported_type"], []),
    ("mixed categories", lambda: pd.DataFrame({"a": pd.Categorical([1, "x"])}), ["mixed_types"], []),
    ("sparse", lambda: pd.DataFrame({"a": pd.arrays.SparseArray([1, 0])}), [], []),
    ("nulls only", lambda: pd.DataFrame({"a": [None, None]}), ["null"], []),
    ("NaN only", lambda: pd.DataFrame({"a": [float("nan")]}), ["null"], []),
    ("an index only", lambda: pd.DataFrame(index=["x"]), ["missing_column"], []),
    ("names that are no text", lambda: pd.DataFrame({"a": ["x"], 3: [1]}), ["bad_column_name"], []),
    ("a name twice", lambda: pd.DataFrame([["x", "y"]], columns=["a", "a"]), ["duplicate_column"], []),
    (
        "a MultiIndex",
        lambda: pd.DataFrame({"a": ["x"]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
        [],
        ["multi_index"],
    ),
    ("unused categories", lambda: pd.DataFrame({"a": pd.Categorical(["x"], ["x", "y"])}), [], ["unused_categories"]),
    ("no rows", lambda: pd.DataFrame({"a": []}), [], ["empty"]),
    ("no columns", pd.DataFrame, ["missing_column"], ["empty"]),
]


@pytest.mark.parametrize(("make", "faults", "notes"), [pytest.param(*row[1:], id=row[0]) for row in ODD])
def test_odd_frames_give_a_clear_result(make: Any, faults: list[str], notes: list[str]):
    every = frame_faults(Slot([Rule("a", "any")]), make(), resolve)
    assert [f.reason for f in every if not f.is_note] == faults
    assert [f.reason for f in every if f.is_note] == notes


NOON = dt.datetime(2026, 1, 1, 12)
MIXES: list[tuple[str, list[Any], str, tuple[int, ...]]] = [
    ("zones", [NOON.replace(tzinfo=dt.UTC), NOON, None, NOON], "datetime with a zone, datetime without a zone", (0,)),
    ("days and hours", [NOON.date(), NOON.date(), NOON], "date, datetime without a zone", (2,)),
    ("times and numbers", [NOON, 1, NOON], "datetime without a zone, number", (1,)),
    ("spans and numbers", [dt.timedelta(1), dt.timedelta(2), 3], "number, timedelta", (2,)),
    ("bytes and text", [b"x", "y", b"z"], "bytes, str", (0, 2)),
    ("flags and numbers", [True, 2, 3], "bool, number", (0,)),
]


@pytest.mark.parametrize("coerce", [False, True])
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(("values", "kinds", "rows"), [pytest.param(*row[1:], id=row[0]) for row in MIXES])
def test_mixes_that_libraries_convert_in_silence_are_told(
    values: list[Any], kinds: str, rows: tuple[int, ...], library: str, coerce: bool
):
    pandas = library == "pandas"
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object)}) if pandas else _of_objects(values)
    (fault,) = frame_faults(Slot([Rule("a", "datetime", coerce=coerce, nullable=True)]), frame, resolve)
    assert (fault.reason, fault.rows, fault.count) == ("mixed_types", rows, len(rows))
    assert fault.message == f"has values of several types: {kinds}"
    assert fault.examples == tuple(values[row] for row in rows)


def _of_objects(values: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"a": pl.Series(values, dtype=pl.Object)})


def test_mixed_columns_are_not_converted_and_pandera_refuses_them():
    mixed = pd.Series([NOON.date(), NOON], dtype=object, name="a")
    rule = Rule("a", "datetime", coerce=True)
    assert coerced_column(mixed, rule) is None
    assert coerced_column(_of_objects(mixed.to_list())["a"], rule) is None
    assert coerced_column(_of_objects([NOON.date()])["a"], rule).to_list() == [dt.datetime(2026, 1, 1)]
    schema = compiled(Slot([Rule("a", "datetime")]), resolve)
    zones = pd.DataFrame({"a": pd.Series([NOON, NOON.replace(tzinfo=dt.UTC)], dtype=object)})
    assert [(f.reason, f.message) for f in failures(schema, zones)] == [("wrong_dtype", "is not of dtype datetime")]


def test_a_mixed_index_is_a_fault_where_it_has_a_rule():
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=pd.Index(["x", 1, "y"], dtype=object))
    assert not found(Slot([Rule("a")]), frame)
    assert found(Slot([Rule("a")], index=Rule("index", "str")), frame) == [("mixed_types", "index", (1,))]


@pytest.mark.parametrize(
    "values",
    [
        pd.to_timedelta([1, None]),
        pd.PeriodIndex(["2026-01", None], freq="M"),
        pd.arrays.IntervalArray.from_tuples([(0, 1), None]),
    ],
    ids=["spans", "periods", "intervals"],
)
def test_types_that_have_no_rule_are_told_and_not_tripped_over(values: Any):
    frame = pd.DataFrame({"a": values})
    assert found(Slot([Rule("a", "int", ge=0, unique=True, nullable=True)]), frame) == [("wrong_dtype", "a", ())]
    assert found(Slot([Rule("a", nullable=True)]), frame) == []
    assert found(Slot([Rule("a")]), frame) == [("null", "a", (1,))]
    assert found(Slot([Rule("a", unique=True, nullable=True)]), pd.concat([frame, frame])) == [
        ("duplicate", "a", (0, 2))
    ]


def test_a_column_without_a_type_passes_where_values_may_be_missing():
    frame = pl.DataFrame({"a": [None, None]})
    text = Rule("a", "cat[CellType]", nullable=True, regex="x", min_length=2, isin=["q"], unique=True)
    for rule in (
        text,
        Rule("a", "int", nullable=True, ge=3, order="increasing"),
        Rule("a", "list[str]", nullable=True),
    ):
        assert not found(Slot([rule]), frame)
        for backend, given in (("polars", frame), ("pandas", frame.to_pandas()), ("pyarrow", frame.to_arrow())):
            assert not failures(compiled(Slot([rule]), resolve, backend), given)


def test_a_wrong_type_is_one_fault():
    slot = Slot([Rule("a", "str", regex="x", min_length=2, isin=["q"])])
    (fault,) = frame_faults(slot, pl.DataFrame({"a": [1]}), resolve)
    assert (fault.reason, fault.message) == ("wrong_dtype", "is not of dtype str, but Int64")


def test_columns_of_several_levels_and_what_is_no_frame_are_refused():
    frame = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")]))
    for given in (frame, {"a": [1]}, 3, "a.csv"):
        with pytest.raises(InputError):
            frame_faults(Slot([]), given, resolve)


# pandera


def everything() -> Slot:
    forbidden = Rule("z", required=False, forbidden=True, description="an old name")
    rules = [Rule("a", "int", ge=0, unit="m", nullable=True), forbidden, Rule("c", "cat[CellType]")]
    return Slot(
        rules,
        index=Rule("index", "str", unique=True),
        extra="forbid",
        relations=[Relation("a", "<", "a")],
        unique_together=[("a", "c")],
        ordered=True,
    )


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_a_slot_comes_back_from_pandera(backend: str):
    back = slot_of(compiled(everything(), resolve, backend))
    assert back == everything()


def test_panderas_validate_alone_standardizes():
    schema = compiled(Slot([Rule("c", "cat[CellType]")]), resolve, "pandas")
    given = pd.DataFrame({"c": ["t cell", "T lymphocyte", "B cell"]})
    assert schema.validate(given)["c"].tolist() == ["T cell", "T cell", "B cell"]
    categorical = given.astype("category")
    assert schema.validate(categorical)["c"].cat.categories.tolist() == ["B cell", "T cell"]


def test_schemas_and_models_of_pandera_are_read():
    import pandera.pandas as pandera

    class Model(pandera.DataFrameModel):
        age: int = pandera.Field(ge=0, lt=120, nullable=False)
        sex: str = pandera.Field(isin=["f", "m"], str_matches="[fm]")

        class Config:
            strict = True

    slot = slot_of(Model)
    assert slot.extra == "forbid"
    age, sex = slot.rules
    assert (age.dtype, age.ge, age.lt) == ("int", 0, 120)
    assert (sex.dtype, set(sex.isin or ()), sex.regex) == ("str", {"f", "m"}, "[fm]")
    with pytest.raises(Unsupported, match="hand the pandera schema itself"):
        slot_of(pandera.DataFrameSchema({"a": pandera.Column(int, pandera.Check(lambda s: s > 0))}))


def test_an_unknown_backend_is_named():
    with pytest.raises(InputError, match="did you mean 'polars'"):
        compiled(Slot([]), resolve, "polar")


# Inference, arrays, mappings


def test_what_was_inferred_is_met():
    frame = pd.DataFrame({"n": [1, 2] * 10, "s": ["x", "y"] * 10, "f": [1.0, np.nan] * 10, "t": pd.Timestamp("2026")})
    slot = inferred(frame)
    assert [(r.dtype, r.nullable) for r in slot.rules] == [
        ("int", False),
        ("str", False),
        ("float", True),
        ("datetime", False),
    ]
    assert slot.rules[1].isin == ("x", "y")
    assert not found(slot, frame)
    assert inferred(frame, values=False).rules[1].isin is None
    assert not found(inferred(pd.DataFrame({"a": []})), pd.DataFrame({"a": []}))


def test_arrays_have_dtypes_and_shapes():
    slot = Slot([Rule("X_pca", "float", ncols=3), Rule("X_umap"), Rule("bad", forbidden=True)])
    faults = array_faults(slot, {"X_pca": np.zeros((4, 2), int), "bad": np.zeros(1)}, name="obsm")
    assert {f.reason for f in faults} == {"wrong_dtype", "wrong_shape", "missing_key", "forbidden_key"}


def test_mappings_have_values_and_lists():
    slot = Slot(
        [Rule("title", "str", min_length=1), Rule("ids", "list[str]", regex="x.*"), Rule("n", "int")], extra="forbid"
    )
    good = {"title": "t", "ids": np.array(["x1", "x2"], dtype=object), "n": np.int64(3)}
    assert not mapping_faults(slot, good, resolve, name="uns")
    bad = {"title": "", "ids": ["y"], "n": [1], "more": 1}
    assert [f.reason for f in mapping_faults(slot, bad, resolve, name="uns")] == [
        "extra_key",
        "wrong_length",
        "no_match",
        "wrong_dtype",
    ]
