"""The base of every registry: a record is one row, its class is the table."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from lakehouse.engine import TableSpec
from lakehouse.errors import Duplicate, InputError, StillReferenced, UnknownField, did_you_mean, shown
from lakehouse.ids import new_uid
from registries import retrieve
from registries.binding import REGISTRIES, current
from registries.checked import check_declaration
from registries.column import MISSING, Column, Reference, bind_annotations, column, reference
from registries.display import html_fields, rich_fields
from registries.expressions import Q
from registries.many import STEPS, Many
from registries.meta import Link, Lookup, Meta, table_name
from registries.names import check_name
from registries.query import Query
from registries.renamed import no_such
from registries.safeguards import in_use, keep_old_name, refuse_parents, warn_of_close_names
from registries.vectors import Vectors

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["Record", "Saved"]

_log = logging.getLogger("lakehouse")
_UNSAVED: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Saved:
    """What planning a save came to: the row as it will be, and whether it was there before."""

    row: dict[str, Any]
    found: bool = False


class _Registry(type):
    """The type of registries: says what a name that there is not is called here."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:
            raise AttributeError(no_such(cls.__name__, name, dir(cls)))


@dataclass_transform(kw_only_default=True, field_specifiers=(column, reference))
class Record(Vectors, Many, metaclass=_Registry):
    """One row of a registry.

    Constructors check types only; ``save()`` checks values, looks up, commits, and returns the record.
    A registry is declared by subclassing, in the class itself:

    Examples
    --------
    >>> from registries import ULabel
    >>> label = ULabel(name="treated")
    >>> label.name, label.is_saved
    ('treated', False)
    >>> ULabel(nmae="treated")
    Traceback (most recent call last):
    lakehouse.errors.UnknownField: ULabel has no field 'nmae'; did you mean 'name'?
    """

    meta: ClassVar[Meta]
    """The declaration, as data."""

    uid: Column[str] = column(doc="20 base62 characters: a stem of 16 and 4 of version.", init=False)
    created_at: Column[dt.datetime] = column(doc="When the row was first saved, UTC.", init=False)
    created_by: Reference[str] = reference("user", doc="The user who saved it first.", init=False)
    run: Reference[str | None] = reference("run", doc="The run that saved it, if any.", default=None, init=False)

    _home: Instance | None = None
    _inherited: ClassVar[Mapping[str, Column[Any]]] = {}
    _computed: ClassVar[Mapping[str, Lookup]] = {}
    _values: dict[str, Any]
    _read: Mapping[str, Any]

    def __init_subclass__(
        cls,
        *,
        table: str | None = None,
        natural: tuple[str, ...] = (),
        unique: tuple[tuple[str, ...], ...] = (),
        links: Mapping[str, Link] | None = None,
        derived: Mapping[str, str] | None = None,
        home: Instance | None = None,
        abstract: bool = False,
        carried: str = "",
        measured: str = "",
        origin: str | None = None,
    ) -> None:
        super().__init_subclass__()
        if home is not None:
            cls._home = home
            return
        own = bind_annotations(cls)
        for base in cls.__mro__[1:]:
            inherited: Mapping[str, Column[Any]] = vars(base).get("_inherited", {})
            own |= {name: declared for name, declared in inherited.items() if name not in own}
        if abstract:  # what several registries share: columns and behaviour without a table
            cls._inherited = own
            return
        columns = {"uid": _COMMON["uid"], **own, **_COMMON}
        comment = (cls.__doc__ or "").strip().partition("\n")[0]
        name = table or table_name(cls.__name__)
        if origin is None:
            origin = "" if cls.__module__.startswith("registries.") else f"{cls.__module__}:{cls.__qualname__}"
        meta = Meta(
            cls,
            name,
            columns,
            natural,
            unique,
            dict(links or {}),
            derived or {},
            comment,
            carried,
            measured,
            cls._computed,
            origin,
        )
        if origin:
            check_declaration(meta, own, Record)
        cls.meta = meta
        REGISTRIES[name] = cls

    def __init__(self, *given: object, **fields: Any) -> None:
        meta = self.meta
        if given:
            name = meta.natural[0] if meta.natural else meta.title
            raise InputError(
                f"{meta.name}({shown(given[0])}): fields go by name: {meta.name}({name}={shown(given[0])})"
            )
        self._start()
        for name, value in fields.items():
            declared = meta.columns.get(name)
            if declared is None or not declared.init:
                choices = [c.name for c in meta.columns.values() if c.init]
                raise UnknownField(f"{meta.name} has no field {shown(name)}{did_you_mean(name, choices)}")
            self.assign(declared, value)
        for name, declared in meta.columns.items():
            if declared.init and name not in self._values:
                if declared.default is MISSING:
                    raise InputError(f"{meta.name} needs {name}: {declared.accepted} is accepted")
                self._values[name] = declared.initial

    def _start(self) -> None:
        vars(self).update(_values={}, _read=_UNSAVED)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`go_back` needs to bring the record back to where it is now."""
        return {"_values": dict(self._values), "_read": self._read, "_home": self._home}

    def go_back(self, state: Mapping[str, Any]) -> None:
        """Go back to an earlier state: its transaction was rolled back, or is planned anew."""
        vars(self).update(state, _values=dict(state["_values"]))

    # Values

    def value(self, name: str) -> Any:
        """Return the value of a column; None where ``save()`` has yet to set it."""
        return self._values.get(name)

    def assign(self, declared: Column[Any], value: Any) -> None:
        """Set a column, checking its type; what ``save()`` sets is refused."""
        owner = self.meta.name
        if not declared.init:
            raise InputError(f"{owner}.{declared.name} is set by save() and cannot be assigned")
        if declared.references is not None and isinstance(value, Record):
            value = self._uid_of(declared, value)
        self._values[declared.name] = declared.checked(value, owner)

    def _uid_of(self, declared: Column[Any], record: Record) -> str:
        where = f"{self.meta.name}.{declared.name}"
        if record.meta.table != declared.references:
            raise InputError(f"{where} refers to a {declared.references}, not to {shown(record)}")
        if not record.is_saved:
            raise InputError(f"{where} = {shown(record)} is not saved: call its save() first")
        vars(self).setdefault("_mentions", []).append(record)
        return record.uid

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            choices = [c.name for c in self.meta.columns.values() if c.init]
            raise UnknownField(f"{self.meta.name} has no field {shown(name)}{did_you_mean(name, choices)}")
        super().__setattr__(name, value)

    def to_row(self) -> dict[str, Any]:
        """Return the values by column, in the order of the table."""
        return {name: self._values.get(name) for name in self.meta.columns}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], home: Instance) -> Self:
        """Return the record that a row of ``home`` stands for."""
        record = cls.__new__(cls)
        record._start()
        record.settle(Saved(dict(row), found=True), home)
        return record

    @property
    def is_saved(self) -> bool:
        """Whether it has a row."""
        return bool(self._read)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        if not (self.is_saved and other.is_saved):
            return self is other
        return (self.meta.table, self.uid) == (other.meta.table, other.uid)

    def __hash__(self) -> int:
        return hash((self.meta.table, self.uid)) if self.is_saved else id(self)

    def __repr__(self) -> str:
        shape = ", ".join(
            f"{k}={_brief(v)}" for k, v in self.to_row().items() if v not in (None, []) and k not in _QUIET
        )
        return f"{self.meta.name}({shape})"

    def _repr_html_(self) -> str:
        return html_fields(self.meta.name, self.to_row())

    def __rich__(self) -> Any:
        return rich_fields(self.meta.name, self.to_row())

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what a name that there is not is called here."""
            raise AttributeError(no_such(self.meta.name, name, dir(type(self))))

    # Looking up

    @classmethod
    def home(cls) -> Instance:
        """Return the instance that this registry is bound to, or else the current one.

        Raises
        ------
        UnknownField
            When it is a registry of one's own that the instance does not have.
        """
        found = cls._home or current()
        if cls.meta.origin and not found.has(cls.meta.table):
            raise UnknownField(
                f"the instance at {found.root} has no registry {cls.meta.name}: add it with lh.add_registry("
                f"{cls.meta.name}) or `lakehouse registry add {cls.meta.origin}`"
            )
        return found

    @classmethod
    def filter(cls, *conditions: Q, **lookups: Any) -> Query[Self]:
        """Return a lazy query for the records that meet every condition and look-up.

        Parameters
        ----------
        *conditions
            ``lh.Q(...)``, comparisons of columns such as ``Artifact.size > 1e6``, or these with ``&``, ``|``, ``~``.
        **lookups
            ``field=value`` or ``field__operator=value``, where a field may cross references and links:
            ``created_by__handle="ada"``, ``ulabels__name="treated"``. Operators: exact, gt, gte, lt, lte, ne, in,
            contains, icontains, startswith, endswith, isnull.
        """
        return Query.of(cls, cls.home()).filter(*conditions, **lookups)

    @classmethod
    def get(cls, uid: str | None = None, **lookups: Any) -> Self:
        """Return the one record with this uid, or that meets the look-ups.

        Parameters
        ----------
        uid
            A whole uid, a stem of 16 characters (its latest version), or at least 3 characters that begin
            the uid or its random part.
        **lookups
            As for :meth:`filter`.

        Raises
        ------
        RecordNotFound
            When there is none.
        MultipleFound
            When there are several.
        """
        return retrieve.get(cls, cls.home(), uid, lookups)

    @classmethod
    def is_made_of_columns(cls) -> bool:
        """Return whether a record comes of its columns alone, without content or members."""
        return cls.__init__ is Record.__init__

    def given(self) -> Mapping[str, Any]:
        """Return the values that were given, by column."""
        return self._values

    @classmethod
    def spec(cls) -> TableSpec:
        """Return what the engine needs to keep the table."""
        return cls.meta.spec()

    def home_of(self) -> Instance:
        """Return the instance that this record belongs to, or else its registry's."""
        return self._home or self.home()

    # Saving

    def prepare(self, home: Instance) -> None:
        """Do what takes long and needs no transaction, before one begins."""

    def release(self) -> None:
        """Let go of what was only needed for saving, once that is committed."""

    def save(self, *, near: bool | None = None) -> Self:
        """Save the record, or rebind it to the one that is already there; return it.

        Parameters
        ----------
        near
            Whether to warn on the log, where the record is new and known by a name, of names that are close to its
            own; as the setting ``close_names`` says, where it is not given.

        Raises
        ------
        InvalidName
            When a name or text cannot be stored.
        ChangedSinceRead
            When somebody else changed the row since it was read.
        """
        if not self._read and (self.home_of().warns if near is None else near):
            warn_of_close_names(self, asked=bool(near))
        if not self._read or self._changed():
            self.home_of().save([self])
        return self

    def delete(self) -> None:
        """Delete the row.

        Raises
        ------
        StillReferenced
            When something refers to it; the message says what.
        """
        home = self.home_of()
        home.refuse_reading_only()
        if not self._read:
            raise InputError(f"{self!r} is not saved: there is nothing to delete")

        def plan(txn: Transaction) -> None:
            refuse_parents(self, txn.snapshot)
            self.plan_delete(txn)
            self.forget_row()

        try:
            home.change([self], plan)
        except StillReferenced as error:
            raise in_use(self, error) from error

    def plan_delete(self, txn: Transaction) -> None:
        """Delete the row, with what belongs to it alone."""
        txn.delete(self.meta.table, [self.uid])

    def _changed(self) -> dict[str, Any]:
        return {name: value for name, value in self._values.items() if value != self._read.get(name)}

    @property
    def is_probably_new(self) -> bool:
        """Whether saving may insert at once and leave it to the unique name to say that it is taken."""
        natural = self.meta.natural
        return not self._read and len(natural) == 1 and self.meta.columns[natural[0]].unique

    def plan_save(self, txn: Transaction, home: Instance, *, look: bool = True) -> Saved:
        """Put what saving needs into a transaction; may run again when it must be planned anew.

        Parameters
        ----------
        txn
            The transaction.
        home
            The instance that it belongs to.
        look
            Whether to look for an existing row with the same natural key.
        """
        self.check_home(home)
        owner, values = self.meta.name, self._values
        for name, declared in self.meta.columns.items():
            if declared.init:
                values[name] = declared.storable(values[name], owner)
        self.check()
        if self._read:
            return self._plan_change(txn)
        if look and (row := self.find(txn.snapshot)) is not None:
            return Saved(row, found=True)
        return self.plan_insert(txn, home, new_uid())

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row under ``uid``, stamped with time, user and run."""
        stamps = {"uid": uid, "created_at": dt.datetime.now(dt.UTC)}
        row = self.to_row() | stamps | {"created_by": home.ensure_user(txn), "run": home.run_uid}
        txn.insert(self.meta.table, [row], fresh=fresh)
        return Saved(row)

    def _plan_change(self, txn: Transaction) -> Saved:
        if not self._changed():
            return Saved(dict(self._read))
        before = dict(self._read)
        row = before | self.to_row()  # columns that a newer program added stay as they are
        other = self.find(txn.snapshot) if self.meta.natural else None
        if other is not None and other["uid"] != row["uid"]:
            shape = ", ".join(f"{name}={shown(row[name])}" for name in self.meta.natural)
            raise Duplicate(
                f"another {self.meta.name} has {shape} already (uid {other['uid']}): choose another"
            ).final()
        keep_old_name(row, before, self.meta.title)
        txn.upsert(self.meta.table, [row], as_read=[before])
        return Saved(row)

    def check_home(self, home: Instance) -> None:
        """Refuse another instance than the one that it, and what it refers to, belongs to."""
        for record in (self, *vars(self).get("_mentions", ())):
            if record._home is not None and record._home is not home:
                raise InputError(
                    f"{record!r} belongs to the instance at {record._home.root}, not to {home.root}: "
                    "look it up or save it there"
                )

    def check(self) -> None:
        """Check and normalise values before they are stored; registries add to this."""
        if "name" in self.meta.natural:
            self._values["name"] = check_name(self._values["name"], f"{self.meta.name}.name")

    def sought(self) -> list[tuple[str, Any]]:
        """Return the columns by which saving looks for rows, with what it looks for."""
        return [(name, self._values.get(name)) for name in self.meta.natural[:1]]

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the row that has the same natural key, if there is one."""
        natural = self.meta.natural
        if not natural:
            return None
        rows = snapshot.lookup(self.meta.table, natural[0], [self._values[natural[0]]])
        if not rows.num_rows:
            return None
        wanted = [(name, self._values[name]) for name in natural[1:]]
        return next((row for row in rows.to_pylist() if all(row[name] == value for name, value in wanted)), None)

    def settle(self, saved: Saved, home: Instance) -> None:
        """Take over the row that was saved or found."""
        if saved.found and not self._read and self._values:
            self._say_found(saved.row)
        vars(self).update(_values=dict(saved.row), _read=saved.row, _home=home)

    def take_row(self, row: dict[str, Any], home: Instance, *, found: bool = False) -> None:
        """Be the record of a row that is already in the right form."""
        if found and not self._read and self._values:
            self._say_found(row)
        vars(self).update(_values=dict(row), _read=row, _home=home)

    def forget_row(self) -> None:
        """Be unsaved again: the row is deleted."""
        vars(self).update(_read=_UNSAVED)

    def _say_found(self, row: Mapping[str, Any]) -> None:
        given = {n: v for n, v in self._values.items() if v is not None and v != self.meta.columns[n].initial}
        kept = [name for name, value in given.items() if value != row[name]]
        shape = ", ".join(f"{name}={shown(row[name])}" for name in self.meta.natural) or f"uid={row['uid']}"
        _log.info("%s with %s exists already: using it", self.meta.name, shape)
        if kept:
            fields = ", ".join(f"{name} = {shown(row[name])}" for name in kept)
            _log.warning("%s with %s keeps its %s: assign and save() to change", self.meta.name, shape, fields)


def _brief(value: Any) -> str:
    return value.isoformat(" ", "seconds") if isinstance(value, dt.datetime) else shown(value)


_COMMON = bind_annotations(Record)
Record.columnar = frozenset(getattr(Record, name) for name in STEPS)
_QUIET = ("created_by", "run")
