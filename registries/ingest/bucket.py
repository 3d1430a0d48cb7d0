"""Objects of a bucket as entries: one, those below a URL, or those that match a pattern."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from formats.durable import TEMPORARY
from formats.hashing import hash_bytes
from formats.keys import suffix_of
from formats.registry import folder_suffixes
from formats.remote import READ_ONLY, check_url
from formats.storage import Storage
from lakehouse.errors import InputError, InvalidKey, NotFound, shown
from registries.ingest.entries import Entries, Source
from registries.ingest.folders import MAGIC, OWN

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["of_urls"]

_QUERY = re.compile(r"\?[^/*?]*=")


def of_urls(text: str, home: Instance, prefix: str | None) -> Source:
    """Return the object at a URL, the objects below it, or those that match a pattern in one.

    Where they lie in a registered storage their keys are their paths in it, else they begin with the folder's name. What
    the listing says of each is noted, so that nobody needs to ask for it again.
    """
    if _QUERY.search(text):
        check_url(text)  # refuses it, and does not repeat what may be a signature
    if text.partition("://")[0] in READ_ONLY and MAGIC.search(text) is None and not text.endswith("/"):
        url = check_url(text)
        folder, _, name = url.rpartition("/")
        return _alone(text, url, [("", Storage(folder, options=home.remote).state(name))], None, prefix)
    match = MAGIC.search(text)
    folder = check_url(text if match is None else text[: match.start()].rpartition("/")[0])
    if f"{home.root}/".startswith(f"{folder}/"):
        raise InputError(f"{shown(folder)} holds this instance itself: name a folder beside it")
    store, inside, named = _listed(folder, home)
    listed = [(path[len(inside) :].strip("/"), state) for path, state in store.states(inside)]
    if match is None and ((listed and not listed[0][0]) or suffix_of(folder) in folder_suffixes()):
        return _alone(text, folder, listed, named, prefix)
    found = _states(listed)
    if match is not None:
        found = _matching(found, text[len(folder) :].strip("/"))
    if not found:
        told = f"below {shown(folder)} that matches" if match else f"at or below {shown(folder)}"
        raise NotFound(f"nothing lies {told}")
    if named is None:
        named = "" if match else f"{folder.rpartition('/')[2]}/"
    if prefix is not None:
        named = _under(prefix)
    return _source(text, {f"{folder}/{name}": state for name, state in found.items()}, [named + name for name in found])


def _under(prefix: str) -> str:
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _source(name: str, found: dict[str, str], keys: list[str]) -> Source:
    states = {place: state for place, state in enumerate(found.values()) if state}
    return Source(name, Entries(list(found), keys, states=states))


def _alone(text: str, url: str, listed: list[tuple[str, str]], named: str | None, prefix: str | None) -> Source:
    """Return an object, or a folder that is one thing, of which what lies in it was listed."""
    if not listed:
        raise NotFound(f"nothing lies at or below {shown(url)}")
    state = listed[0][1] if not listed[0][0] else _together(listed)
    name = url.rpartition("/")[2]
    if prefix is not None:
        name = _under(prefix) + name
    elif named is not None:
        name = named.rstrip("/")
    return _source(text, {url: state}, [name])


def _listed(folder: str, home: Instance) -> tuple[Storage, str, str | None]:
    """Return the store that lists a folder, its path there, and what keys begin with, where it is registered."""
    try:
        _, store, inside = home.stores.holding_url(f"{folder}/_")
    except InvalidKey:  # in no registered storage: what is found is fetched
        return Storage(folder, options=home.remote), "", None
    inside = inside.removesuffix("_").rstrip("/")
    return store, inside, f"{inside}/" if inside else ""


def _states(listed: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return objects, and folders that are one thing, with what changes when they do; empty where that is not told."""
    members: dict[str, list[tuple[str, str]]] = {}
    for name, state in listed:
        if (whole := _whole(name)) is not None:
            members.setdefault(whole, []).append((name, state))
    return {whole: found[0][1] if found[0][0] == whole else _together(found) for whole, found in members.items()}


def _together(found: list[tuple[str, str]]) -> str:
    if not all(state for _, state in found):
        return ""
    return hash_bytes("\n".join(f"{name}\t{state}" for name, state in sorted(found)).encode())


def _whole(name: str) -> str | None:
    """Return the object, or the folder that is one thing and holds it; None of what is hidden, or an instance's own."""
    parts = name.split("/")
    for n, part in enumerate(parts, 1):
        if part.startswith((".", TEMPORARY)) or part in OWN:
            return None
        if n < len(parts) and suffix_of(part) in folder_suffixes():
            return "/".join(parts[:n])
    return name


def _matching(found: dict[str, str], pattern: str) -> dict[str, str]:
    """Return what matches a pattern; where nothing does, what is called like that, brackets and all."""
    wanted = re.compile(_regex(pattern))
    chosen = {name: state for name, state in found.items() if wanted.fullmatch(name)}
    return chosen or {name: state for name, state in found.items() if name == pattern}


def _regex(pattern: str) -> str:
    """Return a pattern of a shell as a regular expression: ``*`` stays in one folder, ``**`` does not.

    Examples
    --------
    >>> bool(re.fullmatch(_regex("**/*.h5ad"), "a/b/c.h5ad")), bool(re.fullmatch(_regex("*.h5ad"), "a/b.h5ad"))
    (True, False)
    """
    found = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return found.replace(r"\?", "[^/]")
