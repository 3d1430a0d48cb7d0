"""Curators: validate data against a schema, mend what is safe, add what is new, save annotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lakehouse.errors import InputError, RecordNotFound, Unsupported, did_you_mean, shown
from registries.artifact import Artifact
from registries.curated import annotate, column_of
from registries.mending import Fix, member_rules, mended
from registries.newcomers import add_values, public_hint
from registries.parts import kind_of, loaded, opened_parts, spec_faults
from registries.retrieve import newest
from registries.schema import ArtifactSchema, Schema, resolver, spec_of
from registries.standards import STANDARDS, standard_faults
from validation import Fault, Report, Rule, Spec
from validation.columns import values_of
from validation.compile import failures, is_pandera

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registries.instance import Instance
    from registries.record import Record

__all__ = ["Curator", "Fix", "find_schema", "known_schema"]


class Curator:
    """What ``lh.curate(data, schema)`` returns.

    Examples
    --------
    >>> import tempfile
    >>> import polars as pl
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> _ = lake.ULabel(name="treated", synonyms=["dosed"]).save()
    >>> schema = lake.Schema([Rule("condition", "cat[ULabel]")], name="conditions").save()
    >>> curator = Curator(pl.DataFrame({"condition": ["Dosed", "treated"]}), schema, lake)
    >>> curator.validate().faults[0].reason
    'not_in_registry'
    >>> curator.standardize()
    [Fix(slot='columns', column='condition', before='Dosed', after='treated')]
    >>> artifact = curator.save_artifact(key="conditions.parquet")
    >>> [label.name for label in artifact.labels.get(feature="condition")]
    ['treated']
    >>> lake.close()
    """

    def __init__(self, data: Any, schema: Any, home: Instance) -> None:
        self.data = data.collect() if hasattr(data, "collect_schema") and hasattr(data, "collect") else data
        self._home = home
        self._foreign: Any = None
        self.schema: Schema | None = None
        self.definition = self._define(schema)
        self.report: Report | None = None

    def _define(self, given: Any) -> Spec:
        if isinstance(given, str):
            given = known_schema(self._home, given)
        if isinstance(given, Schema):
            self.schema = given
            return given.definition
        if is_pandera(given):
            try:
                return spec_of(given)
            except Unsupported:  # it has checks of its own: pandera itself is asked
                self._foreign = given
                return Spec()
        return spec_of(given)

    @property
    def name(self) -> str:
        """What the schema is called."""
        return self.schema.name if self.schema is not None else self.definition.name

    def __repr__(self) -> str:
        verdict = "not validated yet" if self.report is None else "valid" if self.report.ok else "invalid"
        return f"<Curator of {type(self.data).__name__} by schema {self.name!r}: {verdict}>"

    # Looking

    def validate(self) -> Report:
        """Return all faults at once; nothing is changed."""
        if self._foreign is not None:
            found = [_of_pandera(one) for one in failures(self._foreign, self.data)]
        else:
            with opened_parts(self.data) as parts:
                found = spec_faults(self.definition, parts, resolver(self._home))
            found = [self._hinted(fault) for fault in found]
            found += standard_faults(self.definition, self.data, self._home)
        self.report = Report.of(self.name, found)
        return self.report

    def _hinted(self, fault: Fault) -> Fault:
        """Say of values that a public source on this machine has them."""
        if fault.reason != "not_in_registry" or (fault.suggestion or "").startswith("standardize"):
            return fault
        for slot, rule in member_rules(self.definition):
            if (slot, rule.name) == (fault.slot, fault.column) and rule.field is None:
                registry = getattr(cast(Any, self._home), rule.registries[0].partition("(")[0])
                hint = public_hint(registry, fault, rule.organism)
                return fault if hint is None else replace(fault, suggestion=hint)
        return fault

    # Mending

    def standardize(self) -> list[Fix]:
        """Put the names of records in place of other spellings, and convert columns whose rule says ``coerce``.

        Ambiguous and unknown values stay, and so do columns that hold a value which cannot be converted.

        A frame is copied first, and the copy is ``curator.data``; an AnnData or MuData is changed in place. A file is
        loaded, and is not changed itself.

        Returns
        -------
        list of Fix
            Each distinct value, or column, that was changed.
        """
        self._load()
        self.data, fixes = mended(self.data, self.definition, resolver(self._home))
        self.report = None
        return fixes

    def add_new_from(self, column: str, *, slot: str | None = None) -> list[Record]:
        """Save the values of a column that its registry does not know, in one commit, and return the records.

        Terms of a public source that is on this machine are imported, with all that is above them, also where a value
        is another spelling of one; the rest become records of their own. What only is another spelling of a record, or
        ambiguous, is left to :meth:`standardize`.

        Parameters
        ----------
        column
            The column.
        slot
            Where it is; needed where several slots have a rule for it.

        Raises
        ------
        InputError
            When the column's rule names no registry, or values are compared with another field than the name.
        """
        where, rule = self._rule(column, slot)
        if rule.field is not None:
            raise InputError(f"{shown(column)} holds the field {rule.field!r} of records, from which none can be made")
        unknown = self._unknown(where, rule)
        made: Any = self._home
        self.report = None
        return add_values(getattr(made, rule.registries[0].partition("(")[0]), self._home, unknown, rule.organism)

    def _unknown(self, slot: str, rule: Rule) -> list[str]:
        resolve = resolver(self._home)
        known = [resolve(choice, rule) for choice in rule.registries]
        names: dict[str, None] = {}
        with opened_parts(self.data) as parts:
            for values in _values(parts, slot, rule):
                inspected = [vocabulary.inspect(values) for vocabulary in known]
                unknown = set(inspected[0].unknown).intersection(*(set(one.unknown) for one in inspected))
                names.update(dict.fromkeys(name for name in inspected[0].unknown if name in unknown))
        return [name for name in names if name not in rule.terms]

    def _rule(self, column: str, slot: str | None) -> tuple[str, Rule]:
        found = [(s, rule) for s, rule in member_rules(self.definition) if rule.name == column and slot in (None, s)]
        if not found:
            names = [rule.name for _, rule in member_rules(self.definition)]
            raise InputError(f"no rule compares {shown(column)} with a registry{did_you_mean(column, names)}")
        if len(found) > 1:
            raise InputError(f"{shown(column)} is in the slots {', '.join(s for s, _ in found)}: pass slot=")
        return found[0]

    def _load(self) -> None:
        if hasattr(self.data, "located"):
            self.data = self.data.load()
        elif isinstance(self.data, str) or hasattr(self.data, "__fspath__"):
            self.data = loaded(self.data)

    # Saving

    def save_artifact(
        self, *, key: str | None = None, description: str | None = None, on_invalid: str = "refuse"
    ) -> Artifact:
        """Validate, save and annotate in one commit: the artifact, its features, its labels by feature, the verdict.

        Parameters
        ----------
        key
            The artifact's.
        description
            What it is.
        on_invalid
            ``refuse`` raises; ``register`` saves without labels and records that it is invalid.

        Raises
        ------
        InvalidData
            When there are faults; nothing is saved.
        """
        if on_invalid not in ("refuse", "register"):
            raise InputError(f"on_invalid = {shown(on_invalid)}: 'refuse' or 'register' is accepted")
        report = self.validate()
        if on_invalid == "refuse":
            report.raise_if_invalid()
        if hasattr(self.data, "located"):
            artifact = self.data
        else:
            artifact = self._home.Artifact(self.data, key=key, description=description)
            artifact.prepare(self._home)
        with self._home.transaction(f"curated by schema {self.name}"):
            if not artifact.is_saved:
                artifact.save()
            if self.schema is not None and not self.schema.is_saved:
                self.schema.save()
            if report.ok:
                with opened_parts(self.data) as parts:
                    annotate(artifact, self.definition, parts, self._home)
            self._record(artifact, report)
        return artifact  # type: ignore[no-any-return]

    def _record(self, artifact: Artifact, report: Report) -> None:
        if self.schema is None:
            return
        status = "valid" if report.ok else "invalid"
        made: Any = self._home.bound(ArtifactSchema)
        made(artifact=artifact, schema=self.schema, status=status, n_faults=len(report)).save()


def _values(parts: Mapping[str, Any], slot: str, rule: Rule) -> Iterator[Any]:
    part = parts.get(slot)
    if part is None:
        return
    for frame in part.read() if part.kind == "batches" else [part.read()]:
        column = column_of(frame, "columns", rule.name) if kind_of(frame) == "frame" else None
        if column is not None:
            yield values_of(column).text if not rule.many else values_of(_flat(column)).text


def _flat(column: Any) -> list[Any]:
    rows = column.to_list() if hasattr(column, "to_list") else column.to_pylist()
    return [item for row in rows if row is not None for item in row]


def _of_pandera(failure: Any) -> Fault:
    flags = failure.flags
    rows = () if flags is None else tuple((~flags.fill_null(value=True)).arg_true().to_list())
    return Fault(failure.reason, "columns", failure.column, failure.message, max(len(rows), 1), rows[:1_000])


def known_schema(home: Instance, name: str) -> Schema:
    """Return the latest version of a saved schema, or a standard that is shipped and not saved yet."""
    if name in STANDARDS and not home.snapshot().lookup("schema", "name", [name]).num_rows:
        spec, description = STANDARDS[name]
        schema: Any = home.bound(Schema)
        return schema(spec, name=name, description=description)  # type: ignore[no-any-return]
    return find_schema(home, name)


def find_schema(home: Instance, name: str, *, version: int | None = None) -> Schema:
    """Return the latest version of a saved schema, or a certain one.

    Raises
    ------
    RecordNotFound
        When there is none of that name.
    """
    rows = home.snapshot().lookup("schema", "name", [name])
    found = [row for row in rows.to_pylist() if version in (None, row["version"])]
    if not found:
        known = home.snapshot().arrow("select distinct name from schema order by 1", tables=["schema"])["name"]
        raise RecordNotFound(
            f"no Schema is called {shown(name)}{did_you_mean(name, known.to_pylist()) or '; no Schema is saved yet'}"
        )
    row = newest(rows) if version is None else found[0]
    assert row is not None
    schema: Any = home.bound(Schema)
    return schema.from_row(row, home)  # type: ignore[no-any-return]
