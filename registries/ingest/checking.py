"""What manifests say of files beside their paths: labels and values that must be there before anything is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, NotFound, did_you_mean, shown
from registries.dtypes import parse_dtype
from registries.ingest.annotating import QUARANTINE
from registries.ingest.entries import Note
from registries.kinds import check_value
from registries.names import check_name

if TYPE_CHECKING:
    from registries.ingest.entries import Entries
    from registries.ingest.options import Options
    from registries.instance import Instance

__all__ = ["check_annotations"]


def check_annotations(home: Instance, entries: Entries, options: Options) -> dict[str, str]:
    """Return the uids of all labels by name; entries whose labels or values cannot be had get a fault.

    Labels that are not known are made where that is asked for, and nothing is tried only.
    """
    if options.labels:
        _give_all(entries, options.labels)
    wanted = {name for note in entries.notes.values() for name in note.labels} | set(options.labels)
    known = _known(home, wanted)
    missing = sorted(wanted - known.keys())
    if missing and options.create_labels and not options.dry_run:
        home.save([home.ULabel(name=name) for name in missing])
        known = _known(home, wanted)
    elif missing and not options.create_labels:
        _refuse_missing(home, entries, options, dict.fromkeys(missing))
    _check_features(home, entries, create=options.create_labels)
    if options.on_error == "quarantine" and not options.dry_run:
        label: Any = home.ULabel(name=QUARANTINE, description="Kept by an ingest that could not read it.").save()
        known[QUARANTINE] = label.uid
    return known


def _give_all(entries: Entries, labels: tuple[str, ...]) -> None:
    """Add labels to what is said of each entry; those of which nothing was said share one note."""
    plain = Note(labels=tuple(dict.fromkeys(labels)))
    notes = dict.fromkeys(range(len(entries)), plain)
    for place, note in entries.notes.items():
        notes[place] = replace(note, labels=tuple(dict.fromkeys((*note.labels, *labels))))
    entries.notes = notes


def _refuse_missing(home: Instance, entries: Entries, options: Options, missing: dict[str, None]) -> None:
    if named := [name for name in options.labels if name in missing]:
        raise NotFound(f"no ULabel is called {shown(named[0])}{_near(home, named[0])}: create_labels=True makes it")
    near = {name: _near(home, name) for name in list(missing)[:100]}
    for place, note in entries.notes.items():
        unknown = next((name for name in note.labels if name in missing), None)
        if place not in entries.faults and unknown is not None:
            message = f"{shown(entries.paths[place])}: no ULabel is called {shown(unknown)}{near.get(unknown, '')}"
            entries.faults[place] = "unknown_label", message


def _known(home: Instance, names: set[str]) -> dict[str, str]:
    rows = home.snapshot().lookup("ulabel", "name", sorted(names))
    return dict(zip(rows["name"].to_pylist(), rows["uid"].to_pylist(), strict=True))


def _near(home: Instance, name: str) -> str:
    rows = home.snapshot().arrow("select name from ulabel limit 10000", tables=["ulabel"])
    return did_you_mean(name, rows["name"].to_pylist())


def _check_features(home: Instance, entries: Entries, *, create: bool) -> None:
    names = sorted({name for note in entries.notes.values() for name in note.features or ()})
    if not names:
        return
    rows = {row["name"]: row for row in home.snapshot().lookup("feature", "name", names).to_pylist()}
    known: set[tuple[str, str]] = set()
    for place, note in entries.notes.items():
        try:
            for name, value in (note.features or {}).items():
                if name not in rows:
                    raise InputError(f"no Feature is called {shown(name)}{did_you_mean(name, rows)}")
                _check_value(home, rows[name], value, known, create=create)
        except InputError as error:
            entries.faults.setdefault(place, ("feature", f"{shown(entries.paths[place])}: {error}"))


def _check_value(home: Instance, row: dict[str, Any], value: Any, known: set[tuple[str, str]], *, create: bool) -> None:
    """Refuse a value that a feature cannot have; names that were looked for once are not looked for again."""
    dtype = parse_dtype(row["dtype"])
    if not dtype.is_categorical:
        check_value(dtype, value, f"feature {row['name']!r}")
        return
    if not isinstance(value, str | list | tuple):
        raise InputError(f"feature {row['name']!r} = {shown(value)}: a name or a list of names is accepted")
    for name in [value] if isinstance(value, str) else value:
        check_name(name, f"feature {row['name']!r}")
        if create or (row["name"], name) in known:
            continue
        tables = [(choice.table, choice.registry.meta.title) for choice in dtype.choices]
        if not any(len(home.snapshot().lookup(table, title, [name])) for table, title in tables):
            raise InputError(f"feature {row['name']!r} has no value {shown(name)}: save it, or pass create_labels=True")
        known.add((row["name"], name))
