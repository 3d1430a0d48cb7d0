"""The meaning of validate, inspect, standardize and map_synonyms, case by case."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse.errors import Duplicate, InputError, UnknownField, Unsupported
from validation import Vocabulary

NAN = float("nan")
CAFE, CAFE_NFD = "café au lait spot", unicodedata.normalize("NFD", "café au lait spot")


def cells() -> Vocabulary:
    return Vocabulary(
        ["T cell", "B cell", "neuron", "NK cell", "nk cell", CAFE, "Straße", "1"],
        synonyms={
            "T cell": ["T lymphocyte", "T-cell", "lymphocyte", "neuron"],
            "B cell": ["B lymphocyte", "lymphocyte", "B-CELL"],
            "neuron": ["nerve cell", "", "b-cell"],
        },
        fields={"ontology_id": ["CL:1", "CL:2", "CL:3", "CL:4", "CL:5", "CL:6", None, "CL:8"]},
        name="CellType",
    )


def genes() -> Vocabulary:
    """Two genes of one symbol."""
    return Vocabulary(
        ["TBCE", "TBCE", "CD8A"],
        synonyms=[["KCS"], ["KCS", "HRD"], ["CD8"]],
        fields={"ensembl": ["ENSG1", "ENSG2", "ENSG3"]},
        name="Gene",
        field="symbol",
    )


VALIDATE: list[tuple[str, list[Any], list[bool]]] = [
    ("the exact name is valid", ["T cell"], [True]),
    ("another case is not", ["t cell", "T CELL"], [False, False]),
    ("a synonym is not", ["T lymphocyte"], [False]),
    ("an unknown value is not", ["astrocyte"], [False]),
    ("the empty text is not", [""], [False]),
    ("a blank is not", [" "], [False]),
    ("a name with a blank around it is not", [" T cell", "T cell "], [False, False]),
    ("None is not", [None], [False]),
    ("NaN is not", [NAN], [False]),
    ("pandas' NA and NaT are not", [pd.NA, pd.NaT], [False, False]),
    ("a number is not, even if a term is spelled so", [1, "1"], [False, True]),
    ("a truth value is not", [True], [False]),
    ("bytes are not", [b"T cell"], [False]),
    ("a list is not", [["T cell"]], [False]),
    ("duplicates are each valid", ["T cell", "T cell"], [True, True]),
    ("case twins are each valid", ["NK cell", "nk cell", "Nk cell"], [True, True, False]),
    ("another Unicode form is not", [CAFE, CAFE_NFD], [True, False]),
    ("no values give no answers", [], []),
    ("order is kept", ["x", "T cell", "y", "neuron"], [False, True, False, True]),
    ("a wild card is a value like any other", ["%", "T%", "T_cell"], [False, False, False]),
    ("NUL and quotes are values like any other", ["T cell\0", "'; DROP TABLE x;--", 'a"b'], [False, False, False]),
    ("a megabyte is a value like any other", ["x" * 1_000_000], [False]),
]

STANDARDIZE: list[tuple[str, list[Any], list[Any]]] = [
    ("the exact name stays", ["T cell"], ["T cell"]),
    ("another case becomes the name", ["t CELL", "NEURON"], ["T cell", "neuron"]),
    ("a synonym becomes its term", ["T lymphocyte", "nerve cell"], ["T cell", "neuron"]),
    ("a synonym in another case does, too", ["t LYMPHOCYTE"], ["T cell"]),
    ("an unknown value passes", ["astrocyte"], ["astrocyte"]),
    ("the empty text passes, though an empty synonym was given", [""], [""]),
    ("None passes", [None, "t cell"], [None, "T cell"]),
    ("a number passes, though a term is spelled so", [1, "t cell", 2.5], [1, "T cell", 2.5]),
    ("a truth value passes", [True, "t cell"], [True, "T cell"]),
    ("a list passes", [["t cell"], "t cell"], [["t cell"], "T cell"]),
    ("duplicates are each mended", ["t cell", "x", "t cell"], ["T cell", "x", "T cell"]),
    ("a synonym of two terms passes", ["lymphocyte"], ["lymphocyte"]),
    ("a synonym of two terms in another case passes", ["LYMPHOCYTE"], ["LYMPHOCYTE"]),
    ("a name that is another's synonym stays itself", ["neuron"], ["neuron"]),
    ("a name in another case beats another's synonym", ["Neuron"], ["neuron"]),
    ("an exact case twin stays", ["NK cell", "nk cell"], ["NK cell", "nk cell"]),
    ("a third case of twins is ambiguous and passes", ["Nk Cell"], ["Nk Cell"]),
    ("an exact synonym beats one of another case", ["B-CELL", "b-cell"], ["B cell", "neuron"]),
    ("a synonym in a case that two have is ambiguous", ["B-Cell"], ["B-Cell"]),
    ("another Unicode form becomes the name", [CAFE_NFD, CAFE_NFD.upper()], [CAFE, CAFE]),
    ("sharp s and SS are one", ["STRASSE"], ["Straße"]),
    ("blanks around are not removed", [" t cell"], [" t cell"]),
    ("no values give no values", [], []),
    ("a tuple's members keep their order", ["x", "T-cell", None, "neuron"], ["x", "T cell", None, "neuron"]),
]

MAP: list[tuple[str, list[Any], list[Any]]] = [
    ("a synonym becomes its term", ["T lymphocyte"], ["T cell"]),
    ("a synonym in another case does, too", ["t lymphocyte"], ["T cell"]),
    ("a name in another case passes", ["t cell"], ["t cell"]),
    ("a name stays though it is another's synonym", ["neuron"], ["neuron"]),
    ("a synonym of two terms passes", ["lymphocyte"], ["lymphocyte"]),
    ("missing ones pass", [None, ""], [None, ""]),
]

KEEP: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("none leaves it", None, ["lymphocyte", "t cell"], ["lymphocyte", "T cell"]),
    ("first takes the first term", "first", ["lymphocyte", "t cell"], ["T cell", "T cell"]),
    ("last takes the last term", "last", ["lymphocyte", "t cell"], ["B cell", "T cell"]),
    ("False lists all terms", False, ["lymphocyte", "t cell", "x"], [["T cell", "B cell"], "T cell", "x"]),
    ("first of case twins", "first", ["Nk cell"], ["NK cell"]),
    ("last of case twins", "last", ["Nk cell"], ["nk cell"]),
    ("False of case twins", False, ["Nk cell"], [["NK cell", "nk cell"]]),
    ("nothing is picked for what is unknown", "first", ["astrocyte", None], ["astrocyte", None]),
    ("an exact name is never ambiguous", "last", ["neuron"], ["neuron"]),
]

RETURN_FIELD: list[tuple[str, list[Any], list[Any]]] = [
    ("the exact name gives its id", ["T cell"], ["CL:1"]),
    ("another case gives its id", ["t cell"], ["CL:1"]),
    ("a synonym gives its id", ["nerve cell"], ["CL:3"]),
    ("an unknown value passes", ["astrocyte", None], ["astrocyte", None]),
    ("a term without an id passes", ["Straße"], ["Straße"]),
    ("an ambiguous value passes", ["lymphocyte"], ["lymphocyte"]),
    ("case twins give each its own", ["NK cell", "nk cell"], ["CL:4", "CL:5"]),
]


def named(table: list[Any]) -> Any:
    return [pytest.param(*row[1:], id=row[0]) for row in table]


@pytest.mark.parametrize(("values", "expected"), named(VALIDATE))
def test_validate(values: list[Any], expected: list[bool]):
    assert cells().validate(values) == expected


@pytest.mark.parametrize(("values", "expected"), named(STANDARDIZE))
def test_standardize(values: list[Any], expected: list[Any]):
    given = list(values)
    assert cells().standardize(values) == expected
    assert values == given, "the input was changed"


@pytest.mark.parametrize(("values", "expected"), named(STANDARDIZE))
def test_what_was_standardized_is_standardized(values: list[Any], expected: list[Any]):
    assert cells().standardize(expected) == expected


@pytest.mark.parametrize(("values", "expected"), named(MAP))
def test_map_synonyms(values: list[Any], expected: list[Any]):
    assert cells().map_synonyms(values) == expected


@pytest.mark.parametrize(("keep", "values", "expected"), named(KEEP))
def test_keep(keep: Any, values: list[Any], expected: list[Any]):
    assert cells().standardize(values, keep=keep) == expected


@pytest.mark.parametrize(("values", "expected"), named(RETURN_FIELD))
def test_return_field(values: list[Any], expected: list[Any]):
    assert cells().standardize(values, return_field="ontology_id") == expected


MAPPER: list[tuple[str, dict[str, Any], list[Any], dict[str, Any]]] = [
    ("what changes and nothing else", {}, ["T cell", "t cell", "x", None], {"t cell": "T cell"}),
    ("each value once", {}, ["t cell", "t cell"], {"t cell": "T cell"}),
    ("nothing for the ambiguous", {}, ["lymphocyte"], {}),
    ("the pick for the ambiguous", {"keep": "last"}, ["lymphocyte"], {"lymphocyte": "B cell"}),
    ("the list for the ambiguous", {"keep": False}, ["lymphocyte"], {"lymphocyte": ["T cell", "B cell"]}),
    ("ids where these are asked for", {"return_field": "ontology_id"}, ["T cell", "x"], {"T cell": "CL:1"}),
]


@pytest.mark.parametrize(("options", "values", "expected"), named(MAPPER))
def test_return_mapper(options: dict[str, Any], values: list[Any], expected: dict[str, Any]):
    assert cells().standardize(values, return_mapper=True, **options) == expected


def test_two_terms_of_one_name_are_one_name_but_two_ids():
    assert genes().standardize(["tbce", "KCS", "hrd"]) == ["TBCE", "TBCE", "TBCE"]
    ids = genes().standardize(["TBCE", "cd8", "HRD"], return_field="ensembl")
    assert ids == ["TBCE", "ENSG3", "ENSG2"]
    assert genes().standardize(["TBCE"], return_field="ensembl", keep="first") == ["ENSG1"]
    assert genes().standardize(["TBCE"], return_field="ensembl", keep=False) == [["ENSG1", "ENSG2"]]


def test_other_fields_are_spelled_without_synonyms():
    vocabulary = cells()
    assert vocabulary.validate(["CL:1", "cl:1", "T cell"], field="ontology_id") == [True, False, False]
    assert vocabulary.standardize(["cl:1", "T-cell"], field="ontology_id") == ["CL:1", "T-cell"]
    assert vocabulary.standardize(["CL:1", "cl:3"], field="ontology_id", return_field="name") == ["T cell", "neuron"]


def test_ambiguous_values_are_listed(caplog: pytest.LogCaptureFixture):
    cells().standardize(["lymphocyte", "t cell"])
    assert "1 value is ambiguous" in caplog.text
    assert "'lymphocyte' (T cell, B cell)" in caplog.text
    caplog.clear()
    cells().standardize(["lymphocyte", "t cell"], keep="first")
    assert not caplog.text


INSPECT: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("all valid", ["T cell", "neuron"], {"validated": ["T cell", "neuron"], "is_valid": True, "frac_validated": 1.0}),
    ("unique ones in order", ["x", "T cell", "x", "a"], {"non_validated": ["x", "a"], "validated": ["T cell"]}),
    ("duplicates are counted", ["T cell", "T cell", "x"], {"n_duplicates": 1, "n_unique": 2, "n": 3}),
    ("empties are counted", [None, NAN, "", pd.NA, "T cell"], {"n_empty": 4, "n_unique": 1, "is_valid": True}),
    ("fractions are of distinct values", ["T cell", "T cell", "x"], {"frac_validated": 0.5}),
    ("other spellings are mapped", ["t cell", "T-cell"], {"synonyms": {"t cell": "T cell", "T-cell": "T cell"}}),
    ("and are not unknown", ["t cell", "zzz"], {"unknown": ["zzz"], "non_validated": ["t cell", "zzz"]}),
    ("ambiguous ones are listed", ["lymphocyte"], {"ambiguous": {"lymphocyte": ["T cell", "B cell"]}, "unknown": []}),
    ("numbers are not valid", [1, 1, "1"], {"n_other": 1, "non_validated": [1], "n_unique": 2, "n_duplicates": 1}),
    ("near misses get suggestions", ["nueron"], {"suggestions": {"nueron": ["neuron"]}}),
    ("far ones get none", ["quux"], {"suggestions": {}}),
    ("no values are valid", [], {"is_valid": True, "n": 0, "frac_validated": 1.0}),
    ("only nulls are valid", [None, None], {"is_valid": True, "n_empty": 2, "n_unique": 0}),
]


@pytest.mark.parametrize(("values", "expected"), named(INSPECT))
def test_inspect(values: list[Any], expected: dict[str, Any]):
    found = cells().inspect(values)
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_inspection_has_a_frame_in_input_order():
    found = cells().inspect(["x", "T cell", None, 7]).pl()
    assert found.columns == ["name", "__validated__"]
    assert found.rows() == [("x", False), ("T cell", True), (None, False), ("7", False)]
    assert cells().inspect(["x"]).df()["__validated__"].tolist() == [False]


def test_an_inspection_says_what_to_do_next():
    text = repr(cells().inspect(["T cell", "t cell", "lymphocyte", "nueron", 4, None]))
    assert "1 of 5 distinct values are valid (20.0%)" in text
    assert "'t cell' is known as 'T cell'" in text
    assert "'lymphocyte' is ambiguous: T cell, B cell" in text
    assert "did you mean 'neuron'?" in text
    assert "standardize() mends 1 spelling" in text


CONTAINERS: list[tuple[str, Any]] = [
    ("list", list),
    ("tuple", tuple),
    ("NumPy objects", lambda v: np.array(v, dtype=object)),
    ("pandas Series", lambda v: pd.Series(v, index=range(10, 10 + len(v)), name="s", dtype=object)),
    ("pandas strings", lambda v: pd.Series(v, dtype="string")),
    ("pandas Index", lambda v: pd.Index(v, name="i")),
    ("pandas Categorical", lambda v: pd.Categorical(v)),
    ("pandas categorical Series", lambda v: pd.Series(v, dtype="category", name="s")),
    ("Polars Series", lambda v: pl.Series("s", v)),
    ("Polars Categorical", lambda v: pl.Series("s", v, dtype=pl.Categorical)),
    ("Polars Enum", lambda v: pl.Series("s", v, dtype=pl.Enum(["unused", "x", "t cell", "T cell"]))),
    ("Arrow Array", pa.array),
    ("Arrow large strings", lambda v: pa.array(v, pa.large_string())),
    ("Arrow ChunkedArray", lambda v: pa.chunked_array([v[:1], v[1:]])),
    ("Arrow dictionary", lambda v: pa.array(v).dictionary_encode()),
    ("Arrow dictionaries in chunks", lambda v: pa.chunked_array([v[:2], v[2:]]).dictionary_encode()),
]


def as_list(values: Any) -> list[Any]:
    found = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    return [None if value is None or value is pd.NA or value != value else value for value in found]


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in CONTAINERS])
def test_the_container_that_came_in_goes_out(make: Any):
    given = make(["x", "t cell", None, "T cell"])
    mask, made = cells().validate(given), cells().standardize(given)
    assert as_list(mask) == [False, False, False, True]
    assert as_list(made) == ["x", "T cell", None, "T cell"]
    assert type(made) is type(given)
    for attribute in ("name", "type"):
        assert getattr(made, attribute, None) == getattr(given, attribute, None)
    if isinstance(given, pd.Series):
        assert (mask.index.equals(given.index) and made.index.equals(given.index) and made.dtype == given.dtype) or (
            given.dtype == "category"
        )
    inspected = cells().inspect(given)
    assert (inspected.validated, sorted(inspected.non_validated), inspected.n_empty) == (["T cell"], ["t cell", "x"], 1)


def test_categories_that_become_one_are_merged_and_unused_ones_do_not_count():
    given = pd.Categorical(["t cell", "T cell"], categories=["T cell", "nonsense", "t cell"], ordered=True)
    made = cells().standardize(given)
    assert list(made) == ["T cell", "T cell"] and list(made.categories) == ["T cell", "nonsense"] and made.ordered
    assert cells().inspect(given).non_validated == ["t cell"]


def test_fixed_width_text_grows_with_its_term():
    made = cells().standardize(np.array(["t cell", "CAFÉ AU LAIT SPOT"[:6]]))
    assert made.dtype.kind == "U" and made[0] == "T cell"
    assert cells().standardize(np.array(["T-cell", "nerve cell"])).tolist() == ["T cell", "neuron"]


@pytest.mark.parametrize("given", [np.arange(3), pd.Series([1.5, NAN]), pl.Series([1, 2]), pa.array([1, None])])
def test_columns_of_numbers_are_not_valid_and_pass(given: Any):
    assert not any(as_list(cells().validate(given)))
    assert cells().standardize(given) is given or as_list(cells().standardize(given)) == as_list(given)


BAD: list[tuple[str, Any, type[Exception]]] = [
    ("a single text", lambda v: v.validate("T cell"), InputError),
    ("a number", lambda v: v.validate(3), InputError),
    ("a dict", lambda v: v.validate({"a": 1}), InputError),
    ("a frame", lambda v: v.validate(pd.DataFrame({"a": ["x"]})), InputError),
    ("a Polars frame", lambda v: v.validate(pl.DataFrame({"a": ["x"]})), InputError),
    ("two dimensions", lambda v: v.validate(np.array([["x"]])), InputError),
    ("a MultiIndex", lambda v: v.validate(pd.MultiIndex.from_tuples([("a", "b")])), InputError),
    ("half a surrogate pair", lambda v: v.validate(["\ud800"]), InputError),
    ("a field that there is not", lambda v: v.validate(["x"], field="nmae"), UnknownField),
    ("a return field that there is not", lambda v: v.standardize(["x"], return_field="id"), UnknownField),
    ("another keep", lambda v: v.standardize(["x"], keep="all"), InputError),
    ("lists in a categorical", lambda v: v.standardize(pd.Categorical(["lymphocyte"]), keep=False), Unsupported),
    ("lists in Polars", lambda v: v.standardize(pl.Series(["lymphocyte"]), keep=False), Unsupported),
    ("an unknown term", lambda v: v.add_synonym("tcell", "x"), InputError),
    ("an empty synonym", lambda v: v.add_synonym("T cell", " "), InputError),
    ("a synonym of another term", lambda v: v.add_synonym("T cell", "nerve cell"), Duplicate),
    ("another term in another case", lambda v: v.add_synonym("T cell", "b CELL"), Duplicate),
]


@pytest.mark.parametrize(("act", "error"), named(BAD))
def test_bad_input_is_refused(act: Any, error: type[Exception]):
    with pytest.raises(error):
        act(cells())


def test_a_synonym_is_added_and_forced():
    grown = cells().add_synonym("T cell", "thymocyte")
    assert grown.standardize(["Thymocyte", "T-cell"]) == ["T cell", "T cell"]
    assert cells().standardize(["thymocyte"]) == ["thymocyte"], "the vocabulary itself is not changed"
    assert cells().add_synonym("T cell", "nerve cell", force=True).inspect(["nerve cell"]).ambiguous


def test_terms_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="position 1"):
        Vocabulary(["a", 2])
    with pytest.raises(InputError, match="one for each"):
        Vocabulary(["a"], fields={"id": ["1", "2"]})
    with pytest.raises(InputError, match="no term"):
        Vocabulary(["a"], synonyms={"b": ["c"]})
