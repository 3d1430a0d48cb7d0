"""Matrices as the CELLxGENE schema 7.1 wants them: sparse by rows, with raw counts; read in chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from validation.cellxgene_terms import Terms
from validation.report import Fault

__all__ = ["matrix_faults", "raw_faults", "repeated_cells", "wants_raw"]

_CHUNK = 10_000
_SPARSE = 0.5


def matrix_faults(data: Any) -> list[Fault]:
    """Return what is wrong with how matrices are stored."""
    found = _sparsity_faults("X", None, data.X)
    found += [] if data.raw is None else _sparsity_faults("raw/X", None, data.raw.X)
    found += [fault for key, layer in data.layers.items() for fault in _sparsity_faults("layers", key, layer)]
    if data.raw is not None:
        if not data.var_names.equals(data.raw.var_names):
            found.append(Fault("not_equal", "raw/var", "index", "is not the index of var"))
    elif "feature_is_filtered" in data.var and bool((data.var["feature_is_filtered"] == True).any()):  # noqa: E712
        found.append(Fault("not_allowed", "var", "feature_is_filtered", "is True though there is no raw"))
    return found


def _sparsity_faults(slot: str, key: str | None, matrix: Any) -> list[Fault]:
    """Return that a matrix holds no numbers, is dense and mostly zeros, or sparse and not by rows."""
    if matrix is None:
        return []
    if matrix.dtype.kind not in "biuf":
        return [Fault("wrong_dtype", slot, key, f"holds values of dtype {matrix.dtype}, which are no numbers")]
    kind = getattr(matrix, "format", None)
    if kind is not None:
        told = f"is sparse by {kind}, where csr is asked for"
        return [] if kind == "csr" else [Fault("wrong_dtype", slot, key, told)]
    filled = sum(int((matrix[at : at + _CHUNK] != 0).sum()) for at in range(0, matrix.shape[0], _CHUNK))
    size = matrix.shape[0] * matrix.shape[1]
    if size and 1 - filled / size > _SPARSE:
        return [Fault("wrong_dtype", slot, key, "is dense, though more than half of it is zero")]
    return []


def repeated_cells(data: Any) -> list[Fault]:
    """Return whether cells have equal counts, of which 16 bytes each are kept; spots outside the tissue may."""
    matrix = data.X if data.raw is None else data.raw.X
    counted = (data.obs["in_tissue"] != 0).to_numpy() if "in_tissue" in data.obs else None
    seen: dict[bytes, int] = {}
    rows: list[int] = []
    for start in range(0, matrix.shape[0], _CHUNK):
        for at, digest in enumerate(_digests(matrix[start : start + _CHUNK]), start):
            if (counted is None or counted[at]) and seen.setdefault(digest, at) != at:
                rows.append(at)
    if not rows:
        return []
    slot = "X" if data.raw is None else "raw/X"
    return [Fault("duplicate_rows", slot, None, "has cells of equal counts", len(rows), tuple(rows[:1000]))]


def _digests(chunk: Any) -> Iterator[bytes]:
    """Yield a digest of each row; of sparse ones by what is not zero, since rows in full may be long."""
    if not hasattr(chunk, "tocsr"):
        for row in chunk:
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()
        return
    plain = chunk.tocsr(copy=True)
    plain.sum_duplicates()
    plain.eliminate_zeros()
    for at in range(plain.shape[0]):
        part = slice(plain.indptr[at], plain.indptr[at + 1])
        digest = hashlib.blake2b(plain.indices[part].tobytes(), digest_size=16)
        digest.update(plain.data[part].tobytes())
        yield digest.digest()


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


def raw_faults(data: Any, *, rows: int | None = None) -> list[Fault]:
    """Return what is wrong with raw counts.

    Parameters
    ----------
    data
        An AnnData.
    rows
        How many rows a slide has; its spots outside the tissue may be without counts.
    """
    import numpy as np

    slot, matrix = ("X", data.X) if data.raw is None else ("raw/X", data.raw.X)
    if matrix.dtype != np.float32:
        return [Fault("wrong_dtype", slot, None, f"raw counts are float32, not {matrix.dtype}")]
    found: list[Fault] = []
    if rows is not None and matrix.shape[0] != rows:
        told = f"has {matrix.shape[0]:,} rows, where the unfiltered matrix of a slide has {rows:,}"
        found.append(Fault("wrong_shape", slot, None, told))
    filled = np.zeros(matrix.shape[0], dtype=bool)
    counts = True
    for start in range(0, matrix.shape[0], _CHUNK):
        chunk = matrix[start : start + _CHUNK]
        values = chunk.data if hasattr(chunk, "tocsr") else chunk
        counts = counts and not bool(((values % 1 > 0) | (values < 0)).any())
        per_row = (chunk.tocsr() != 0).sum(axis=1) if hasattr(chunk, "tocsr") else (chunk != 0).sum(axis=1)
        filled[start : start + _CHUNK] = np.asarray(per_row).ravel() > 0
    if not counts:
        found.append(Fault("not_counts", slot, None, "has values that are no counts, and there are no others"))
    return found + _empty_faults(data, slot, filled, is_slide=rows is not None)


def _empty_faults(data: Any, slot: str, filled: Any, *, is_slide: bool) -> list[Fault]:
    found = []
    if is_slide and "in_tissue" in data.obs and bool((data.obs["in_tissue"] == 0).any()):
        inside = (data.obs["in_tissue"] == 1).to_numpy()
        if not filled[~inside].any():
            told = "has no counts in any spot outside the tissue: the unfiltered matrix is asked for"
            found.append(Fault("empty_rows", slot, None, told))
        filled = filled | ~inside
    if not filled.all():
        rows = (~filled).nonzero()[0]
        told = "has cells without any count"
        found.append(Fault("empty_rows", slot, None, told, len(rows), tuple(rows[:1000].tolist())))
    return found
