"""The history of the current instance: tags, changes, reverts; and saves gathered in few commits."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lakehouse.engine import Batch, Changes, Tag
from registries import binding
from registries.record import Record
from registries.times import At

__all__ = ["batch", "changes", "revert", "tag", "tags", "untag"]


def tag(name: str, at: At = None, *, message: str = "", move: bool = False) -> Tag:
    """Name a commit: it can be read for ever, under its name, wherever ``at`` is asked for.

    Parameters
    ----------
    name
        1 to 1,000 visible characters that read neither as a number nor as a time.
    at
        A commit, its number, a time or another tag; the newest commit, where none is given.
    message
        Kept with the tag.
    move
        Whether a tag of this name may be taken from the commit that has it.

    Raises
    ------
    Duplicate
        When the name is taken, unless it is to be moved.
    Expired
        When the commit is no longer retained.
    InvalidName
        When the name cannot be stored, or would be taken for a commit or a time.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> treated = lh.ULabel(name="treated").save()
    >>> made = lh.tag("paper-v1", message="as submitted")
    >>> control = lh.ULabel(name="control").save()
    >>> lh.sql("select name from ulabel", at="paper-v1").fetchall()
    [('treated',)]
    >>> lh.ULabel.filter().at("paper-v1").count(), [tag.name for tag in lh.tags()]
    (1, ['paper-v1'])
    >>> lh.untag("paper-v1")
    >>> lh.disconnect()
    """
    return binding.current().tag(name, at, message=message, move=move)


def tags() -> list[Tag]:
    """Return the tags of the current instance, by commit."""
    return binding.current().tags()


def untag(name: str) -> None:
    """Drop a tag: its commit is retained as long as any other of its age.

    Parameters
    ----------
    name
        The tag.

    Raises
    ------
    NotFound
        When there is none of that name.
    """
    binding.current().untag(name)


def changes(since: At = None, until: At = None, *, table: str | type[Record] | None = None) -> Changes:
    """Return the rows that were changed in a range of commits, with their values before and after.

    Nothing is read until one of the ends is called: ``.pl()``, ``.df()``, ``.arrow()``, or ``.batches()`` where the
    changes may not fit into memory. Columns: ``commit``, ``at``, ``user``, ``run``, ``message``, ``table``, ``op``
    (insert, update, delete), ``uid``, ``before`` and ``after``.

    Parameters
    ----------
    since
        A commit, a time or a tag; what came after it counts. All that is retained, where none is given.
    until
        A commit, a time or a tag; the last one that counts. The newest commit, where none is given.
    table
        A registry or the name of its table; ``before`` and ``after`` are structs then, and JSON text otherwise.

    Raises
    ------
    Expired
        When the changes since then are no longer retained; a tag keeps its commit, not what came after it.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> label = lh.ULabel(name="treated").save()
    >>> label.description = "with 1 µM"
    >>> label = label.save()
    >>> last = lh.changes(table=lh.ULabel).pl().row(-1, named=True)
    >>> last["op"], last["before"]["description"], last["after"]["description"]
    ('update', None, 'with 1 µM')
    >>> lh.disconnect()
    """
    return binding.current().changes(since, until, table=table)


def revert(at: At, *, message: str = "") -> int:
    """Undo one commit by another, and return that one's number; a revert can be reverted.

    What the commit inserted goes, what it replaced or deleted is as it was before. The rows of users and storages that
    a first save makes along the way stay, since later saves count on them. Bytes of artifacts stay until they are swept.

    Parameters
    ----------
    at
        A commit, its number, a time or a tag.
    message
        Kept with the new commit; which commit it undoes, where none is given.

    Raises
    ------
    Conflict
        When something later depends on the commit, which the message names: a row that it touched was changed since,
        is referred to, refers to what is gone, or its name or key is taken by another.
    Expired
        When its changes are no longer retained.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> label = lh.ULabel(name="by mistake").save()
    >>> undone = lh.revert(lh.snapshots()[0])
    >>> lh.ULabel.filter().count(), lh.snapshots()[0].id == undone
    (0, True)
    >>> lh.disconnect()
    """
    return binding.current().revert(at, message=message)


def batch(*, every: int = 100, seconds: float = 1.0, message: str = "") -> AbstractContextManager[Batch]:
    """Gather the saves of a loop in groups, each of them one commit.

    Each save is checked and seen by the reads of this thread at once. It is durable, and seen by others, with its
    group: after ``every`` saves, with the first save that ends ``seconds`` after the group began, on
    ``batch.flush()``, and at the end of the block, also when that ends by an exception. Each save, and each
    ``with lh.transaction()`` inside, is all or nothing: one that raises leaves nothing, those before it stay. A crash
    leaves the first saves up to some one, and no half save. Where another writer came in between, the saves are
    planned again; one that cannot be carried out then is left out alone, and its error is raised by the save after it
    or at the end. A transaction, by contrast, is one commit of all its saves, or of none.

    Parameters
    ----------
    every
        Saves in a group.
    seconds
        The age at which a group is committed; looked at after each save.
    message
        Kept with each commit.

    Raises
    ------
    InputError
        Inside a transaction, which is one commit.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> with lh.batch(every=20, seconds=60, message="import"):
    ...     for n in range(50):
    ...         label = lh.ULabel(name=f"donor {n}").save()
    >>> lh.ULabel.filter().count(), [commit.message for commit in lh.snapshots(3)]
    (50, ['import', 'import', 'import'])
    >>> lh.disconnect()
    """
    return binding.current().batch(every=every, seconds=seconds, message=message)
