"""Make a zipped instance as the version at hand makes it: ``python -m tests.released.make 0.2.0``, once per format.

What it holds is asserted in ``tests/unit/registries/test_migration.py``.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from registries import Instance

HERE = Path(__file__).parent


def fill(lake: Instance) -> None:
    """Save a few records, publish them, and save some more."""
    lake.ULabel(name="treated", synonyms=["drugged"]).save()
    artifact = lake.Artifact(b"\x00\x01", key="raw/a.bin", description="two bytes").save()
    artifact.labels.add("treated")
    lake.Feature(name="temperature", dtype="float", unit="degC").save()
    artifact.features.add_values({"temperature": 21.5})
    cell = lake.CellType(name="lymphocyte", ontology_id="CL:0000542").save()
    lake.CellType(name="T cell", ontology_id="CL:0000084", parent_uids=[cell], synonyms=["T lymphocyte"]).save()
    transform = lake.Transform(name="align", kind="script").save()
    lake.flush()
    run = lake.Run(transform=transform, host="node7").save()
    with lake.use_run(run):
        lake.Artifact(b"\x02", key="raw/b.bin").save()
    lake.tag("first")


def main(name: str) -> None:
    """Write ``name.zip``."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "lake")
        with Instance.create(root, user="ada") as lake:
            fill(lake)
        with zipfile.ZipFile(HERE / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for path in sorted(root.rglob("*")):
                if path.is_file() and path.suffix != ".lock":
                    packed.write(path, path.relative_to(root))


if __name__ == "__main__":
    main(sys.argv[1])
