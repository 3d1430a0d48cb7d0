"""What ``open`` returns closes itself at the end of a ``with`` block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from formats.base import is_instance_of

__all__ = ["closing"]

T = TypeVar("T")
_classes: dict[type, type] = {}


class _Closing:
    """Added to the class of an object that has no ``with`` of its own."""

    _at_exit: Any

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        close = self.__dict__.get("_at_exit")
        if close is not None:
            close()


class _Within:
    """The same for an object that has no room for anything: it only takes a class of its own layout."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...


def closing(obj: T, close: Callable[[], object] | None = None) -> T:
    """Return an object as an instance of its own class that is a context manager, too.

    Parameters
    ----------
    obj
        A Polars ``LazyFrame``, an ``AnnData``, a zarr group or array, an Arrow dataset of files, ...
    close
        Called at the end of a ``with`` block.

    Examples
    --------
    >>> class Handle:
    ...     pass
    >>> with closing(Handle(), lambda: print("closed")) as handle:
    ...     isinstance(handle, Handle)
    True
    closed
    """
    if hasattr(obj, "__enter__"):
        return obj
    found: Any = _rebuilt(obj)
    if close is not None:
        found.__dict__["_at_exit"] = close
    return found  # type: ignore[no-any-return]


def _rebuilt(obj: Any) -> Any:
    """Return the object under the class with ``with``; some only let a second object share their insides."""
    if is_instance_of(obj, "duckdb.DuckDBPyRelation"):
        obj.__class__ = _class_of(type(obj), _Within, __slots__=())
        return obj
    wanted = _class_of(type(obj), _Closing)
    if hasattr(obj, "_async_array"):  # a zarr array
        return wanted(obj._async_array)
    if type(obj) in (dict, list):  # a copy of the outermost level alone
        return wanted(obj)
    if is_instance_of(obj, "numpy.ndarray"):
        return obj.view(wanted)
    if type(obj).__name__ == "InMemoryDataset":
        return wanted(obj.to_table())  # shares the columns
    if hasattr(obj, "get_fragments"):  # an Arrow dataset of files
        return wanted(list(obj.get_fragments()), obj.schema, obj.format, obj.filesystem)
    object.__setattr__(obj, "__class__", wanted)
    return obj


def _class_of(cls: type, added: type, **own: object) -> type:
    if cls not in _classes:
        said = {"__module__": cls.__module__, "__doc__": cls.__doc__}
        _classes[cls] = type(cls.__name__, (added, cls), {**said, **own})
    return _classes[cls]
