"""Writes the mutated files for the official validator: ``python -m tests.conformance.cellxgene_files FOLDER``.

Beside this file it writes ``cellxgene_terms.json``: what the package cellxgene-ontology-guide says of every term that is
asked for on the way.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registries.standards import guide_terms
from tests.conformance.cellxgene_cases import GENES, MUTATIONS, mutated
from validation.cellxgene import Terms, cellxgene_faults


class _Noted(Terms):
    """Terms that keep what they were asked."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(lambda _: {})
        self._terms = terms
        self.asked: dict[str, dict[str, Any]] = {}

    def find(self, term: str) -> Mapping[str, Any] | None:
        found = self._terms.find(term)
        if found is not None:
            above, gone = sorted(found.get("ancestors") or ()), bool(found.get("deprecated"))
            self.asked[term] = {"ancestors": above, "deprecated": gone}
        return found


def main(folder: Path) -> None:
    """Write one file for each mutation, and the terms."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.json").write_text(json.dumps(list(MUTATIONS)))
    terms = _Noted(guide_terms())
    for i, name in enumerate(MUTATIONS):
        mutated(name).write_h5ad(folder / f"{i}.h5ad")
        cellxgene_faults(mutated(name), terms, lambda names, _: [one for one in names if one not in GENES])
    lines = [f"{json.dumps(key)}:{json.dumps(terms.asked[key], separators=(',', ':'))}" for key in sorted(terms.asked)]
    Path(__file__).with_name("cellxgene_terms.json").write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
