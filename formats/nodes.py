"""The structure of a file of arrays, whichever library it was written with: groups, arrays, types and shapes.

HDF5 files and zarr stores hold AnnData, MuData and plain arrays in the same layout; what describes them reads this
structure and never their data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from formats.base import ColumnInfo

__all__ = ["Node"]


@dataclass(frozen=True)
class Node:
    """A group, or an array with its type and shape."""

    path: str
    """Without a slash at the beginning; empty for the top."""

    children: Mapping[str, Node] | None
    """``None`` for an array."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Those that say how something is encoded."""

    shape: tuple[int, ...] = ()
    dtype: str = ""
    """Such as ``float32``, ``string`` or ``compound``."""

    itemsize: int = 8
    """Bytes of one element, as far as they are fixed."""

    fields: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    """Name, type and inner shape of each member of a compound type."""

    storage: str = ""
    """Chunks and compression, such as ``chunks (100, 765), gzip``."""

    @property
    def is_array(self) -> bool:
        """Whether it is an array."""
        return self.children is None

    @property
    def encoding(self) -> str:
        """What anndata calls it, or an empty text."""
        return str(self.attributes.get("encoding-type", ""))

    def get(self, path: str) -> Node | None:
        """Return what lies below under a path such as ``raw/X``, or ``None``."""
        found: Node | None = self
        for part in path.split("/"):
            found = found.children.get(part) if found is not None and found.children is not None else None
        return found

    def __iter__(self) -> Iterator[Node]:
        return iter((self.children or {}).values())

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def arrays(self) -> Iterator[Node]:
        """Yield all arrays below, or the array itself."""
        if self.children is None:
            yield self
        for child in self:
            yield from child.arrays()

    def declared_bytes(self, skip: tuple[str, ...] = ()) -> int:
        """Return the bytes that the arrays declare, whether or not they were ever written.

        Parameters
        ----------
        skip
            Paths of what is not read and hence not counted.
        """
        arrays = (a for a in self.arrays() if not any(a.path == s or a.path.startswith(s + "/") for s in skip))
        return sum(math.prod(array.shape) * array.itemsize for array in arrays)

    def element(self) -> ColumnInfo:
        """Return what a description says of it: type, layout, shape and storage."""
        if self.is_array:
            return ColumnInfo(self.name, f"{self.dtype} {self.shape}" if self.shape else self.dtype, self.storage)
        data = self.get("data")
        layout = str(self.encoding or self.attributes.get("h5sparse_format", "dict")).removesuffix("_matrix")
        if data is None or self.get("indptr") is None:
            return ColumnInfo(self.name, layout)
        return ColumnInfo(self.name, f"{data.dtype} {layout} {self.matrix_shape()}", data.storage)

    def matrix_shape(self) -> tuple[int, ...]:
        """Return the shape of an array or of a sparse matrix.

        Raises
        ------
        ValueError
            A sparse matrix states none.
        """
        if self.is_array:
            return self.shape
        shape = self.attributes.get("shape", self.attributes.get("h5sparse_shape"))
        if shape is None:
            raise ValueError(f"/{self.path} states no shape")
        return tuple(int(length) for length in shape)
