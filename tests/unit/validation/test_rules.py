"""Rules, slots and specifications: what they refuse, and how they are written down."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from lakehouse.errors import InputError, InvalidFile, UnknownField
from validation import Relation, Rule, Slot, Spec


def _any(value: Any) -> Any:
    return value


REFUSED: list[tuple[str, Any, str]] = [
    ("no name", lambda: Rule(""), "no name"),
    ("an unknown dtype", lambda: Rule("a", "flaot"), "did you mean 'float'"),
    ("a list of lists", lambda: Rule("a", "list[list[int]]"), "not known"),
    ("bounds that cross", lambda: Rule("a", "int", ge=3, le=2), "contradicts itself"),
    ("bounds that touch", lambda: Rule("a", "int", gt=3, le=3), "contradicts itself"),
    ("bounds of text", lambda: Rule("a", "str", ge=3), "no bounds"),
    ("lengths that cross", lambda: Rule("a", "str", min_length=3, max_length=2), "contradicts itself"),
    ("a bound that is no number", lambda: Rule("a", "int", ge="x"), "not a number"),
    ("a bound that is NaN", lambda: Rule("a", "float", le=float("nan")), "not a number"),
    ("a bound that is no time", lambda: Rule("a", "datetime", ge="yesterday"), "not a time such as"),
    ("a bound with an hour for dates", lambda: Rule("a", "date", ge="2026-01-31T09:00"), "not a date such as"),
    ("an admitted value of another dtype", lambda: Rule("a", "int", isin=["x"]), "isin = 'x' is not a number"),
    ("a number for flags", lambda: Rule("a", "bool", isin=[1]), "not True or False"),
    ("a pattern of numbers", lambda: Rule("a", "int", regex="1.*"), "are no text"),
    ("lengths of times", lambda: Rule("a", "date", max_length=3), "are no text"),
    ("no value admitted", lambda: Rule("a", isin=[]), "isin is empty"),
    ("one text for a list", lambda: Rule("a", isin="abc"), "list of values"),
    ("a forbidden column with rules", lambda: Rule("a", forbidden=True, unique=True), "forbidden"),
    ("no regular expression", lambda: Rule("a", "str", regex="("), "regex"),
    ("an organism without a registry", lambda: Rule("a", "str", organism="human"), "goes with a registry"),
    ("a negative tolerance", lambda: Rule("a", "cat[ULabel]", max_unknown=-1), "not negative"),
    ("a tolerance that is text", lambda: Rule("a", "cat[ULabel]", max_unknown=_any("x")), "not negative"),
    ("a tolerance that is NaN", lambda: Rule("a", "cat[ULabel]", max_unknown=float("nan")), "not negative"),
    ("a length that is text", lambda: Rule("a", "str", min_length=_any("x")), "whole number"),
    ("a length below zero", lambda: Rule("a", "str", max_length=-1), "whole number"),
    ("terms without a registry", lambda: Rule("a", "str", terms=("x",)), "beside a registry"),
    ("a group that is one name", lambda: Slot([], unique_together=_any(["ab"])), "groups of names"),
    ("another order", lambda: Rule("a", "int", order="up"), "increasing"),
    ("a column twice", lambda: Slot([Rule("a"), Rule("a")]), "two rules"),
    ("another word for extra columns", lambda: Slot([], extra="ignore"), "extra"),
    ("another operator", lambda: Relation("a", "=", "b"), "not known"),
    (
        "a relation with what is forbidden",
        lambda: Slot([Rule("a", forbidden=True)], relations=[Relation("a", "<", "b")]),
        "forbidden",
    ),
    ("a rule that is none", lambda: Spec.of(["a"]), "rules are accepted"),
    ("a slot that is none", lambda: Spec.of({"obs": "a"}), "list of rules"),
]


@pytest.mark.parametrize(("make", "told"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_what_makes_no_sense_is_refused(make: Any, told: str):
    with pytest.raises(InputError, match=told):
        make()


def spec() -> Spec:
    slot = Slot(
        [
            Rule("age", "int", ge=0, lt=120, unit="years"),
            Rule("cell_type", "cat[CellType(name__startswith='T|x')|ULabel]", nullable=True, max_unknown=0.1),
            Rule("tags", "list[str]", required=False, max_length=3),
            Rule("started", "datetime", order="increasing", ge=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
            Rule("born", "date", lt=dt.date(2026, 1, 31), isin=[dt.date(2025, 1, 1)]),
            Rule("sex", "str", isin=["f", "m"], description="as told"),
            Rule("old", forbidden=True),
        ],
        index=Rule("index", "str", unique=True, regex="[a-z]+"),
        extra="forbid",
        ordered=True,
        relations=[Relation("age", "<", "age2")],
        unique_together=[("age", "sex")],
    )
    return Spec({"columns": slot, "rna/var": Slot([], extra="allow")}, "samples")


def test_registries_are_told_apart_outside_of_quotes():
    rule = Rule("a", "list[cat[CellType(name__startswith='T|x')|ULabel]]")
    assert rule.registries == ("CellType(name__startswith='T|x')", "ULabel")
    assert rule.many and rule.kind == "cat"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_specification_comes_back_from_text(form: str):
    text = getattr(spec(), f"to_{form}")()
    assert getattr(Spec, f"from_{form}")(text) == spec()
    assert getattr(Spec, f"from_{form}")(text).to_json() == spec().to_json()


def test_a_specification_comes_back_from_json_schema():
    made = spec().to_json_schema()
    assert made["properties"]["age"]["minimum"] == 0
    assert made["properties"]["sex"]["enum"] == ["f", "m"]
    assert "tags" not in made["required"] and made["additionalProperties"] is False
    assert Spec.from_json_schema(made).slots["columns"].rules == spec().slots["columns"].rules


def test_a_json_schema_of_others_is_read():
    given = {
        "title": "people",
        "type": "object",
        "properties": {"age": {"type": ["integer", "null"], "minimum": 0}, "mail": {"type": "string", "pattern": "@"}},
        "required": ["age"],
        "additionalProperties": False,
    }
    found = Spec.from_json_schema(given)
    age, mail = found.slots["columns"].rules
    assert (age.dtype, age.nullable, age.ge, age.required) == ("int", True, 0, True)
    assert not mail.required and mail.regex is not None
    assert found.name == "people" and found.slots["columns"].extra == "forbid"


BAD_TEXT = [
    ("python tags", "from_yaml", "slots: !!python/object/apply:os.system ['true']"),
    ("aliases", "from_yaml", "a: &a [1]\nb: *a\nslots: {}"),
    ("no mapping", "from_yaml", "- 1"),
    ("no JSON", "from_json", "{"),
    ("depth", "from_json", "[" * 100_000),
    ("names twice", "from_json", '{"slots": {}, "slots": {}}'),
    ("no slots", "from_json", "{}"),
]


@pytest.mark.parametrize(("reader", "text"), [pytest.param(*row[1:], id=row[0]) for row in BAD_TEXT])
def test_hostile_text_is_refused(reader: str, text: str):
    with pytest.raises(InvalidFile):
        getattr(Spec, reader)(text)


def test_unknown_properties_are_named():
    with pytest.raises(UnknownField, match="did you mean 'regex'"):
        Spec.from_json('{"slots": {"columns": {"rules": [{"name": "a", "regx": "x"}]}}}')
