"""The slots of data: frames, arrays and mappings of a table, an AnnData, a MuData or a SOMA experiment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from formats.base import reading
from formats.keys import check_source, suffix_of
from formats.registry import format_of
from lakehouse.errors import InputError, shown
from validation import Fault, Slot, Spec
from validation.batches import batch_faults
from validation.checks import Resolver
from validation.frames import frame_faults
from validation.parts import array_faults, mapping_faults
from validation.spec import COLUMNS

__all__ = ["Part", "kind_of", "loaded", "opened_data", "opened_parts", "parts_of", "spec_faults"]

_BATCH = 100_000
_ARRAYS = ("obsm", "varm", "layers", "X")


@dataclass(frozen=True, eq=False)
class Part:
    """One slot of data.

    Attributes
    ----------
    kind
        ``frame``, ``batches``, ``arrays`` or ``mapping``.
    read
        Returns it; called when there are rules for it only.
    """

    kind: str
    read: Callable[[], Any]


def kind_of(data: object) -> str:
    """Return ``frame``, ``anndata``, ``mudata`` or ``soma``.

    Raises
    ------
    InputError
        When data are none of these.
    """
    if hasattr(data, "mod") and hasattr(data, "obs"):
        return "mudata"
    if hasattr(data, "ms") and hasattr(data, "obs"):
        return "soma"
    if hasattr(data, "obs") and hasattr(data, "var"):
        return "anndata"
    if hasattr(data, "columns") or hasattr(data, "column_names") or hasattr(data, "collect_schema"):
        return "frame"
    raise InputError(
        f"{shown(data)} is a {type(data).__name__}: a pandas, Polars or Arrow table, an AnnData, a MuData, a SOMA "
        "experiment, or the path of a file that holds one is accepted"
    )


def parts_of(data: Any) -> dict[str, Part]:
    """Return the slots of data in memory, or of an open file."""
    kind = kind_of(data)
    if kind == "frame":
        return {COLUMNS: Part("frame", lambda: data)}
    if kind == "mudata":
        found = _axes(data, "")
        for name, one in data.mod.items():
            found |= {f"{name}/{slot}": part for slot, part in _of_anndata(one).items()}
        return found
    if kind == "soma":
        found = {"obs": Part("frame", lambda: data.obs.read().concat())}
        for name in data.ms:
            found[f"{name}/var"] = Part("frame", partial(_read_var, data.ms[name]))
        return found
    return _of_anndata(data)


def _axes(data: Any, prefix: str) -> dict[str, Part]:
    return {f"{prefix}{axis}": Part("frame", partial(getattr, data, axis)) for axis in ("obs", "var")}


def _read_var(measurement: Any) -> Any:
    return measurement.var.read().concat()


def _arrays(data: Any, name: str) -> dict[str, Any]:
    return dict(getattr(data, name))


def _of_anndata(data: Any) -> dict[str, Part]:
    found = _axes(data, "")
    found["uns"] = Part("mapping", lambda: data.uns)
    found |= {name: Part("arrays", partial(_arrays, data, name)) for name in _ARRAYS if name != "X"}
    found["X"] = Part("arrays", lambda: {} if data.X is None else {"X": data.X})
    if data.raw is not None:
        found["raw/var"] = Part("frame", lambda: data.raw.var)
        found["raw/X"] = Part("arrays", lambda: {"X": data.raw.X})
    return found


@contextmanager
def opened_data(data: Any) -> Iterator[Any]:
    """Give data in memory as they are, and files and saved artifacts opened; tables on disk as a ``Batches``."""
    located = getattr(data, "located", None)
    path = located() if located is not None else data
    if not isinstance(path, str | os.PathLike):
        yield data
        return
    path = Path(check_source(path, folders=True))
    fmt = format_of(path, suffix_of(path))
    if fmt.kind == "dataframe":
        yield Batches(fmt, path)
        return
    if fmt.kind == "blob":
        raise InputError(f"{shown(str(path))} is a file of no format that has columns: it cannot be validated")
    with fmt.open(path) as found:
        yield found


@contextmanager
def opened_parts(data: Any) -> Iterator[dict[str, Part]]:
    """Give the slots of data in memory, of a file or of a saved artifact; files are read as far as rules ask.

    Tables come in batches, so that memory is bounded.
    """
    with opened_data(data) as found:
        if isinstance(found, Batches):
            yield {COLUMNS: Part("batches", found.read)}
        else:
            yield parts_of(found)


def loaded(path: str | os.PathLike[str]) -> Any:
    """Return the whole content of a file that has columns."""
    found = Path(check_source(path, folders=True))
    return format_of(found, suffix_of(found)).load(found)


@dataclass(frozen=True)
class Batches:
    """A table on disk, read a piece at a time."""

    format: Any
    path: Path

    def read(self) -> Iterator[Any]:
        """Yield Arrow tables of at most 100,000 rows; one without rows where there are none."""
        import pyarrow as pa

        empty = True
        with reading(self.path, self.format.name):
            for batch in self._dataset.to_batches(batch_size=_BATCH):
                empty = False
                yield pa.Table.from_batches([batch])
        if empty:
            yield self._dataset.schema.empty_table()

    @cached_property
    def _dataset(self) -> Any:
        settled = getattr(self.format, "open_settled", None)
        found = settled(self.path) if settled is not None else None
        return self.format.open_as(self.path, "arrow") if found is None else found


def spec_faults(spec: Spec, parts: Mapping[str, Part], resolve: Resolver) -> list[Fault]:
    """Return everything that is wrong with data, slot by slot."""
    found: list[Fault] = []
    for name, slot in spec.slots.items():
        part = parts.get(name)
        if part is None:
            if any(rule.required and not rule.forbidden for rule in (*slot.rules, slot.index) if rule):
                listed = ", ".join(parts)
                found.append(Fault("missing_slot", name, None, f"is not there; there are {listed}"))
            continue
        found += _part_faults(slot, part, resolve, name)
    return found


def _part_faults(slot: Slot, part: Part, resolve: Resolver, name: str) -> Iterable[Fault]:
    if part.kind == "frame":
        return frame_faults(slot, part.read(), resolve, name=name)
    if part.kind == "batches":
        return batch_faults(slot, part.read, resolve, name=name)
    if part.kind == "arrays":
        return array_faults(slot, part.read(), name=name)
    return [replace(fault, slot=name) for fault in mapping_faults(slot, part.read(), resolve, name=name)]
