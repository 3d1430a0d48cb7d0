"""``snapshots``, ``tag``, ``tags``, ``untag``, ``changes`` and ``revert``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lakehouse.cli.screen import Screen
from lakehouse.cli.session import moment, opened
from lakehouse.cli.text import cell
from lakehouse.engine import Changes, Tag
from lakehouse.errors import shown

__all__ = ["changes", "revert", "snapshots", "tag", "tags", "untag"]

_FEW = 20
_LONGEST = 60  # characters of a value in the list of changes
_QUIET = ("uid", "created_at", "created_by", "run")


def snapshots(screen: Screen, *, limit: int | None) -> None:
    """List the commits, the newest first, with their tags."""
    most = _most(screen, limit)
    with opened(screen, read_only=True) as instance:
        # One more than is shown tells whether there are more.
        found = instance.snapshots(most + 1 if most else None)
        names: dict[int, list[str]] = {}
        for each in instance.tags():
            names.setdefault(each.commit, []).append(each.name)
    listed = found[:most]
    if screen.options.json:
        screen.document(
            [
                {
                    "commit": c.id,
                    "uid": c.uid,
                    "at": c.at,
                    "user": c.user,
                    "run": c.run,
                    "message": c.message,
                    "tags": names.get(c.id, []),
                }
                for c in listed
            ]
        )
        return
    rows = [(c.id, c.at, c.user, ", ".join(names.get(c.id, [])), c.message) for c in listed]
    screen.table(("commit", "at (UTC)", "user", "tags", "message"), rows, right=("commit",), spare=("user",))
    if len(found) > len(listed):
        screen.note("There are older ones: --limit 0 lists all.")


def _most(screen: Screen, limit: int | None) -> int | None:
    return (None if screen.options.json else _FEW) if limit is None else limit or None


def tag(screen: Screen, name: str, *, at: str | None, message: str, move: bool) -> None:
    """Name a commit."""
    with opened(screen) as instance:
        made = instance.tag(name, moment(at), message=message, move=move)
    if screen.options.json:
        screen.document(_as_dict(made))
    screen.line(f"commit {made.commit:,} is called {made.name}: `lakehouse sql --at '{made.name}' ...` reads it")


def tags(screen: Screen) -> None:
    """List the tags, by commit."""
    with opened(screen, read_only=True) as instance:
        found = instance.tags()
    if screen.options.json:
        screen.document([_as_dict(each) for each in found])
        return
    rows = [(each.name, each.commit, each.at, each.user, each.message) for each in found]
    screen.table(("tag", "commit", "named (UTC)", "user", "message"), rows, right=("commit",), spare=("user",))
    if not found:
        screen.note("there are no tags: `lakehouse tag NAME` names the newest commit")


def _as_dict(found: Tag) -> dict[str, Any]:
    return {
        "tag": found.name,
        "commit": found.commit,
        "at": found.at,
        "user": found.user,
        "message": found.message,
    }


def untag(screen: Screen, name: str) -> None:
    """Drop a tag."""
    with opened(screen) as instance:
        instance.untag(name)
    if screen.options.json:
        screen.document({"untagged": name})
    screen.line(f"{name} is no tag any more: a vacuum may drop its commit")


def revert(screen: Screen, commit: str, *, message: str) -> None:
    """Undo a commit by another."""
    with opened(screen) as instance:
        made = instance.revert(moment(commit), message=message)
    if screen.options.json:
        screen.document({"commit": made})
    screen.line(f"commit {made:,} undoes what was asked for: `lakehouse revert {made}` takes that back")


def changes(screen: Screen, *, table: str | None, since: str | None, until: str | None, limit: int | None) -> None:
    """List what was changed, the newest first."""
    most = _most(screen, limit)
    with opened(screen, read_only=True) as instance:
        asked = instance.changes(moment(since), moment(until), table=table)
        # Table by table, since the values come as such then.
        spans = [instance.changes(asked.since, asked.until, table=name) for name in asked.tables]
        rows = [row for span in spans for row in _newest(span, most + 1 if most else None)]
    rows.sort(key=lambda row: -row["commit"])
    if screen.options.json:
        screen.document(rows[:most])
        return
    cells = [(r["commit"], r["at"], r["user"], r["table"], r["op"], r["uid"], _told(r)) for r in rows[:most]]
    columns = ("commit", "at (UTC)", "user", "table", "op", "uid", "values")
    screen.table(columns, cells, right=("commit",), spare=("user", "at (UTC)", "uid"))
    if not rows:
        screen.note("nothing was changed there: `lakehouse snapshots` lists the commits")
    elif most is not None and len(rows) > most:
        screen.note("There are older ones: --limit 0 lists all, --since and --table narrow them.")


def _newest(span: Changes, most: int | None) -> list[dict[str, Any]]:
    found = span.arrow()
    kept = found if most is None else found.slice(max(len(found) - most, 0))
    return list(reversed(kept.to_pylist()))


def _told(row: Mapping[str, Any]) -> str:
    """Return what changed of a row: of an insert or a delete its values, of an update those that differ."""
    return ", ".join(_differences(row["before"] or {}, row["after"] or {}))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if before and after:
            if repr(old) != repr(new):  # NaN stays what it is
                yield f"{name}: {_brief(old)} → {_brief(new)}"
        elif name not in _QUIET and (value := new if after else old) is not None:
            yield f"{name}={_brief(value)}"


def _brief(value: Any) -> str:
    return "null" if value is None else shown(value, _LONGEST) if isinstance(value, str) else cell(value)[:_LONGEST]
