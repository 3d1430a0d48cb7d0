"""Mutations of how values and matrices are stored: encodings, layers, categories, colours, blanks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["stored_mutations"]

Mutation = Callable[[Any], Any]


def _x(act: Callable[[Any], Any]) -> Mutation:
    def change(data: Any) -> Any:
        data.X = act(data.X)
        return data

    return change


def _raw(act: Callable[[Any], Any]) -> Mutation:
    def change(data: Any) -> Any:
        import anndata

        data.raw = anndata.AnnData(act(data.raw.X), obs=data.obs[[]], var=data.raw.var)
        return data

    return change


def _into(slot: str, key: str, make: Callable[[Any], Any]) -> Mutation:
    """Put something into a part of the data, such as a column into obs."""

    def change(data: Any) -> Any:
        getattr(data, slot)[key] = make(data)
        return data

    return change


def _uns(key: str, value: Any) -> Mutation:
    return _into("uns", key, lambda _: value)


def _category(values: list[Any], categories: list[Any] | None = None) -> Any:
    import pandas as pd

    return pd.Categorical(values, categories)


def stored_mutations() -> dict[str, Mutation]:
    """Return them by name."""
    import numpy as np
    from scipy import sparse

    colours = {"RED": ["RED"], "upper hex": ["#FFAA00"], "three digits": ["#fff"], "eight digits": ["#ffffffff"]}
    colours |= {"xkcd": ["xkcd:red"], "more than values": ["red", "blue"], "mixed": ["red", "#ffffff"]}
    found: dict[str, Mutation] = {
        "stored: X by columns": _x(sparse.csc_matrix),
        "stored: X in float64": _x(lambda x: x.astype("float64")),
        "stored: X of whole numbers": _x(lambda x: x.astype("int64")),
        "stored: X below zero": _x(lambda x: -x),
        "stored: raw by columns": _raw(sparse.csc_matrix),
        "stored: raw of whole numbers": _raw(lambda x: x.astype("int64")),
        "stored: a layer by columns": _into("layers", "l", lambda d: sparse.csc_matrix(d.X)),
        "stored: a layer by rows": _into("layers", "l", lambda d: d.X.tocsr()),
        "stored: a dense layer": _into("layers", "l", lambda d: d.X.toarray()),
        "stored: a dense layer of zeros": _into("layers", "l", lambda d: np.zeros(d.shape)),
        "stored: a layer of text": _into("layers", "l", lambda d: np.full(d.shape, "a")),
        "stored: an embedding of text": _into("obsm", "X_t", lambda d: np.full((d.n_obs, 2), "a")),
        "stored: an embedding of flags": _into("obsm", "X_t", lambda d: np.ones((d.n_obs, 2), dtype=bool)),
        "stored: a sparse embedding": _into("obsm", "X_t", lambda d: sparse.csr_matrix(np.ones((d.n_obs, 2)))),
        "stored: pairs of cells": _into("obsp", "p", lambda d: sparse.eye(d.n_obs, format="csr")),
        "stored: flags as categories": _into("obs", "x", lambda _: _category([True, False, True])),
        "stored: numbers as categories": _into("obs", "x", lambda _: _category([1, 2, 1])),
        "stored: an unused category": _into("obs", "x", lambda _: _category(["a"] * 3, ["a", "b"])),
        "stored: a blank donor": _into("obs", "donor_id", lambda _: _category([" "] * 3)),
        "stored: an unused blank donor": _into("obs", "donor_id", lambda _: _category(["a"] * 3, ["a", ""])),
        "stored: primary as a category": _into("obs", "is_primary_data", lambda _: _category([True] * 3)),
        "stored: filtered as a category": _into("var", "feature_is_filtered", lambda _: _category([False] * 5)),
        "stored: a sparse matrix in uns": _uns("mine", sparse.csr_matrix((2, 2))),
        "stored: a frame of nothing in uns": _uns("mine", {"a": {}}),
        "stored: no list in uns": _uns("mine", []),
        "stored: zero in uns": _uns("mine", 0),
        "stored: title with two blanks": _uns("title", "a  b"),
        "stored: title with a tab": _uns("title", "a\tb"),
        "stored: title of two lines": _uns("title", "a\nb"),
        "stored: batches twice": _uns("batch_condition", ["donor_id", "donor_id"]),
    }
    return found | {
        f"stored: colours {name}": _uns("donor_id_colors", np.array(all_)) for name, all_ in colours.items()
    }
