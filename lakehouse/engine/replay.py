"""What a Delta log of ours shows, read from its entries alone: for catalogs that are rebuilt, restored or checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lakehouse.engine.catalog import Publication
from lakehouse.engine.changes import DataFile
from lakehouse.engine.deltalog import DeltaLog, Note
from lakehouse.engine.table import TableSpec, TableVersion
from lakehouse.errors import Diverged

__all__ = ["Shown", "replayed"]

_NO_RULES = '{"comment": "", "references": {}, "unique": []}'


@dataclass(frozen=True)
class Shown:
    """A table as its log shows it at a version."""

    publication: Publication
    uid: str
    """That of the commit which it shows; empty before the first one."""
    files: tuple[DataFile, ...]
    """By lowest uid."""
    versions: tuple[TableVersion, ...]
    """Its schemas, oldest first."""
    has_rules: bool
    """Whether unique groups and references were found, and not only columns."""


@dataclass(frozen=True)
class _SchemaAt:
    delta_version: int
    note: Note


def replayed(log: DeltaLog, table: str, upto: int, *, rules: str | None = None) -> Shown:
    """Follow a log from its beginning up to a version.

    Parameters
    ----------
    rules
        The newest unique groups, references and comment, where they are known from elsewhere: logs of early versions
        of this program do not say them.

    Raises
    ------
    Diverged
        When an entry on the way is missing, torn, or was not written by this program.
    """
    there = [version for version in log.versions() if version <= upto]
    if there != list(range(upto + 1)):
        raise Diverged(f"{table}: the Delta log lacks entries between 0 and {upto}: restore its folder from a backup")
    files: dict[str, DataFile] = {}
    schemas: dict[int, _SchemaAt] = {}
    last: Note | None = None
    for version in there:
        entry = log.read(version)
        if (note := entry.note) is None:
            raise Diverged(f"{table}: version {version} of the Delta log was not written by this program")
        for path in entry.removes:
            files.pop(path, None)
        files |= {file.path: file for file in entry.adds}
        if note.kind in ("create", "schema"):
            schemas[note.schema] = _SchemaAt(version, note)
        elif note.kind == "realign":  # what a restored catalog did not know is declared again under the same numbers
            schemas = {number: found for number, found in schemas.items() if number <= note.schema}
        last = note
    assert last is not None
    ordered = [schemas[number] for number in sorted(schemas)]
    versions = tuple(_version(log, table, found) for found in ordered)
    known = rules if rules is not None else next((s.note.rules for s in reversed(ordered) if s.note.rules), None)
    if known is not None:
        newest = versions[-1]
        versions = (*versions[:-1], replace(newest, spec=TableSpec.restore(table, newest.schema, known)))
    by_uid = tuple(sorted(files.values(), key=lambda file: file.low))
    return Shown(Publication(upto, last.to_commit), last.to_uid, by_uid, versions, known is not None)


def _version(log: DeltaLog, table: str, found: _SchemaAt) -> TableVersion:
    spec = TableSpec.restore(table, log.schema(found.delta_version), found.note.rules or _NO_RULES)
    return TableVersion(spec, found.note.schema, found.note.to_commit)
