"""A lakehouse in a folder: registries as open Delta tables, arrays and tables beside them, SQL over all of it.

Write ``import lakehouse as lh`` and nothing else. Importing costs a few milliseconds: every name is found at its
first use, and duckdb, pyarrow, deltalake, polars, pandas, anndata, zarr and tiledb load only when they are needed.

Examples
--------
>>> import lakehouse as lh
>>> "Artifact" in dir(lh)
True
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.remote import RemoteOptions
    from lakehouse import errors
    from lakehouse.api import (
        attach,
        connect,
        current,
        disconnect,
        flush,
        init,
        open,
        save,
        search,
        snapshots,
        sql,
        transaction,
    )
    from lakehouse.customizing import add_registry, create_registry, import_lamindb, migrate, migration, registry
    from lakehouse.ingestion import ingest
    from lakehouse.maintenance import backup, check, compact, rebuild, restore, vacuum
    from lakehouse.timeline import batch, changes, revert, tag, tags, untag
    from lakehouse.tracing import finish, flow, step, track
    from lakehouse.validating import curate, validate
    from registries import (
        Artifact,
        BFXPipeline,
        BioSample,
        CellLine,
        CellMarker,
        CellType,
        Column,
        Dataset,
        DevelopmentalStage,
        Disease,
        Drug,
        Environment,
        Ethnicity,
        ExperimentalFactor,
        Feature,
        FeatureSet,
        Gene,
        Modality,
        Organism,
        Pathway,
        Phenotype,
        Protein,
        Q,
        Record,
        Reference,
        Run,
        Schema,
        Source,
        Storage,
        Term,
        Tissue,
        Transform,
        ULabel,
        User,
        View,
    )
    from registries import Artifact as File
    from registries.column import column, reference
    from validation import Relation, Rule, Slot, Vocabulary

    __version__: str

__all__ = [
    "Artifact",
    "BFXPipeline",
    "BioSample",
    "CellLine",
    "CellMarker",
    "CellType",
    "Column",
    "Dataset",
    "DevelopmentalStage",
    "Disease",
    "Drug",
    "Environment",
    "Ethnicity",
    "ExperimentalFactor",
    "Feature",
    "FeatureSet",
    "File",
    "Gene",
    "Modality",
    "Organism",
    "Pathway",
    "Phenotype",
    "Protein",
    "Q",
    "Record",
    "Reference",
    "Relation",
    "RemoteOptions",
    "Rule",
    "Run",
    "Schema",
    "Slot",
    "Source",
    "Storage",
    "Term",
    "Tissue",
    "Transform",
    "ULabel",
    "User",
    "View",
    "Vocabulary",
    "add_registry",
    "attach",
    "backup",
    "batch",
    "changes",
    "check",
    "column",
    "compact",
    "connect",
    "create_registry",
    "curate",
    "current",
    "disconnect",
    "errors",
    "finish",
    "flow",
    "flush",
    "import_lamindb",
    "ingest",
    "init",
    "migrate",
    "migration",
    "open",
    "rebuild",
    "reference",
    "registry",
    "restore",
    "revert",
    "save",
    "search",
    "snapshots",
    "sql",
    "step",
    "tag",
    "tags",
    "track",
    "transaction",
    "untag",
    "vacuum",
    "validate",
]

logging.getLogger("lakehouse").addHandler(logging.NullHandler())

if not TYPE_CHECKING:
    # Where names are found that are not in registries; the names there are those of __all__ that stand nowhere here.
    _PLACES = {
        "lakehouse.api": (
            "attach",
            "connect",
            "current",
            "disconnect",
            "flush",
            "init",
            "open",
            "save",
            "search",
            "snapshots",
            "sql",
            "transaction",
        ),
        "lakehouse.customizing": (
            "add_registry",
            "create_registry",
            "import_lamindb",
            "migrate",
            "migration",
            "registry",
        ),
        "lakehouse.ingestion": ("ingest",),
        "lakehouse.maintenance": ("backup", "check", "compact", "rebuild", "restore", "vacuum"),
        "lakehouse.timeline": ("batch", "changes", "revert", "tag", "tags", "untag"),
        "lakehouse.tracing": ("finish", "flow", "step", "track"),
        "lakehouse.validating": ("curate", "validate"),
        "validation": ("Relation", "Rule", "Slot", "Vocabulary"),
        "registries.column": ("column", "reference"),
        "formats.remote": ("RemoteOptions",),
    }
    # Each name with its module and its name there.
    _TABLE = {
        **{name: ("registries", name) for name in __all__},
        **{name: (module, name) for module, names in _PLACES.items() for name in names},
        "File": ("registries", "Artifact"),
    }
    _MODULES = ("errors",)
    _SIBLINGS = ("registries", "formats", "validation")

    # What LaminDB calls some things, and what they are called here.
    _ELSEWHERE = {
        "AnnDataCurator": "curate",
        "Collection": "Dataset",
        "Curator": "curate",
        "DataFrameCurator": "curate",
        "MuDataCurator": "curate",
        "SpatialDataCurator": "curate",
        "close": "disconnect",
        "setup": "init",
        "tracked": "step",
    }

    def __getattr__(name: str) -> object:
        """Find a name at its first use, and keep it."""
        if name == "__version__":
            value = _version()
        elif name in _MODULES:
            value = import_module(f"lakehouse.{name}")
        elif name in _TABLE:
            value = _found(name)
        else:
            raise AttributeError(_no_such(name))
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Return what users may write after ``lh.``."""
        return sorted({*__all__, "__version__", "__doc__", "__name__", "__file__", "__path__"})

    def _found(name: str) -> object:
        module, attribute = _TABLE[name]
        # Looked at before anything of ours runs: a script called validation.py would otherwise be run a second time.
        _check_siblings()
        try:
            return getattr(import_module(module), attribute)
        except ImportError:
            # Files of the other distribution called lakehouse may lie among ours; that message helps more.
            import_module("lakehouse.optional").check_namesake()
            raise

    def _check_siblings() -> None:
        """Refuse modules of the user's that hide ours, naming the file."""
        from importlib.util import find_spec
        from pathlib import Path

        ours = Path(__file__).resolve().parents[1]
        for name in _SIBLINGS:
            loaded = sys.modules.get(name)
            spec = None if loaded else find_spec(name)
            file = getattr(loaded, "__file__", None) if loaded else spec and spec.origin
            if file and Path(file).resolve() != ours / name / "__init__.py":
                raise ImportError(
                    f"{file} hides the package {name!r} that lakehouse needs: rename that file or folder, "
                    "or start Python from elsewhere",
                    name=name,
                    path=file,
                )

    def _no_such(name: str) -> str:
        text = f"module 'lakehouse' has no attribute {name!r}"
        if name.startswith("__"):  # asked for by tools that expect no more than this
            return text
        ours = _ELSEWHERE.get(name)
        if ours in __all__:
            return f"{text}: it is called {ours!r} here"
        if ours:
            return f"{text}: it is planned as {ours!r}, which this version does not have yet"
        return text + import_module("lakehouse.errors").did_you_mean(name, __all__)

    def _version() -> str:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("lakehouse-toolkit")
        except PackageNotFoundError:  # run from a folder of sources that was never installed
            return "0+unknown"
