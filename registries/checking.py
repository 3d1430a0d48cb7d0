"""Files and folders validated on their way in, and saved artifacts that no longer conform."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.durable import write_durably
from formats.keys import check_source, suffix_of
from formats.registry import format_of
from lakehouse.errors import InputError, InvalidData, LakehouseError, NotFound, shown
from registries.curate import Curator, find_schema, known_schema
from registries.schema import Schema
from validation import Fault, Report

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["INVALID", "Checked", "check_files", "stale"]

INVALID = ("refuse", "quarantine", "register")
"""What may become of files that do not conform."""


@dataclass(frozen=True)
class Checked:
    """A file or artifact and what was found.

    Attributes
    ----------
    name
        Its path or key.
    report
        The faults.
    outcome
        ``valid``, ``invalid``, ``saved``, ``registered`` (saved, though invalid) or ``quarantined``.
    uid
        Of the artifact, where it is one.
    """

    name: str
    report: Report
    outcome: str
    uid: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain lists and dicts."""
        return {"name": self.name, "outcome": self.outcome, "uid": self.uid, **self.report.to_dict()}


def check_files(
    home: Instance,
    paths: Iterable[str | os.PathLike[str]],
    schema: Schema | str,
    *,
    save: bool = False,
    on_invalid: str = "refuse",
    quarantine: str | os.PathLike[str] | None = None,
) -> list[Checked]:
    """Validate files, and save those that conform where that is asked for; see ``lh.validate``."""
    paths = paths if hasattr(paths, "columns") else list(paths)
    if on_invalid not in INVALID:
        raise InputError(f"on_invalid = {shown(on_invalid)}: choose one of {', '.join(map(repr, INVALID))}")
    _check_paths(paths)
    if on_invalid == "quarantine" and quarantine is None:
        raise InputError("on_invalid='quarantine' needs the folder that files are moved to: pass quarantine=")
    if isinstance(schema, str):
        schema = known_schema(home, schema)
    keys = _keyed(paths)
    curators = {path: Curator(str(path), schema, home) for path in keys}
    found = [Checked(str(path), _report(one), "valid") for path, one in curators.items()]
    found = [one if one.report.ok else Checked(one.name, one.report, "invalid") for one in found]
    if save:
        found = _saved(home, found, curators, keys, on_invalid)
    if on_invalid == "quarantine" and quarantine is not None:
        found = [_moved(one, Path(quarantine)) if one.outcome == "invalid" else one for one in found]
    return found


def _check_paths(given: Any) -> None:
    for path in given if isinstance(given, list) else [given]:
        if not isinstance(path, str | os.PathLike):
            raise InputError(
                f"{shown(path)} is a {type(path).__name__}: paths of files and folders are accepted; what is in memory is "
                "validated by curate(data, schema).validate()"
            )


def _keyed(paths: Iterable[str | os.PathLike[str]]) -> dict[Path, str]:
    """Return the key that each file is saved under: its name, or its path within the folder that was given."""
    keys = dict(_files(paths))
    under: dict[str, Path] = {}
    for path, key in keys.items():
        if (other := under.setdefault(key, path)) != path:
            raise InputError(
                f"{shown(str(other))} and {shown(str(path))} would both be saved under the key {shown(key)}: name the "
                "folder above them, or validate them one after the other"
            )
    return keys


def _files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[tuple[Path, str]]:
    for given in paths:
        path = Path(check_source(given, folders=True))
        if path.is_dir() and format_of(path, suffix_of(path)).name == "folder":
            inner = sorted(one for one in path.rglob("*") if one.is_file() and not one.name.startswith("."))
            if not inner:
                raise NotFound(f"{shown(str(path))} holds no file to validate")
            yield from ((one, one.relative_to(path).as_posix()) for one in inner)
        else:
            yield path, path.name


def _report(curator: Curator) -> Report:
    """Return the faults of a file; that it cannot be read is one of them."""
    try:
        return curator.validate()
    except (LakehouseError, OSError) as error:
        if isinstance(error, NotFound):
            raise
        told = f"cannot be read: {shown(str(error), 300)}"
        return Report(curator.name, (Fault("unreadable", "file", None, told),))


def _saved(
    home: Instance,
    found: Sequence[Checked],
    curators: Mapping[Path, Curator],
    keys: Mapping[Path, str],
    on_invalid: str,
) -> list[Checked]:
    bad = [one for one in found if one.outcome == "invalid"]
    if bad and on_invalid == "refuse":
        listed = ", ".join(shown(one.name) for one in bad[:5]) + (", …" if len(bad) > 5 else "")
        faults = tuple(fault for one in bad for fault in one.report.faults)
        raise InvalidData(
            f"{len(bad):,} of {len(found):,} files do not conform, so none was saved: {listed}. Mend them, or let them "
            "be moved (on_invalid='quarantine') or saved as invalid (on_invalid='register')",
            Report(bad[0].report.schema, faults),
        )
    made = []
    with home.transaction(f"{len(found)} files validated"):
        for one in found:
            if one.outcome == "invalid" and on_invalid != "register":
                made.append(one)
                continue
            artifact: Artifact = curators[Path(one.name)].save_artifact(
                key=keys[Path(one.name)], on_invalid=on_invalid if on_invalid == "register" else "refuse"
            )
            outcome = "saved" if one.report.ok else "registered"
            made.append(Checked(one.name, one.report, outcome, artifact.uid))
    return made


def _moved(one: Checked, folder: Path) -> Checked:
    """Move a file to a folder, with its report beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(one.name)
    target, n = folder / source.name, 0
    while target.exists():
        n += 1
        target = folder / f"{n}-{source.name}"
    write_durably(Path(f"{target}.report.json"), one.report.to_json().encode())
    shutil.move(source, target)
    return Checked(one.name, one.report, "quarantined")


def stale(home: Instance, schema: str | None = None) -> list[Checked]:
    """Return the artifacts that were valid and no longer conform to the newest version of their schema.

    Each is validated again, with the registries as they are now.

    Parameters
    ----------
    home
        The instance.
    schema
        Only those of one schema.
    """
    statement = (
        "select distinct l.artifact, s.name from artifact_schema l join schema s on l.schema = s.uid "
        "where l.status = 'valid' and (? is null or s.name = ?) order by 2, 1"
    )
    rows = home.snapshot().arrow(statement, [schema, schema], ["artifact_schema", "schema"]).to_pylist()
    if schema is not None:
        find_schema(home, schema)
    found = []
    for row in rows:
        newest, artifact = find_schema(home, row["name"]), home.Artifact.get(row["artifact"])
        report = Curator(artifact, newest, home).validate()
        if not report.ok:
            found.append(Checked(artifact.key or artifact.uid, report, "invalid", artifact.uid))
    return found
