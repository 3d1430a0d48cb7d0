"""Tags: names for commits, which stay readable for as long as they are named."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable

from lakehouse.engine.catalog import Catalog, Tag
from lakehouse.engine.moments import At, as_time, refuse_expired, resolved
from lakehouse.errors import Duplicate, InputError, InvalidName, NotFound, did_you_mean, shown

__all__ = ["Tags"]

_LONGEST = 1_000
_LONGEST_MESSAGE = 100_000


class Tags:
    """The tags of one lake; each change is durable when the call returns.

    A tagged commit is retained by itself: what lies between it and the horizon is dropped by a vacuum as ever.

    Examples
    --------
    >>> import tempfile
    >>> from lakehouse.engine import Lake
    >>> lake = Lake.create(tempfile.mkdtemp())
    >>> lake.tags.add("paper-v1", message="as submitted").commit
    0
    >>> [tag.name for tag in lake.tags.list()]
    ['paper-v1']
    >>> lake.tags.drop("paper-v1")
    >>> lake.close()
    """

    def __init__(self, catalog: Catalog, user: Callable[[], str]) -> None:
        self._catalog, self._user = catalog, user

    def add(self, name: str, at: At = None, *, message: str = "", move: bool = False) -> Tag:
        """Name a commit (default: the head).

        Parameters
        ----------
        name
            1 to 1,000 characters that read neither as a number nor as a time.
        at
            A commit, a time, or another tag.
        message
            Kept with the tag.
        move
            Whether a tag of that name may be taken from the commit that has it.

        Raises
        ------
        Duplicate
            When the name is taken, unless it is to be moved.
        Expired
            When the commit is no longer retained.
        InvalidName
            When the name cannot be stored, or would be taken for a commit or a time.
        """
        name = _checked(name)
        _check_message(message)
        with self._catalog.locked() as session:
            commit = resolved(session, at)
            refuse_expired(session, commit)
            if (known := _found(session.tags(), name)) is not None:
                if not move:
                    taken = f"commit {known.commit} is called {shown(name)} already"
                    raise Duplicate(f"{taken}: choose another name, or move the tag with move=True").final()
                session.drop_tag(name)
            session.add_tag(name, commit, time.time_ns() // 1000, self._user(), message)
            return next(tag for tag in session.tags() if tag.name == name)

    def list(self) -> list[Tag]:
        """Return all tags, by commit and name."""
        with self._catalog.read() as session:
            return session.tags()

    def drop(self, name: str) -> None:
        """Drop a tag; its commit stays readable as long as any other of its age.

        Raises
        ------
        NotFound
            When there is none of that name.
        """
        wanted = unicodedata.normalize("NFC", str(name))
        with self._catalog.locked() as session:
            tags = session.tags()
            if _found(tags, wanted) is None:
                near = did_you_mean(wanted, [tag.name for tag in tags]) or "; there are no tags"
                raise NotFound(f"no tag {shown(name)}{near}")
            session.drop_tag(wanted)


def _found(tags: list[Tag], name: str) -> Tag | None:
    return next((tag for tag in tags if tag.name == name), None)


def _check_message(message: object) -> None:
    if not isinstance(message, str) or len(message) > _LONGEST_MESSAGE:
        raise InputError(f"message {shown(message)}: text of at most {_LONGEST_MESSAGE:,} characters is accepted")


def _checked(name: object) -> str:
    """Return a name in normal form C; what would be taken for a commit or a time names nothing."""
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST:
        raise InvalidName(f"tag {shown(name)}: text of 1 to {_LONGEST:,} characters is accepted")
    if name != name.strip() or not name.isprintable():
        raise InvalidName(f"tag {shown(name)} begins or ends with a blank, or holds a character that cannot be seen")
    if name.isdecimal() or as_time(name) is not None:
        raise InvalidName(f"tag {shown(name)} reads as a commit or a time: choose a name such as 'paper-v1'")
    return unicodedata.normalize("NFC", name)
