"""Schemas: what data have to be, named and versioned, and which artifacts were found to conform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from lakehouse.errors import InputError, UnknownField, shown
from lakehouse.ids import derived_uid, version_of, with_version
from registries.artifact import Artifact
from registries.column import Column, Reference, column, reference
from registries.dtypes import parse_dtype
from registries.feature import Feature
from registries.lookups import condition
from registries.mending import mended
from registries.meta import Link
from registries.names import check_name
from registries.record import Record, Saved
from registries.retrieve import newest
from registries.vocabulary import text_fields, vocabulary_of
from validation import Rule, Slot, Spec, Vocabulary
from validation.checks import Resolver
from validation.compile import compiled, is_pandera, slot_of
from validation.infer import inferred
from validation.spec import COLUMNS

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["STATUSES", "ArtifactSchema", "Schema", "resolver", "spec_of"]

STATUSES = ("valid", "invalid", "not_validated")
"""What an artifact may be to a schema."""


class Schema(
    Record,
    unique=(("name", "version"),),
    links={"artifacts": Link("artifact_schema", "schema", "artifact", "artifact")},
):
    """What data have to be, slot by slot; another content under a known name is its next version.

    Parameters
    ----------
    rules
        Rules or features, or a dict of them by slot (``obs``, ``var``, ``uns``, ``rna/obs``, ...), a pandera schema
        or model, or a ``Spec``.
    name
        The name that it is found by.
    description
        What it is for.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> first = lake.Schema([Rule("age", "int", ge=0)], name="samples").save()
    >>> second = lake.Schema([Rule("age", "int", ge=0, le=120)], name="samples").save()
    >>> second.version, lake.Schema.get(name="samples").rule("age").le
    (1, 120)
    >>> lake.close()
    """

    name: Column[str] = column(doc="Name; versions share it.")
    description: Column[str | None] = column(doc="What it is for.", default=None)
    document: Column[str] = column(doc="Slots and rules, as JSON.", init=False)
    hash: Column[str] = column(doc="Hash of the document.", init=False)
    version: Column[int] = column(doc="Counts the contents of a name; the first is 0.", init=False)

    _spec: Spec | None = None

    def __init__(self, rules: Any, *, name: str, description: str | None = None) -> None:
        super().__init__(name=name, description=description)
        self._spec = Spec(spec_of(rules).slots, name)
        text = self._spec.to_json()
        self._values.update(document=text, hash=hashlib.sha256(text.encode()).hexdigest()[:32])

    @classmethod
    def infer(cls, data: Any, *, name: str, values: bool = True) -> Self:
        """Return the schema that data meet, as a starting point; save it or edit it.

        Parameters
        ----------
        data
            A pandas, Polars or Arrow frame, or an AnnData (its obs and var).
        name
            Of the schema.
        values
            Whether text columns of few distinct values admit these only.
        """
        if hasattr(data, "obs") and hasattr(data, "var"):
            return cls({s: inferred(getattr(data, s), values=values) for s in ("obs", "var")}, name=name)
        return cls({COLUMNS: inferred(data, values=values)}, name=name)

    @classmethod
    def from_json(cls, text: str, *, name: str | None = None) -> Self:
        """Return the schema that ``to_json()`` wrote, or that a JSON Schema describes."""
        spec = Spec.from_json(text)
        return cls(spec, name=name or spec.name)

    @classmethod
    def from_yaml(cls, text: str, *, name: str | None = None) -> Self:
        """Return the schema that ``to_yaml()`` wrote."""
        spec = Spec.from_yaml(text)
        return cls(spec, name=name or spec.name)

    @property
    def definition(self) -> Spec:
        """The slots and rules."""
        if self._spec is None:
            vars(self)["_spec"] = Spec.from_json(self.document)
        assert self._spec is not None
        return self._spec

    def rule(self, name: str, *, slot: str = COLUMNS) -> Rule:
        """Return the rule of a column."""
        found = self.definition.slots.get(slot, Slot()).rule(name)
        if found is None:
            raise UnknownField(f"schema {shown(self.name)} has no rule for {shown(name)} in slot {shown(slot)}")
        return found

    def to_pandera(self, backend: str = "pandas", *, slot: str = COLUMNS) -> Any:
        """Return a slot as a pandera schema; on pandas, its ``validate`` returns the standardized frame.

        On Polars and Arrow pandera has no parsers, so that it only validates there: standardize before, by
        ``schema.to_pandera("polars").validate(schema.standardize_data(frame))``.

        Parameters
        ----------
        backend
            ``pandas``, ``polars`` or ``pyarrow``.
        slot
            Which slot.
        """
        if slot not in self.definition.slots:
            listed = ", ".join(map(repr, self.definition.slots))
            raise InputError(f"schema {shown(self.name)} has no slot {shown(slot)}: choose one of {listed}")
        return compiled(self.definition.slots[slot], resolver(self.home_of()), backend, name=self.name)

    def standardize_data(self, data: Any) -> Any:
        """Return data with the names of records in place of other spellings, and columns converted where rules say so.

        Ambiguous and unknown values stay; ``curate(data, schema).standardize()`` lists each fix.

        Parameters
        ----------
        data
            A pandas, Polars or Arrow frame, which is not changed itself, or an AnnData or MuData, which is.

        Examples
        --------
        >>> import tempfile
        >>> import polars as pl
        >>> from registries.instance import Instance
        >>> lake = Instance.create(tempfile.mkdtemp())
        >>> _ = lake.ULabel(name="treated", synonyms=["dosed"]).save()
        >>> schema = lake.Schema([Rule("c", "cat[ULabel]"), Rule("n", "int", coerce=True)], name="s").save()
        >>> schema.standardize_data(pl.DataFrame({"c": ["Dosed"], "n": ["1"]})).to_dicts()
        [{'c': 'treated', 'n': 1}]
        >>> lake.close()
        """
        given = data.collect() if hasattr(data, "collect_schema") and hasattr(data, "collect") else data
        return mended(given, self.definition, resolver(self.home_of()))[0]

    def to_json(self) -> str:
        """Return it as JSON."""
        return self.definition.to_json()

    def to_yaml(self) -> str:
        """Return it as YAML."""
        return self.definition.to_yaml()

    def to_json_schema(self, *, slot: str = COLUMNS) -> dict[str, Any]:
        """Return a JSON Schema for one row of a slot."""
        return self.definition.to_json_schema(slot)

    # Saving

    def check(self) -> None:
        """Check the name, and that every registry and field that rules name is there."""
        super().check()
        self._values["name"] = check_name(self.name, "Schema.name")
        for slot, rule in self.definition.rules:
            for choice in rule.registries:
                _check_meaning(_check_choice(choice, rule, slot), rule)

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the newest row of the name, where it says the same."""
        latest = newest(snapshot.lookup("schema", "name", [self.name]))
        return latest if latest is not None and latest["hash"] == self.hash else None

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row: a new name begins a family, new content under a known name is its next version."""
        latest = newest(txn.snapshot.lookup("schema", "name", [self.name]))
        if latest is not None:
            uid, fresh = with_version(latest["uid"], latest["version"] + 1), False
        self._values["version"] = version_of(uid)
        return super().plan_insert(txn, home, uid, fresh=fresh)


class ArtifactSchema(Record):
    """What an artifact was found to be to a version of a schema."""

    artifact: Reference[str] = reference("artifact", doc="The artifact.")
    schema: Reference[str] = reference("schema", doc="The version of the schema.")
    status: Column[str] = column(doc="valid, invalid or not_validated.")
    n_faults: Column[int] = column(doc="How many faults there were.", default=0)

    def own_uid(self) -> str:
        """Return the uid that follows from artifact and schema."""
        return derived_uid("artifact_schema", self.artifact, self.schema)

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the row of the same artifact and schema, where it says the same."""
        row = snapshot.get("artifact_schema", self.own_uid())
        return row if row is not None and (row["status"], row["n_faults"]) == (self.status, self.n_faults) else None

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row, or replace what was found before."""
        before = txn.snapshot.get("artifact_schema", self.own_uid())
        if before is None:
            return super().plan_insert(txn, home, self.own_uid(), fresh=False)
        row = before | {"status": self.status, "n_faults": self.n_faults, "run": home.run_uid}
        txn.upsert("artifact_schema", [row], as_read=[before])
        return Saved(row)


Artifact.meta.links["schemas"] = Link("artifact_schema", "artifact", "schema", "schema")


def spec_of(given: Any) -> Spec:
    """Return the specification of rules, features, a pandera schema, or a dict of these by slot."""
    if isinstance(given, Schema):
        return given.definition
    if isinstance(given, Spec):
        return given
    if isinstance(given, Mapping):
        return Spec({str(name): _slot(part) for name, part in given.items()})
    return Spec({COLUMNS: _slot(given)})


def _slot(given: Any) -> Slot:
    if isinstance(given, Slot):
        return given
    if is_pandera(given):
        return slot_of(given)
    if isinstance(given, str | Record | Rule) or not isinstance(given, Iterable):
        raise InputError(f"rules = {shown(given)}: a list of rules or features, or a pandera schema is accepted")
    return Spec.of([_of_feature(one) if isinstance(one, Feature) else one for one in given]).slots[COLUMNS]


def _of_feature(feature: Feature) -> Rule:
    dtype = parse_dtype(feature.dtype)
    text = "any" if dtype.kind == "json" and not dtype.many else feature.dtype
    nullable = feature.nullable is not False
    return Rule(feature.name, text, nullable=nullable, unit=feature.unit, description=feature.description)


def _check_choice(choice: str, rule: Rule, slot: str) -> Any:
    try:
        found = parse_dtype(f"cat[{choice}]").choices[0]
    except InputError as error:
        error.add_note(f"It is the dtype of the rule for {rule.name!r} in slot {slot!r}.")
        raise
    if rule.field is not None and rule.field not in text_fields(found.registry):
        raise UnknownField(f"rule {shown(rule.name)}: {found.registry.__name__} has no field {shown(rule.field)}")
    return found


def _check_meaning(choice: Any, rule: Rule) -> None:
    """Check what a rule asks of a registry, before data come that it is asked of."""
    if rule.organism is not None and "organism" not in choice.registry.meta.columns:
        raise InputError(
            f"rule {shown(rule.name)}: {choice.registry.__name__} does not tell organisms apart: leave "
            f"organism={shown(rule.organism)} out"
        )
    for lookup, value in (rule.where or {}).items():
        if not lookup.startswith("features__"):  # which only an instance knows
            condition(choice.registry.meta, lookup, value)


def resolver(home: Instance) -> Resolver:
    """Return what finds the vocabularies of an instance that rules name; each is read once.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> resolver(lake)("ULabel", Rule("a", "cat[ULabel]"))
    <Vocabulary ULabel: 0 terms, 0 synonyms>
    >>> lake.close()
    """
    known: dict[Any, Vocabulary] = {}

    def resolve(choice: str, rule: Rule) -> Vocabulary:
        key = choice, rule.field, rule.organism, repr(rule.where)
        if key not in known:
            found = _check_choice(choice, rule, "")
            where = {**dict(found.lookups), **(rule.where or {})}
            known[key] = vocabulary_of(
                home.bound(found.registry), home, field=rule.field, organism=rule.organism, where=where
            )
        return known[key]

    return resolve
