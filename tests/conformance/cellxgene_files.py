"""Writes the mutated files for the official validator: ``python -m tests.conformance.cellxgene_files FOLDER``."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from tests.conformance.cellxgene_cases import MUTATIONS, mutated


def main(folder: Path) -> None:
    """Write one file for each mutation."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.json").write_text(json.dumps(list(MUTATIONS)))
    for i, name in enumerate(MUTATIONS):
        mutated(name).write_h5ad(folder / f"{i}.h5ad")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
