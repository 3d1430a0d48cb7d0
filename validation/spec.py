"""Specifications: the slots of a schema, and how they are written down as JSON, YAML and JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.errors import InputError, InvalidFile, UnknownField, did_you_mean, shown
from validation.rules import Relation, Rule, Slot

__all__ = ["COLUMNS", "Spec"]

COLUMNS = "columns"
"""The slot of a plain frame."""
_LONGEST = 4_000_000
_DEEPEST = 50
_JSON_TYPES = {"int": "integer", "float": "number", "number": "number", "str": "string", "bool": "boolean"}
_FORMATS = {"date": "date", "datetime": "date-time"}


@dataclass(frozen=True)
class Spec:
    """What data have to be, slot by slot.

    Slots of an AnnData are ``obs``, ``var``, ``raw/var``, ``uns``, ``obsm``, ``varm``, ``layers`` and ``X``; of a
    MuData these of a modality, as in ``rna/obs``; of a frame ``columns``.

    Attributes
    ----------
    slots
        By name.
    name
        What the schema is called.

    Examples
    --------
    >>> spec = Spec.of([Rule("age", "int", ge=0)], name="samples")
    >>> Spec.from_json(spec.to_json()) == spec
    True
    """

    slots: Mapping[str, Slot] = field(default_factory=dict)
    name: str = ""

    @classmethod
    def of(cls, given: Any, *, name: str = "") -> Spec:
        """Return the specification of rules, a slot, or a dict of either by the name of the slot."""
        if isinstance(given, Spec):
            return given
        slots = given if isinstance(given, Mapping) else {COLUMNS: given}
        return cls({_slot_name(slot): _slot(slot, rules) for slot, rules in slots.items()}, name)

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def rules(self) -> list[tuple[str, Rule]]:
        """All rules with their slots, indexes included."""
        return [(name, rule) for name, slot in self.slots.items() for rule in (*slot.rules, slot.index) if rule]

    # Written down

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain lists and dicts."""
        return {"name": self.name, "slots": {name: _slot_dict(slot) for name, slot in self.slots.items()}}

    @classmethod
    def from_dict(cls, given: object) -> Spec:
        """Return what :meth:`to_dict` wrote."""
        if not isinstance(given, Mapping) or not isinstance(given.get("slots"), Mapping):
            raise InvalidFile(f"{shown(given)} is no schema: an object with 'slots' is expected")
        slots = {_slot_name(name): _slot_from(slot) for name, slot in given["slots"].items()}
        return cls(slots, str(given.get("name") or ""))

    def to_json(self) -> str:
        """Return it as JSON; equal specifications give equal text."""
        return json.dumps(self.to_dict(), default=str, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Return what :meth:`to_json` wrote, or what a JSON Schema of flat objects says."""
        given = _parsed(text)
        return cls.from_json_schema(given) if _is_json_schema(given) else cls.from_dict(given)

    def to_yaml(self) -> str:
        """Return it as YAML."""
        import yaml

        return str(yaml.safe_dump(json.loads(self.to_json()), sort_keys=False, allow_unicode=True))

    @classmethod
    def from_yaml(cls, text: str) -> Spec:
        """Return what :meth:`to_yaml` wrote; tags, anchors and aliases are refused."""
        import yaml

        _bounded(text)
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                    raise InvalidFile("the YAML has anchors or aliases, which a schema does not need: write them out")
            given = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise InvalidFile(f"the YAML cannot be read: {shown(str(error), 200)}") from None
        return cls.from_json_schema(given) if _is_json_schema(given) else cls.from_dict(given)

    # JSON Schema

    def to_json_schema(self, slot: str = COLUMNS) -> dict[str, Any]:
        """Return a JSON Schema (2020-12) for one row of a slot; what it has no word for is kept under ``x-lakehouse``."""
        found = self.slots.get(slot)
        if found is None:
            raise InputError(f"the schema has no slot {shown(slot)}{did_you_mean(slot, self.slots)}")
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.name,
            "type": "object",
            "properties": {rule.name: _property(rule) for rule in found.rules if not rule.forbidden},
            "required": [rule.name for rule in found.rules if rule.required and not rule.forbidden],
            "additionalProperties": found.extra != "forbid",
            "x-lakehouse": {"name": self.name, "slots": {slot: _slot_dict(found)}},
        }

    @classmethod
    def from_json_schema(cls, given: object) -> Spec:
        """Return the specification of rows that a JSON Schema describes."""
        if not isinstance(given, Mapping) or not isinstance(given.get("properties"), Mapping):
            raise InvalidFile(f"{shown(given)} is no JSON Schema of an object with properties")
        if "x-lakehouse" in given:
            return cls.from_dict(given["x-lakehouse"])
        required = given.get("required") or []
        rules = [_of_property(name, item, name in required) for name, item in given["properties"].items()]
        extra = "forbid" if given.get("additionalProperties") is False else "report"
        return cls({COLUMNS: Slot(tuple(rules), extra=extra)}, str(given.get("title") or ""))


def _slot_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"slot {shown(name)} is no name: 'columns', 'obs', 'var' and so on are accepted")
    return name


def _slot(name: object, given: Any) -> Slot:
    if isinstance(given, Slot):
        return given
    if isinstance(given, str | Rule) or not isinstance(given, Iterable):
        raise InputError(f"slot {shown(name)} = {shown(given)}: a list of rules or a Slot is accepted")
    rules = [rule if not isinstance(rule, Mapping) else Rule.from_dict(rule) for rule in given]
    for rule in rules:
        if not isinstance(rule, Rule):
            raise InputError(f"slot {shown(name)} holds {shown(rule)}: rules are accepted, not a {type(rule).__name__}")
    return Slot(tuple(rules))


def _slot_dict(slot: Slot) -> dict[str, Any]:
    made: dict[str, Any] = {"rules": [rule.to_dict() for rule in slot.rules]}
    if slot.index is not None:
        made["index"] = slot.index.to_dict()
    if slot.extra != "report":
        made["extra"] = slot.extra
    if slot.ordered:
        made["ordered"] = True
    if slot.relations:
        made["relations"] = [[one.left, one.op, one.right] for one in slot.relations]
    if slot.unique_together:
        made["unique_together"] = [list(group) for group in slot.unique_together]
    return made


_SLOT_KEYS = ("rules", "index", "extra", "ordered", "relations", "unique_together")


def _slot_from(given: object) -> Slot:
    if not isinstance(given, Mapping):
        raise InvalidFile(f"slot {shown(given)}: an object with 'rules' is expected")
    for key in given:
        if key not in _SLOT_KEYS:
            raise UnknownField(f"a slot has no property {shown(key)}{did_you_mean(str(key), _SLOT_KEYS)}")
    try:
        return Slot(
            tuple(Rule.from_dict(rule) for rule in given.get("rules", ())),
            index=Rule.from_dict(given["index"]) if given.get("index") else None,
            extra=given.get("extra", "report"),
            ordered=bool(given.get("ordered", False)),
            relations=tuple(Relation(*one) for one in given.get("relations", ())),
            unique_together=tuple(tuple(group) for group in given.get("unique_together", ())),
        )
    except TypeError as error:
        raise InvalidFile(f"slot {shown(dict(given))} cannot be read: {error}") from None


def _bounded(text: object) -> str:
    if not isinstance(text, str):
        raise InputError(f"schema {shown(text)} is a {type(text).__name__}: text is accepted")
    if len(text) > _LONGEST:
        raise InvalidFile(f"the schema has {len(text):,} characters: at most {_LONGEST:,} are read")
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(_bounded(text), object_pairs_hook=_once)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidFile(f"the schema is no JSON: {shown(str(error), 200)}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidFile(f"the schema names {shown(twice)} twice in one object: keep one")
    return made


def _is_json_schema(given: object) -> bool:
    return isinstance(given, Mapping) and "slots" not in given and "properties" in given


def _property(rule: Rule) -> dict[str, Any]:
    kind: dict[str, Any] = {}
    if rule.kind in _JSON_TYPES:
        kind["type"] = _JSON_TYPES[rule.kind]
    elif rule.kind in _FORMATS:
        kind |= {"type": "string", "format": _FORMATS[rule.kind]}
    elif rule.kind == "cat":
        kind["type"] = "string"
    words = {"minimum": rule.ge, "exclusiveMinimum": rule.gt, "maximum": rule.le, "exclusiveMaximum": rule.lt}
    words |= {"minLength": rule.min_length, "maxLength": rule.max_length, "description": rule.description}
    if rule.regex is not None:
        words["pattern"] = f"^(?:{rule.regex})$"
    kind |= {word: value for word, value in words.items() if value is not None}
    if rule.isin is not None:
        kind["enum"] = list(rule.isin)
    if rule.nullable and "type" in kind:
        kind["type"] = [kind["type"], "null"]
    return {"type": "array", "items": kind} if rule.many else kind


def _of_property(name: str, given: Any, required: bool) -> Rule:  # noqa: FBT001  one of three plain values
    if not isinstance(given, Mapping):
        raise InvalidFile(f"property {shown(name)} = {shown(given)}: an object is expected")
    many = given.get("type") == "array"
    inner = given.get("items", {}) if many else given
    kinds = [inner.get("type")] if isinstance(inner.get("type"), str | None) else list(inner.get("type", []))
    found = {word: kind for kind, word in _JSON_TYPES.items() if kind != "number"} | {"number": "number"}
    kind = next((found[one] for one in kinds if one in found), "any")
    kind = next((k for k, word in _FORMATS.items() if inner.get("format") == word), kind)
    pattern = inner.get("pattern")
    if pattern and pattern.startswith("^(?:") and pattern.endswith(")$"):
        pattern = pattern[4:-2]
    elif pattern:  # a pattern may match anywhere there, a rule's regex matches the whole
        pattern = f"[\\s\\S]*?(?:{pattern})[\\s\\S]*" if not pattern.startswith("^") else pattern
    return Rule(
        name,
        f"list[{kind}]" if many else kind,
        required=required,
        nullable="null" in kinds,
        ge=inner.get("minimum"),
        gt=inner.get("exclusiveMinimum"),
        le=inner.get("maximum"),
        lt=inner.get("exclusiveMaximum"),
        min_length=inner.get("minLength"),
        max_length=inner.get("maxLength"),
        regex=pattern,
        isin=tuple(inner["enum"]) if inner.get("enum") else None,
        description=inner.get("description"),
    )
