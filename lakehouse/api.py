"""What stands behind ``lh.``: opening instances, and the acts of the current one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from formats.remote import RemoteOptions
from lakehouse import config
from lakehouse.config import POINTER
from lakehouse.engine import CommitInfo, Transaction, is_lake
from lakehouse.errors import InputError, InstanceNotFound, shown
from lakehouse.optional import check_namesake
from registries import binding
from registries.instance import Instance
from registries.places import check_path, instance_root
from registries.record import Record
from registries.search.asking import LEAST, MOST
from registries.search.hits import Hits
from registries.sql.answer import Answer
from registries.sql.contents import CONTENTS
from registries.times import At

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "attach",
    "connect",
    "current",
    "disconnect",
    "flush",
    "init",
    "open",
    "place_of",
    "save",
    "search",
    "snapshots",
    "sql",
    "transaction",
]

R = TypeVar("R", bound=Record)
_log = logging.getLogger("lakehouse")
_NAMED = ("argument", "context", "LAKEHOUSE_INSTANCE")
_OURS = ("tables", "storage", "catalog.db", "head.json", "lake.json")


def init(
    root: str | os.PathLike[str] | None = None,
    *,
    catalog: str | os.PathLike[str] | None = None,
    user: str | None = None,
    pointer: bool = True,
    remote: RemoteOptions | None = None,
) -> Instance:
    """Make an instance in a folder, connect to it, and leave a pointer to it in the working folder.

    Where there is one already, it is connected to, and the ``lakehouse`` logger says so. The folder may hold other
    files, as long as none has a name that the instance needs.

    Parameters
    ----------
    root
        The folder, made when absent, or ``s3://bucket/prefix``. Default: ``LAKEHOUSE_INSTANCE``, else the working folder.
    catalog
        Where the SQLite file goes; default: into the root, for a bucket into the user's data folder. Name a local path
        when the root is on a network drive. A team or a cluster names a database instead, with
        ``postgresql://user@host/database?schema=name``.
    user
        Who works here; default: ``LAKEHOUSE_USER``, git's configuration, the login.
    pointer
        Whether to write the file ``.lakehouse`` into the working folder, so that ``lh.connect()`` finds the instance.
    remote
        How a bucket is reached; default: as the environment says (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ...).

    Raises
    ------
    InputError
        When the root is a file, or holds files with names that the instance needs.
    Unsupported
        When the catalog would lie on a network file system.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.ULabel(name="treated").save().name
    'treated'
    >>> lh.disconnect()
    """
    check_namesake()
    if root is not None:
        check_path(root, "root")
    settings = config.resolve(instance=root)
    named = settings.instance if settings.origin["instance"] in _NAMED else None
    place = instance_root(named if named is not None else Path.cwd())
    if is_lake(place, remote):
        _log.info("%s is an instance already: connecting to it", place)
    elif isinstance(place, Path):
        _refuse_occupied(place)
    instance = Instance.create(place, catalog=catalog, user=user, remote=remote)
    if pointer:
        config.write_pointer(Path.cwd(), place)
    return _switch(instance)


def connect(
    root: str | os.PathLike[str] | None = None,
    *,
    read_only: bool = False,
    catalog: str | os.PathLike[str] | None = None,
    user: str | None = None,
    remote: RemoteOptions | None = None,
) -> Instance:
    """Open an instance and make it the current one.

    Parameters
    ----------
    root
        Its folder or URL. Default: ``LAKEHOUSE_INSTANCE``, else what the nearest ``.lakehouse`` in the working folder or
        above names, else the nearest folder above the working folder that is an instance.
    read_only
        Whether to refuse every change; works on a disk that cannot be written, on a copy of an instance, and on what
        lies in a bucket or on a web server while its catalog is elsewhere: then it shows what was published last.
    catalog
        The catalog's file, for an instance in a bucket whose catalog was moved on this machine.
    user
        Who works here; default: ``LAKEHOUSE_USER``, git's configuration, the login.
    remote
        How a bucket is reached; default: as the environment says.

    Raises
    ------
    InstanceNotFound
        When there is none.
    """
    check_namesake()
    if root is not None:
        check_path(root, "root")
    place = place_of(root)
    if place is None:
        raise InstanceNotFound(
            f"no instance is named, and none lies in {Path.cwd()} or above: "
            "lh.init('./mylake') makes one, lh.connect('./mylake') or LAKEHOUSE_INSTANCE names one"
        )
    return _switch(Instance.open(place, read_only=read_only, catalog=catalog, user=user, remote=remote))


def open(
    root: str | os.PathLike[str],
    *,
    read_only: bool = False,
    user: str | None = None,
    remote: RemoteOptions | None = None,
) -> Instance:
    """Open a further instance beside the current one; use it as ``other.Artifact``, ``other.sql``.

    Parameters
    ----------
    root
        Its folder or URL (``s3://bucket/theirs``; with ``read_only`` also ``https://host/theirs``).
    read_only
        Whether to refuse every change.
    user
        Who works here; default: ``LAKEHOUSE_USER``, git's configuration, the login.
    remote
        How a bucket is reached; default: as the environment says.
    """
    return Instance.open(root, read_only=read_only, user=user, remote=remote)


def disconnect() -> None:
    """Close the current instance, if one is connected."""
    instance = binding.set_current(None)
    if instance is not None:
        instance.close()


def current() -> Instance:
    """Return the instance that ``lh.Artifact`` and its like speak to.

    Raises
    ------
    InstanceNotFound
        When none is connected.
    """
    return binding.current()


def flush() -> int:
    """Publish everything to Delta now; return the commit up to which it is published."""
    return current().flush()


def snapshots(limit: int | None = None) -> list[CommitInfo]:
    """Return the commits of the current instance, the newest first.

    Parameters
    ----------
    limit
        How many at most; all, where none is given.
    """
    return current().snapshots(limit)


def sql(
    query: str,
    params: list[Any] | dict[str, Any] | None = None,
    *,
    at: At = None,
    tables: Mapping[str, Any] | None = None,
) -> Answer:
    """Run a DuckDB SELECT over the registries, the contents of artifacts and the caller's own tables.

    Parameters
    ----------
    query
        One SELECT over the registries (``artifact``, ``ulabel``, ...), ``content."key"``, ``obs."key"``,
        ``var."key"`` and ``tables``.
    params
        Values for ``?`` (a list) or ``$name`` (a dict).
    at
        A commit, its number, a time or the name of a tag; now, where none is given.
    tables
        Frames, relations, queries or Arrow tables of the caller's, by the name that the query gives them.

    Raises
    ------
    InvalidQuery
        When the statement cannot run, or reaches outside the instance.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> samples = pd.DataFrame({"donor": ["a"], "age": [30]})
    >>> artifact = lh.Artifact.from_df(samples, key="samples.csv").save()
    >>> lh.sql('select age from content."samples.csv"').fetchall()
    [(30,)]
    >>> lh.disconnect()
    """
    return current().sql(query, params, at=at, tables=tables)


def attach(
    connection: duckdb.DuckDBPyConnection, *, name: str = "lake", at: At = None, contents: int | None = CONTENTS
) -> None:
    """Make everything that ``lh.sql`` sees a database of a DuckDB connection of the caller's own.

    It shows one snapshot, also after others have saved: attaching again shows the newest. Registries, views and the
    macros ``search_...``, ``ancestors`` and ``descendants`` are there, with comments on their columns, and
    ``lake.content."key"`` for parquet, csv and tsv files on a disk, which DuckDB reads itself; other formats, ``obs``
    and ``var``, and what lies in a bucket, are for ``lh.sql`` alone. What the connection may do beside is its owner's
    business: it is not locked.

    Parameters
    ----------
    connection
        Such as ``duckdb.connect()``.
    name
        What the database is called.
    at
        A commit, a time or a tag; now, where none is given.
    contents
        Of how many of the newest tables the content is to be there; ``None`` for all, which takes a millisecond each.

    Examples
    --------
    >>> import duckdb, tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> _ = lh.ULabel(name="treated").save()
    >>> connection = duckdb.connect()
    >>> lh.attach(connection)
    >>> connection.sql("select name from lake.ulabel").fetchall()
    [('treated',)]
    >>> connection.close()
    >>> lh.disconnect()
    """
    current().attach(connection, name=name, at=at, contents=contents)


def save(records: R | Iterable[R]) -> list[R]:
    """Save records in one commit of the current instance, all or none, and return them."""
    return current().save(_listed(records))


def search(text: str, *, limit: int = MOST, min_score: float = LEAST) -> Hits[Any]:
    """Return the records of all registries that are nearest to a text, the nearest first; see ``Registry.search``.

    Registries without names, such as runs and links, are passed over, and so are users, storages and sources.

    Parameters
    ----------
    text
        What to look for.
    limit
        How many records at most.
    min_score
        The score to reach, from 0 to 1.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> _ = lh.save([lh.ULabel(name="treated"), lh.CellType(name="fibroblast")])
    >>> lh.search("fibrblast")
    <1 found for 'fibrblast'>
    0.85  cell_type  'fibroblast'
    >>> lh.disconnect()
    """
    return current().search(text, limit=limit, min_score=min_score)


def transaction(message: str = "", *, serializable: bool = False) -> AbstractContextManager[Transaction]:
    """Make one commit of everything that is saved inside the block; an exception takes all of it back.

    Parameters
    ----------
    message
        Kept with the commit.
    serializable
        Whether everything that is read inside the block (records, queries, ``lh.sql``) must be the same still when it
        is committed: then all blocks in this mode are as if one had run after the other. Without it two blocks may
        each read what the other one changes, and both be committed (write skew).

    Raises
    ------
    Conflict
        When another writer came in between and the saves cannot be planned again; in the serialisable mode
        ``ChangedSinceRead`` when something that the block read has changed: run the block again.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> with lh.transaction("import batch 7"):
    ...     treated = lh.ULabel(name="treated").save()
    ...     control = lh.ULabel(name="control").save()
    >>> lh.snapshots()[0].message
    'import batch 7'
    >>> lh.disconnect()
    """
    return current().transaction(message, serializable=serializable)


def _switch(instance: Instance) -> Instance:
    before = binding.set_current(instance)
    if before is not None:
        before.close()
    return instance


def place_of(root: str | os.PathLike[str] | None) -> str | Path | None:
    """Return what is named; else the nearest of a pointer and an instance, upward from the working folder."""
    settings = config.resolve(instance=root)
    origin = settings.origin["instance"]
    if origin in _NAMED:
        return settings.instance
    here = Path.cwd()
    around = next((folder for folder in (here, *here.parents) if is_lake(folder)), None)
    if around is None:
        return settings.instance
    pointed = Path(origin).name == POINTER and Path(origin).parent.is_relative_to(around)
    return settings.instance if pointed else around


def _refuse_occupied(folder: Path) -> None:
    if folder.is_file():
        raise InputError(f"{folder} is a file: name a folder for the instance")
    taken = [name for name in _OURS if folder.is_dir() and (folder / name).exists()]
    if taken:
        raise InputError(
            f"{folder} holds {', '.join(taken)}, which an instance needs for itself: name another folder, "
            f"such as {str(folder / 'lake')!r}"
        )


def _listed(records: Any) -> list[Any]:
    if isinstance(records, Record):
        return [records]
    if isinstance(records, str | bytes) or not isinstance(records, Iterable):
        raise InputError(f"save({shown(records)}): a record or a list of records is accepted")
    return list(records)
