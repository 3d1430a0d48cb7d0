"""What manifests say of files beside their paths: labels and values that must be there before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, NotFound, did_you_mean, shown
from registries.dtypes import parse_dtype
from registries.kinds import check_value
from registries.names import check_name

if TYPE_CHECKING:
    from registries.ingest.ingest import Options
    from registries.ingest.manifest import Entry
    from registries.instance import Instance

__all__ = ["check_annotations"]

_QUARANTINE = "quarantined"


def check_annotations(home: Instance, entries: Sequence[Entry], options: Options) -> dict[str, str]:
    """Return the uids of all labels by name; entries whose labels or values cannot be had get a fault.

    Labels that are not known are made where that is asked for, and nothing is tried only.
    """
    if options.labels:
        for entry in entries:
            entry.labels = tuple(dict.fromkeys((*entry.labels, *options.labels)))
    wanted = {name for entry in entries for name in entry.labels}
    known = _known(home, wanted)
    missing = sorted(wanted - known.keys())
    if missing and options.create_labels and not options.dry_run:
        home.save([home.ULabel(name=name) for name in missing])
        known = _known(home, wanted)
    elif missing and not options.create_labels:
        if named := [name for name in options.labels if name in missing]:
            raise NotFound(f"no ULabel is called {shown(named[0])}{_near(home, named[0])}: create_labels=True makes it")
        near = {name: _near(home, name) for name in missing[:100]}
        for entry in entries:
            if entry.fault is None and (unknown := [name for name in entry.labels if name not in known]):
                hint = near.get(unknown[0], "")
                entry.fault = "unknown_label", f"{shown(entry.path)}: no ULabel is called {shown(unknown[0])}{hint}"
    _check_features(home, entries, create=options.create_labels)
    if options.on_error == "quarantine" and not options.dry_run:
        label: Any = home.ULabel(name=_QUARANTINE, description="Kept by an ingest that could not read it.").save()
        known[_QUARANTINE] = label.uid
    return known


def _known(home: Instance, names: set[str]) -> dict[str, str]:
    rows = home.snapshot().lookup("ulabel", "name", sorted(names))
    return dict(zip(rows["name"].to_pylist(), rows["uid"].to_pylist(), strict=True))


def _near(home: Instance, name: str) -> str:
    rows = home.snapshot().arrow("select name from ulabel limit 10000", tables=["ulabel"])
    return did_you_mean(name, rows["name"].to_pylist())


def _check_features(home: Instance, entries: Sequence[Entry], *, create: bool) -> None:
    names = sorted({name for entry in entries for name in entry.features or ()})
    if not names:
        return
    snapshot = home.snapshot()
    rows = {row["name"]: row for row in snapshot.lookup("feature", "name", names).to_pylist()}
    for entry in entries:
        try:
            for name, value in (entry.features or {}).items():
                if name not in rows:
                    raise InputError(f"no Feature is called {shown(name)}{did_you_mean(name, rows)}")
                _check_value(home, rows[name], value, create=create)
        except InputError as error:
            entry.fault = entry.fault or ("feature", f"{shown(entry.path)}: {error}")


def _check_value(home: Instance, row: dict[str, Any], value: Any, *, create: bool) -> None:
    dtype = parse_dtype(row["dtype"])
    if not dtype.is_categorical:
        check_value(dtype, value, f"feature {row['name']!r}")
        return
    for name in [value] if isinstance(value, str) else list(value):
        check_name(name, f"feature {row['name']!r}")
        tables = [(choice.table, choice.registry.meta.title) for choice in dtype.choices]
        if not create and not any(len(home.snapshot().lookup(table, title, [name])) for table, title in tables):
            raise InputError(f"feature {row['name']!r} has no value {shown(name)}: save it, or pass create_labels=True")
