"""How names are compared in a search: without case, accents and punctuation, as words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

import pyarrow as pa

from lakehouse.engine.arrow import pc

__all__ = ["LONGEST", "fold", "plain_texts"]

LONGEST = 200
"""Characters of a text that are compared; of longer ones the rest is passed over."""

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_OTHERS = str.maketrans({**_GREEK, "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "’": "'"})
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_APART = re.compile(r"[^\w+]+|_+")


@lru_cache(1 << 16)
def fold(text: str) -> str:
    """Return the words of a text in lower case, a blank apart, without accents, punctuation and apostrophes.

    Examples
    --------
    >>> fold("CD4-positive, α-β T Cell"), fold("Sjögren's syndrome"), fold("CD8+")
    ('cd4 positive alpha beta t cell', 'sjogrens syndrome', 'cd8+')
    """
    text = text[:LONGEST].lower() if text.isascii() else _plain(text[:LONGEST])
    return _APART.sub(" ", _APOSTROPHE.sub("", text)).strip()


def _plain(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_OTHERS))
    kept = "".join(one for one in parts if not unicodedata.combining(one))
    return unicodedata.normalize("NFC", kept.translate(_OTHERS))


def plain_texts(texts: pa.Array) -> pa.Array:
    """Return texts of at most :data:`LONGEST` characters whose letters are ASCII where they can be.

    ASCII ones stay as they are: their case and punctuation is seen to where they are taken apart.
    """
    cut: Any = pc.utf8_slice_codeunits(texts, 0, LONGEST)
    wide = pc.not_equal(pc.binary_length(cut), pc.utf8_length(cut))
    if not pc.any(wide).as_py():
        return cut
    replaced = pa.array([_plain(text) for text in cut.filter(wide).to_pylist()], pa.string())
    return pc.replace_with_mask(cut, wide, replaced)
