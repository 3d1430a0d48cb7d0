"""The pip package cellxgene-ontology-guide, whose files are read where they lie; nothing of it is imported."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PACKAGE", "guide_files", "plain_version", "version_order"]

PACKAGE = "cellxgene-ontology-guide"
"""What it is called where packages are installed from."""

_FILE = re.compile(r"(?P<name>[A-Za-z]+)-ontology-(?P<version>.+)\.json\.(?:zst|gz)")


def guide_files(name: str, folder: Path | None = None) -> dict[str, Path]:
    """Return the files of an ontology by version, the newest first; none where the package is not installed.

    Parameters
    ----------
    name
        What the package calls the ontology, such as ``"CL"``.
    folder
        Where files named as in the package lie; the package's own, where none is given.

    Examples
    --------
    >>> guide_files("nothing of that name")
    {}
    """
    place = _installed() if folder is None else folder
    if place is None or not place.is_dir():
        return {}
    found = [match for file in place.iterdir() if (match := _FILE.fullmatch(file.name)) and match["name"] == name]
    named = {plain_version(match["version"]): place / match.string for match in found}
    return dict(sorted(named.items(), key=lambda item: version_order(item[0]), reverse=True))


def plain_version(version: str) -> str:
    """Return a version without the ``v`` that tags have before a number.

    Examples
    --------
    >>> plain_version("v2026-03-26"), plain_version("vWS298"), plain_version("version 3")
    ('2026-03-26', 'WS298', 'version 3')
    """
    return re.sub(r"^v(?=\d|WS)", "", version)


@cache
def _installed() -> Path | None:
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def version_order(version: str) -> list[tuple[int, str]]:
    """Return what versions are ordered by: their numbers, so that 9 comes before 10.

    Examples
    --------
    >>> sorted(["release-10", "release-9"], key=version_order)
    ['release-9', 'release-10']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", version)]
