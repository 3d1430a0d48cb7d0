"""An AnnData over a file or store that is open: its arrays stay there, annotations are in memory.

A subset such as ``adata[:100, ["CD8A"]].to_memory()`` reads the chunks that it touches.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from formats.base import is_instance_of

__all__ = ["STAYS", "lazy_anndata"]

STAYS = ("X", "layers", "obsm", "varm", "obsp", "varp", "raw/X", "raw.X")
"""Parts that are not read, and do not count against memory."""
_ALIGNED = ("layers", "obsm", "varm", "obsp", "varp")


def lazy_anndata(store: Any) -> Any:
    """Return an AnnData over a zarr or HDF5 group whose arrays are not read.

    Parameters
    ----------
    store
        A ``zarr.Group`` or an ``h5py.File`` in the layout of anndata 0.7 or later; it must stay open.
    """
    from anndata import AnnData
    from anndata.io import read_elem

    parts: dict[str, Any] = {name: read_elem(store[name]) for name in ("obs", "var", "uns") if name in store}
    for slot in _ALIGNED:
        if slot in store:
            parts[slot] = {name: _on_disk(member) for name, member in _members(store[slot])}
    matrix = _on_disk(store["X"]) if "X" in store else None
    made = AnnData(X=matrix, **parts)
    if "raw" in store:
        object.__setattr__(made, "__class__", _with_raw())
        made.__dict__["_raw_on_disk"] = store["raw"]
    return made


@cache
def _with_raw() -> type:
    """Return the class of an AnnData that has ``raw`` when it is asked for: every subset would read its own at once."""
    from anndata import AnnData, Raw
    from anndata.io import read_elem

    def raw(self: Any) -> Any:
        group = self.__dict__.get("_raw_on_disk")
        if self._raw is not None or group is None:
            return self._raw
        if "_raw_opened" not in self.__dict__:
            var: Any = read_elem(group["var"])
            self.__dict__["_raw_opened"] = Raw(self, X=_on_disk(group["X"]), var=var)
        return self.__dict__["_raw_opened"]

    own: Any = AnnData.raw
    return type("AnnData", (AnnData,), {"raw": property(raw, own.fset, own.fdel), "__module__": AnnData.__module__})


def _members(group: Any) -> Any:
    return group.members() if hasattr(group, "members") else group.items()


def _on_disk(member: Any) -> Any:
    """Return a dense array or sparse matrix that reads what is asked for; anything else is read."""
    from anndata.io import read_elem, sparse_dataset

    encoding = str(member.attrs.get("encoding-type", ""))
    if encoding in ("csr_matrix", "csc_matrix"):
        return sparse_dataset(member)
    is_array = is_instance_of(member, "zarr.Array") or is_instance_of(member, "h5py.Dataset")
    return member if is_array and member.ndim >= 2 else read_elem(member)
