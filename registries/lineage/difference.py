"""Why two artifacts differ: what their runs read, and with which parameters, code and packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, shown
from lakehouse.ids import stem
from registries.lineage.lookups import reached
from registries.lineage.recipe import Recipe, keyed, recipe_of

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Difference", "difference_of"]

_Pair = tuple[str, str]


@dataclass(frozen=True)
class Difference:
    """What ``artifact.compare_lineage(other)`` returns.

    Attributes
    ----------
    titles
        What the two are called.
    only_first, only_second
        Artifacts that one alone came from, at any distance: pairs of uid and key.
    other_version
        By key: the uids of the two versions of one artifact.
    parameters, code, packages
        By name: the two values; None where one has none.
    """

    titles: _Pair
    only_first: tuple[_Pair, ...] = ()
    only_second: tuple[_Pair, ...] = ()
    other_version: Mapping[str, _Pair] = field(default_factory=dict)
    parameters: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    code: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    packages: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is recorded tells them apart."""
        own = (self.only_first, self.only_second, self.other_version, self.parameters, self.code, self.packages)
        return not any(own)

    def __str__(self) -> str:
        first, second = self.titles
        lines = [f"{first} and {second}"]
        for title, pairs in (
            (f"only {first} came from", self.only_first),
            (f"only {second} came from", self.only_second),
        ):
            lines += [f"  {title}:", *(f"    {key} ({uid})" for uid, key in pairs)] if pairs else []
        sections = {
            "another version": self.other_version,
            "parameters": self.parameters,
            "code": self.code,
            "packages": self.packages,
        }
        for title, found in sections.items():
            lines += [f"  {title}:", *(f"    {name}: {a} | {b}" for name, (a, b) in found.items())] if found else []
        return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing that is recorded tells them apart"])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        pairs = {name: [list(pair) for pair in getattr(self, name)] for name in ("only_first", "only_second")}
        maps = {
            name: {key: [_plain(one) for one in both] for key, both in getattr(self, name).items()}
            for name in ("other_version", "parameters", "code", "packages")
        }
        return {"titles": list(self.titles), **pairs, **maps}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)


def difference_of(home: Instance, first: Artifact, second: Artifact) -> Difference:
    """Return what tells the lineage of two artifacts apart."""
    for one in (first, second):
        if getattr(getattr(one, "meta", None), "table", None) != "artifact" or not one.is_saved:
            raise InputError(f"{shown(one)}: a saved artifact is accepted")
    second.check_home(home)
    home.settle_runs()
    snapshot = home.snapshot()
    before = [dict(keyed(snapshot, _artifacts(home, one.uid))) for one in (first, second)]
    mine, theirs = ({uid: key for uid, key in a.items() if uid not in b} for a, b in (before, before[::-1]))
    versions: dict[str, _Pair] = {}
    stems = {stem(uid): uid for uid in theirs}
    for uid, key in list(mine.items()):
        if (other := stems.get(stem(uid))) is not None:
            versions[key] = uid, other
            del mine[uid]
            theirs.pop(other, None)
    recipes = recipe_of(home, first), recipe_of(home, second)
    return Difference(
        (_title(first), _title(second)),
        tuple(mine.items()),
        tuple(theirs.items()),
        versions,
        _differing(*(_parameters(recipe) for recipe in recipes)),
        _differing(*(_code(recipe) for recipe in recipes)),
        _differing(*(_packages(recipe) for recipe in recipes)),
    )


def _title(artifact: Artifact) -> str:
    return f"{artifact.key or artifact.uid} version {artifact.version}"


def _artifacts(home: Instance, uid: str) -> list[str]:
    snapshot = home.snapshot()
    found = reached(snapshot, [uid], up=True)
    runs = set(snapshot.lookup("run", "uid", found)["uid"].to_pylist())
    return [one for one in found if one not in runs and one != uid]


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*first, *second])
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def _parameters(recipe: Recipe) -> dict[str, Any]:
    return {name: value for work in recipe.works for name, value in work.parameters.items()}


def _code(recipe: Recipe) -> dict[str, Any]:
    return {work.transform: f"version {work.version}" for work in recipe.works}


def _packages(recipe: Recipe) -> dict[str, str]:
    found: dict[str, str] = {}
    for environment in recipe.environments.values():
        found["python"] = environment["python"]
        found |= dict(package.split("==", 1) for package in environment["packages"])
    return found
