"""What the CELLxGENE schema 7.1 asks of genetic perturbations: guides in uns, and which cells got them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from validation.report import Fault

__all__ = ["perturbation_faults"]

_ID, _STRATEGY, _UNS = "genetic_perturbation_id", "genetic_perturbation_strategy", "genetic_perturbations"
_NONE = "no perturbations"
_STRATEGIES: tuple[str, ...] = ("control", "CRISPR activation screen", "CRISPR interference screen")
_STRATEGIES += ("CRISPR knockout mutant", "CRISPR knockout screen")
_ORGANISMS = ("NCBITaxon:7955", "NCBITaxon:9606", "NCBITaxon:10090")
_KEY = re.compile(r"[^\s/,\"']+")
_TEXTS = {
    "role": r"control|targeting",
    "protospacer_sequence": r"[ACGT]{14,22}",
    "protospacer_adjacent_motif": r"3' [ABCDGHKMNRSTVWY]+",
}
_FEATURES = "intended_features"


def perturbation_faults(data: Any, organism: str, unknown: Callable[[Iterable[str]], list[str]]) -> list[Fault]:
    """Return what is wrong with the genetic perturbations of an AnnData.

    Parameters
    ----------
    data
        An AnnData.
    organism
        Of the dataset.
    unknown
        Takes feature ids, returns those that are none.
    """
    columns, guides = {_ID, _STRATEGY} & set(data.obs.columns), data.uns.get(_UNS)
    if guides is None:
        told = f"is there without uns['{_UNS}']"
        return [Fault("forbidden_column", "obs", name, told) for name in sorted(columns)]
    found = _guide_faults(guides, unknown)
    if columns != {_ID, _STRATEGY}:
        missing = sorted({_ID, _STRATEGY} - columns)
        told = f"is required where there is uns['{_UNS}']"
        return found + [Fault("missing_column", "obs", name, told) for name in missing]
    if organism in _ORGANISMS:
        found += _column_faults(data.obs[_ID])
    if data.obs[_STRATEGY].dtype != "category":
        found.append(Fault("wrong_dtype", "obs", _STRATEGY, f"is not categorical, but {data.obs[_STRATEGY].dtype}"))
    if isinstance(guides, Mapping):
        pairs = data.obs[[_ID, _STRATEGY]].astype(object).drop_duplicates()
        for name, strategy in pairs.itertuples(index=False):
            found += _pair_faults(str(name), strategy, guides)
    return found


def _column_faults(column: Any) -> list[Fault]:
    if column.dtype != "category":
        return [Fault("wrong_dtype", "obs", _ID, f"is not categorical, but {column.dtype}")]
    found = []
    if not all(isinstance(one, str) and one.strip() for one in column.cat.categories):
        found.append(Fault("wrong_dtype", "obs", _ID, "has values that are no text, or empty"))
    if column.isnull().any():
        rows = column.isnull().to_numpy().nonzero()[0]
        found.append(Fault("null", "obs", _ID, "is missing", len(rows), tuple(rows[:1000].tolist())))
    return found


def _pair_faults(name: str, strategy: object, guides: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with a set of guides and how they were used."""
    if name == "na":
        told = f"is {strategy!r} for cells without perturbation, where {_NONE!r} is asked for"
        return [] if strategy == _NONE else [_of(_STRATEGY, told)]
    found = []
    parts = name.split(" || ")
    if parts != sorted(set(parts)):
        found.append(_of(_ID, f"{name!r} is not in ascending order without repeats"))
    found += [_of(_ID, f"{part!r} is no key of uns['{_UNS}']") for part in parts if part not in guides]
    if strategy not in _STRATEGIES:
        found.append(_of(_STRATEGY, f"is {strategy!r} for perturbed cells: {', '.join(_STRATEGIES)} are admitted"))
    if strategy == "control":
        roles = {part: guide.get("role") for part in parts if isinstance(guide := guides.get(part, {}), Mapping)}
        bad = [part for part, role in roles.items() if role != "control"]
        found += [_of(_STRATEGY, f"is 'control', and the role of {part!r} is another") for part in bad]
    return found


def _of(column: str, told: str) -> Fault:
    return Fault("not_admitted", "obs", column, told)


def _uns(reason: str, told: str) -> Fault:
    return Fault(reason, "uns", _UNS, told)


def _guide_faults(guides: Any, unknown: Callable[[Iterable[str]], list[str]]) -> list[Fault]:
    if not isinstance(guides, Mapping):
        return [_uns("wrong_dtype", "is no mapping of guides")]
    found = [_uns("forbidden_key", "has the key 'na', which means no perturbation")] if "na" in guides else []
    for name, guide in guides.items():
        if not _KEY.fullmatch(name):
            continue  # such names match no cell
        if not isinstance(guide, Mapping):
            found.append(_uns("wrong_dtype", f"{name!r} is no mapping"))
            continue
        found += _text_faults(name, guide)
        extra = sorted(set(guide) - {*_TEXTS, _FEATURES})
        found += [_uns("not_allowed", f"{name!r} has {key!r}, which is reserved or not known") for key in extra]
        found += _feature_faults(name, guide.get(_FEATURES, {}), unknown)
    return found


def _text_faults(name: str, guide: Mapping[str, Any]) -> list[Fault]:
    found = []
    for key, form in _TEXTS.items():
        value = guide.get(key)
        if key not in guide:
            found.append(_uns("missing_key", f"{name!r} has no {key}"))
        elif not isinstance(value, str) or not re.fullmatch(form, value):
            found.append(_uns("no_match", f"{key} of {name!r} is {value!r}, which does not match {form}"))
    return found


def _feature_faults(name: str, features: Any, unknown: Callable[[Iterable[str]], list[str]]) -> list[Fault]:
    if not isinstance(features, Mapping):
        return [_uns("wrong_dtype", f"{_FEATURES} of {name!r} is no mapping")]
    bad = [key for key, value in features.items() if not isinstance(value, str)]
    found = [_uns("wrong_dtype", f"{_FEATURES} of {name!r}: the name of {key!r} is no text") for key in bad]
    return found + [_uns("not_in_registry", f"{key!r} is no feature id") for key in unknown(features)]
