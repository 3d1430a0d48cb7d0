"""Real files of public sources, where they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "ontologies"


@pytest.fixture(scope="session")
def real():
    """The folder of real files; what needs them is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip("real files of public sources are not at ../shared/data/ontologies")
    return DATA


@pytest.fixture
def small(tmp_path):
    """A small ontology as an OBO file."""
    file = tmp_path / "cl.obo"
    file.write_text(SMALL, encoding="utf-8")
    return file


SMALL = r"""format-version: 1.2
data-version: releases/2026-01-01

[Term]
id: CL:0000000
name: cell

[Term]
id: CL:0000542
name: lymphocyte
is_a: CL:0000000 {is_inferred="true"} ! cell

[Term]
id: CL:0000084
name: T cell
alt_id: CL:0000804
def: "A lymphocyte that says \"help\"." [GOC:add, ISBN:0781735149]
synonym: "T-cell" EXACT []
synonym: "T lymphocyte" EXACT PLURAL [FMA:1]
synonym: "mature T cell" []
is_a: CL:0000542 ! lymphocyte
relationship: part_of UBERON:0002405 ! immune system
relationship: develops_from CL:0000827

[Term]
id: CL:0000624
name: CD4-positive, alpha-beta T cell
is_a: CL:0000084

[Term]
id: CL:9999999
name: obsolete helper
is_obsolete: true
replaced_by: CL:0000624

[Term]
id: GO:0000001
name: of another ontology

[Typedef]
id: part_of
name: part of
"""
