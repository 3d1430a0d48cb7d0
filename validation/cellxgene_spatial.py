"""What the CELLxGENE schema 7.1 asks of spatial assays: Visium, and those of beads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from validation.cellxgene_terms import Terms
from validation.report import Fault

__all__ = ["Spatial", "spatial_faults", "spatial_of"]

_VISIUM, _VISIUM_11MM, _BEADS = "EFO:0010961", "EFO:0022860", "EFO:0920001"
_LIBRARY = ("images", "scalefactors")
_SCALES = ("spot_diameter_fullres", "tissue_hires_scalef")


@dataclass(frozen=True)
class Spatial:
    """How a dataset is spatial.

    Attributes
    ----------
    assays
        The assays that occur.
    visium
        Those among them that are a kind of Visium.
    beads
        Whether one is an assay of beads.
    large
        Whether one is Visium CytAssist of 11 mm.
    single
        What ``uns["spatial"]["is_single"]`` says; None where it says nothing.
    """

    assays: frozenset[str]
    visium: frozenset[str]
    beads: bool
    large: bool
    single: bool | None

    @property
    def is_spatial(self) -> bool:
        """Whether any assay is spatial."""
        return bool(self.visium) or self.beads

    @property
    def is_slide(self) -> bool:
        """Whether it is one slide of Visium, of which images and the places of spots are asked for."""
        return bool(self.visium) and self.single is True

    @property
    def rows(self) -> int | None:
        """How many spots an unfiltered slide has; None for what is no slide."""
        return None if not self.is_slide else 14_336 if self.large else 4_992


def spatial_of(data: Any, terms: Terms) -> Spatial:
    """Return how an AnnData is spatial."""
    column = data.obs.get("assay_ontology_term_id")
    assays = frozenset() if column is None else frozenset(one for one in column.unique() if isinstance(one, str))
    found = data.uns.get("spatial")
    single = found.get("is_single") if isinstance(found, Mapping) else None
    return Spatial(
        assays,
        frozenset(one for one in assays if terms.below(one, [_VISIUM])),
        any(terms.below(one, [_BEADS]) for one in assays),
        any(terms.below(one, [_VISIUM_11MM], inclusive=True) for one in assays),
        bool(single) if _is_bool(single) else None,
    )


def spatial_faults(data: Any, spatial: Spatial) -> list[Fault]:
    """Return what is wrong with the spatial parts of an AnnData: assays, places of spots, images."""
    found = []
    if _VISIUM in spatial.assays:
        told = f"{_VISIUM} is admitted by the kinds of it only"
        found.append(Fault("not_admitted", "obs", "assay_ontology_term_id", told))
    if spatial.is_spatial and len(spatial.assays) > 1:
        told = "has several assays, one of which is spatial"
        found.append(Fault("not_admitted", "obs", "assay_ontology_term_id", told))
    found += _uns_faults(data, spatial) + _place_faults(data.obs, spatial)
    if spatial.single is False and "is_primary_data" in data.obs and bool(data.obs["is_primary_data"].any()):
        found.append(
            Fault("not_allowed", "obs", "is_primary_data", "is True where uns['spatial']['is_single'] is False")
        )
    return found


def _is_bool(value: object) -> bool:
    import numpy as np

    return isinstance(value, bool | np.bool_)


# The places of spots


def _place_faults(obs: Any, spatial: Spatial) -> list[Fault]:
    most = {"array_col": 223 if spatial.large else 127, "array_row": 127 if spatial.large else 77, "in_tissue": 1}
    found = [fault for name, bound in most.items() for fault in _place_fault(obs, name, bound, spatial)]
    if spatial.is_slide and {"in_tissue", "cell_type_ontology_term_id"} <= set(obs.columns):
        outside = (obs["in_tissue"] == 0) & obs["assay_ontology_term_id"].isin(spatial.visium)
        rows = (outside & (obs["cell_type_ontology_term_id"] != "unknown")).to_numpy().nonzero()[0]
        if len(rows):
            told = "is not 'unknown' for spots outside the tissue"
            found.append(_at("not_admitted", "cell_type_ontology_term_id", told, rows))
    return found


def _place_fault(obs: Any, name: str, bound: int, spatial: Spatial) -> list[Fault]:
    if not spatial.is_slide:
        told = "is for Visium with uns['spatial']['is_single'] True only"
        return [Fault("forbidden_column", "obs", name, told)] if name in obs else []
    if name not in obs:
        return [Fault("missing_column", "obs", name, "is required of Visium")]
    values = obs[name]
    if values.isnull().any():
        return [_at("null", name, "is missing", values.isnull().to_numpy().nonzero()[0])]
    if values.dtype.kind not in "iu":
        return [Fault("wrong_dtype", "obs", name, f"is no integer, but {values.dtype}")]
    rows = ((values < 0) | (values > bound)).to_numpy().nonzero()[0]
    return [_at("out_of_range", name, f"is not between 0 and {bound}", rows)] if len(rows) else []


def _at(reason: str, column: str, told: str, rows: Any) -> Fault:
    return Fault(reason, "obs", column, told, len(rows), tuple(rows[:1000].tolist()))


# Images


def _uns_faults(data: Any, spatial: Spatial) -> list[Fault]:
    found = data.uns.get("spatial")
    if not spatial.is_spatial:
        return [] if found is None else [_fault("not_allowed", "is for spatial assays only")]
    if not isinstance(found, Mapping):
        return [_fault("missing_key", "is no mapping, which a spatial assay has to have")]
    if "is_single" not in found:
        return [_fault("missing_key", "has no is_single")]
    if not _is_bool(found["is_single"]):
        return [_fault("wrong_dtype", f"is_single is no truth value, but {type(found['is_single']).__name__}")]
    libraries = [key for key in found if key != "is_single"]
    if len(libraries) > 1:
        return [_fault("not_allowed", f"has more than one library: {', '.join(map(str, libraries))}")]
    if not spatial.is_slide:
        return [_fault("not_allowed", "has a library, which is for one slide of Visium only")] if libraries else []
    if not libraries:
        return [_fault("missing_key", "has no library")]
    return _library_faults(found[libraries[0]], spatial)


def _fault(reason: str, told: str) -> Fault:
    return Fault(reason, "uns", "spatial", told)


def _library_faults(library: Any, spatial: Spatial) -> list[Fault]:
    if not isinstance(library, Mapping):
        return [_fault("wrong_dtype", "the library is no mapping")]
    found = _keys("the library", library, _LIBRARY, _LIBRARY)
    images = library.get("images", {})
    if not isinstance(images, Mapping):
        found.append(_fault("wrong_dtype", "images is no mapping"))
    elif "images" in library:
        found += _keys("images", images, ("hires", "fullres"), ("hires",))
        side = 4000 if spatial.large else 2000
        for name in ("hires", "fullres"):
            if images.get(name) is not None:
                found += _image_faults(name, images[name], side if name == "hires" else None)
    scales = library.get("scalefactors", {})
    if not isinstance(scales, Mapping):
        found.append(_fault("wrong_dtype", "scalefactors is no mapping"))
    elif "scalefactors" in library:
        found += _keys("scalefactors", scales, _SCALES, _SCALES)
        bad = [name for name in _SCALES if name in scales and not isinstance(scales[name], float)]
        found += [_fault("wrong_dtype", f"{name} is no float, but {type(scales[name]).__name__}") for name in bad]
    return found


def _keys(what: str, there: Mapping[str, Any], known: Collection[str], required: Collection[str]) -> list[Fault]:
    found = [_fault("missing_key", f"{what} has no {name}") for name in required if name not in there]
    extra = [str(name) for name in there if name not in known]
    return found + ([_fault("not_allowed", f"{what} has more than {', '.join(known)}: {extra[0]}")] if extra else [])


def _image_faults(name: str, image: Any, side: int | None) -> list[Fault]:
    import numpy as np

    if not isinstance(image, np.ndarray):
        return [_fault("wrong_dtype", f"the image {name} is no NumPy array")]
    found = []
    if image.dtype != np.uint8:
        found.append(_fault("wrong_dtype", f"the image {name} is {image.dtype}, where uint8 is asked for"))
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        found.append(
            _fault("wrong_shape", f"the image {name} has shape {image.shape}: rows, columns, and 3 or 4 colours")
        )
    if side is not None and max(image.shape, default=0) != side:
        found.append(_fault("wrong_shape", f"the longest side of the image {name} is {max(image.shape)}, not {side}"))
    return found
