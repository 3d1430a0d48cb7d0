"""Matrices as the CELLxGENE schema 7.1 wants them: sparse by rows, with raw counts; read in chunks."""

from __future__ import annotations

import hashlib
from typing import Any

from validation.cellxgene_terms import Terms
from validation.report import Fault

__all__ = ["matrix_faults", "raw_faults", "repeated_cells", "wants_raw"]

_CHUNK = 10_000
_SPARSE = 0.5


def matrix_faults(data: Any) -> list[Fault]:
    """Return what is wrong with how matrices are stored."""
    found = _sparsity_faults("X", data.X) + ([] if data.raw is None else _sparsity_faults("raw/X", data.raw.X))
    if data.raw is not None:
        if not data.var_names.equals(data.raw.var_names):
            found.append(Fault("not_equal", "raw/var", "index", "is not the index of var"))
    elif "feature_is_filtered" in data.var and bool((data.var["feature_is_filtered"] == True).any()):  # noqa: E712
        found.append(Fault("not_allowed", "var", "feature_is_filtered", "is True though there is no raw"))
    return found


def _sparsity_faults(slot: str, matrix: Any) -> list[Fault]:
    """Return that a dense matrix is mostly zeros, or a sparse one not by rows."""
    kind = getattr(matrix, "format", None)
    if kind is not None:
        told = f"is sparse by {kind}, where csr is asked for"
        return [] if kind == "csr" else [Fault("wrong_dtype", slot, None, told)]
    filled = sum(int((matrix[at : at + _CHUNK] != 0).sum()) for at in range(0, matrix.shape[0], _CHUNK))
    size = matrix.shape[0] * matrix.shape[1]
    if size and 1 - filled / size > _SPARSE:
        return [Fault("wrong_dtype", slot, None, "is dense, though more than half of it is zero")]
    return []


def repeated_cells(data: Any) -> list[Fault]:
    """Return whether cells have equal counts, of which 16 bytes each are kept."""
    matrix = data.X if data.raw is None else data.raw.X
    seen: dict[bytes, int] = {}
    rows: list[int] = []
    for start in range(0, matrix.shape[0], _CHUNK):
        chunk = matrix[start : start + _CHUNK]
        for at in range(chunk.shape[0]):
            row = chunk[at].toarray() if hasattr(chunk, "toarray") else chunk[at]
            digest = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            if seen.setdefault(digest, start + at) != start + at:
                rows.append(start + at)
    if not rows:
        return []
    slot = "X" if data.raw is None else "raw/X"
    return [Fault("duplicate_rows", slot, None, "has cells of equal counts", len(rows), tuple(rows[:1000]))]


def wants_raw(data: Any, terms: Terms) -> bool:
    """Return whether counts are asked for: of RNA, and of whatever is not told to be without."""
    if "assay_ontology_term_id" not in data.obs:
        return False
    assays = set(map(str, data.obs["assay_ontology_term_id"].unique()))
    without = ("EFO:0007045", "EFO:0008804", "EFO:0000751", "EFO:0008939")
    both = ("EFO:0010891", "EFO:0008913")
    if any(all(terms.below(one, [top], inclusive=True) for top in both) for one in assays):
        return True
    return not all(terms.below(one, without) for one in assays)


def raw_faults(data: Any) -> list[Fault]:
    """Return what is wrong with raw counts."""
    import numpy as np

    slot, matrix = ("X", data.X) if data.raw is None else ("raw/X", data.raw.X)
    if matrix.dtype != np.float32:
        return [Fault("wrong_dtype", slot, None, f"raw counts are float32, not {matrix.dtype}")]
    found: dict[str, Fault] = {}
    for start in range(0, matrix.shape[0], _CHUNK):
        chunk = matrix[start : start + _CHUNK]
        values = chunk.data if hasattr(chunk, "tocsr") else chunk
        if bool(((values % 1 > 0) | (values < 0)).any()):
            found["counts"] = Fault("not_counts", slot, None, "has values that are no counts, and there are no others")
        filled = chunk.getnnz(axis=1) if hasattr(chunk, "tocsr") else (chunk != 0).sum(axis=1)
        if not bool(np.all(filled)):
            found["empty"] = Fault("empty_rows", slot, None, "has cells without any count")
    return list(found.values())
