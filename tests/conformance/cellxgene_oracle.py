"""Asks the official CELLxGENE validator about files, in an environment of its own: see ``make conformance``.

Needs nothing of ours: ``python cellxgene_oracle.py FOLDER`` reads ``names.json`` there and writes ``verdicts.json``.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path


def main(folder: Path) -> None:
    """Write whether each file is accepted."""
    from cellxgene_schema.validate import validate

    names = json.loads((folder / "names.json").read_text())
    found = {name: bool(validate(str(folder / f"{i}.h5ad"))[0]) for i, name in enumerate(names)}
    (folder / "verdicts.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    main(Path(sys.argv[1]))
