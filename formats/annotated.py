"""What a file says of an AnnData or MuData, found in its structure alone; every layout since 2017.

- anndata 0.5: ``obs`` and ``var`` are compound datasets whose first member is the index; categories lie in ``uns``
- anndata 0.7: a group with ``column-order``; categories lie in ``__categories``
- since 0.8: a group whose columns each name their encoding
"""

from __future__ import annotations

from collections.abc import Mapping

from formats.base import ColumnInfo
from formats.nodes import Node

__all__ = [
    "anndata_shape",
    "anndata_slots",
    "axis_length",
    "index_path",
    "is_anndata",
    "is_mudata",
    "modalities",
    "mudata_slots",
]

_ALIGNED = ("layers", "obsm", "varm", "obsp", "varp")


def is_anndata(top: Node) -> bool:
    """Tell whether a group holds an AnnData."""
    return top.get("obs") is not None and top.get("var") is not None and top.get("mod") is None


def is_mudata(top: Node) -> bool:
    """Tell whether a group holds a MuData."""
    return top.get("obs") is not None and top.get("mod") is not None


def anndata_shape(top: Node) -> tuple[int, int]:
    """Return observations and variables.

    Raises
    ------
    ValueError
        There are none, or X has another shape.
    """
    obs, var = top.get("obs"), top.get("var")
    if obs is None or var is None:
        raise ValueError("it has no obs and var, so it holds no AnnData")
    shape = axis_length(obs), axis_length(var)
    matrix = top.get("X")
    if matrix is not None and matrix.matrix_shape() not in (shape, (), (0,)):
        raise ValueError(f"X has the shape {matrix.matrix_shape()}, obs and var have {shape}")
    return shape


def anndata_slots(top: Node) -> dict[str, tuple[ColumnInfo, ...]]:
    """Return the parts of an AnnData that hold something."""
    uns = top.get("uns")
    matrix = top.get("X")
    slots: dict[str, tuple[ColumnInfo, ...]] = {
        "X": (matrix.element(),) if matrix is not None else (),
        "obs": _columns(top.get("obs"), uns),
        "var": _columns(top.get("var"), uns),
    }
    slots |= {name: _members(top.get(name)) for name in (*_ALIGNED, "uns")}
    raw = top.get("raw/X") or top.get("raw.X")
    slots["raw"] = (ColumnInfo("X", raw.element().dtype, raw.element().storage),) if raw is not None else ()
    return {name: parts for name, parts in slots.items() if parts}


def modalities(top: Node) -> Mapping[str, Node]:
    """Return the modalities of a MuData by name, in their order."""
    mod = top.get("mod")
    found = dict(mod.children or {}) if mod is not None else {}
    order = [str(name) for name in (mod.attributes.get("mod-order", ()) if mod is not None else ())]
    return {name: found[name] for name in [*order, *found] if name in found}


def mudata_slots(top: Node) -> dict[str, tuple[ColumnInfo, ...]]:
    """Return the parts of a MuData, those of a modality under names such as ``rna/obs``."""
    slots = anndata_slots(top)
    for name, modality in modalities(top).items():
        slots |= {f"{name}/{slot}": parts for slot, parts in anndata_slots(modality).items()}
    return slots


def index_path(axis: Node) -> str:
    """Return the path below an axis where its names lie.

    Raises
    ------
    ValueError
        It has no index.
    """
    name = str(axis.attributes.get("_index", "_index"))
    if axis.get(name) is None:
        raise ValueError(f"/{axis.path} has no index")
    return name


def axis_length(axis: Node) -> int:
    """Return the number of observations or variables.

    Raises
    ------
    ValueError
        The axis has no index.
    """
    index: Node | None = axis if axis.is_array else axis.get(index_path(axis))
    if index is not None and not index.is_array:  # a categorical or nullable index
        index = index.get("codes") or index.get("values")
    if index is None or len(index.shape) != 1:
        raise ValueError(f"/{axis.path} has an index that is no list")
    return index.shape[0]


def _columns(axis: Node | None, uns: Node | None) -> tuple[ColumnInfo, ...]:
    if axis is None:
        return ()
    if axis.is_array:
        return tuple(ColumnInfo(name, _old_dtype(name, dtype, uns)) for name, dtype, _ in axis.fields[1:])
    return tuple(ColumnInfo(name, _dtype(axis.get(name))) for name in _names(axis))


def _names(axis: Node) -> list[str]:
    order = axis.attributes.get("column-order")
    if order is None:
        return [child.name for child in axis if child.name not in {index_path(axis), "__categories"}]
    return [str(name) for name in order]


def _dtype(column: Node | None) -> str:
    if column is None:
        raise ValueError("a column that column-order names is missing")
    if column.is_array:
        return "category" if "categories" in column.attributes else column.dtype
    if column.encoding == "categorical" or column.get("codes") is not None:
        return "category"
    values = column.get("values")
    return values.dtype if values is not None else column.encoding or "unknown"


def _old_dtype(name: str, dtype: str, uns: Node | None) -> str:
    categories = uns.get(f"{name}_categories") if uns is not None else None
    return "category" if categories is not None and categories.is_array else dtype


def _members(slot: Node | None) -> tuple[ColumnInfo, ...]:
    if slot is None:
        return ()
    if slot.is_array:  # anndata 0.5 kept obsm as one compound dataset
        return tuple(ColumnInfo(name, f"{dtype} {slot.shape + inner}") for name, dtype, inner in slot.fields)
    return tuple(member.element() for member in slot)
