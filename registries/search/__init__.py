"""Ranked search over names, synonyms, keys and descriptions, which forgives typos, case and the order of words."""

from __future__ import annotations

from registries.search.hits import Hit, Hits

__all__ = ["Hit", "Hits"]
