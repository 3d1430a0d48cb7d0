"""What ``import lakehouse`` costs a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import Row, Sample, Side, alternate, at_most

__all__ = ["run"]

_ROOT = Path(__file__).resolve().parents[1]
_ROUNDS = 20
_HEAVY = [
    "adlfs",
    "anndata",
    "dask",
    "deltalake",
    "duckdb",
    "fsspec",
    "h5py",
    "numpy",
    "pandas",
    "pandera",
    "polars",
    "pyarrow",
    "pydantic",
    "rapidfuzz",
    "rich",
    "s3fs",
    "scipy",
    "tiledb",
    "typer",
    "zarr",
]
_USES = {"import lakehouse": "import lakehouse", "first use of lh.Artifact": "import lakehouse as lh; lh.Artifact"}


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    sides: dict[str, Side] = {name: _starting(code) for name, code in {"bare": "pass", **_USES}.items()}
    found = alternate(sides, rounds=_ROUNDS)
    for name in _USES:
        added = _added(found[name], found["bare"])
        limits = (at_most(value=50),) if name == "import lakehouse" else ()
        floor = found["bare"].median * 1e3
        yield Row("import", f"{name}, over a bare start", added, "ms", floor, "python -c pass", limits)
    heavy = loaded("import lakehouse")
    yield Row("import", "heavy modules loaded", len(heavy), "", limits=(at_most(value=0),), note=", ".join(heavy))
    note = ", ".join(loaded("import lakehouse as lh; lh.Artifact"))
    yield Row("import", "heavy modules after lh.Artifact", len(note.split()), "", note=note)


def _added(sample: Sample, bare: Sample) -> float:
    """Return the difference of the medians, in milliseconds."""
    return (sample.median - bare.median) * 1e3


def _starting(code: str) -> Side:
    def side(_: int) -> Callable[[], object]:
        return lambda: _python(code)

    return side


def _python(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def loaded(code: str) -> list[str]:
    """Return the heavy modules that a fresh interpreter holds after some code."""
    tell = f"import sys; print(*(m for m in {_HEAVY!r} if m in sys.modules))"
    return _python(f"{code}; {tell}").split()
