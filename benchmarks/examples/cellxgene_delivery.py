"""Curating a delivery of h5ad files against the CELLxGENE schema; needs ``pip install cellxgene-ontology-guide``."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

import lakehouse as lh

__all__ = ["main"]

GENES = ["ENSG00000127603", "ENSG00000141510", "ENSG00000012048", "ENSG00000139618", "ENSG00000002330"]
FIELDS = {
    "cell_type_ontology_term_id": "CL:0000066",
    "assay_ontology_term_id": "EFO:0009899",
    "disease_ontology_term_id": "MONDO:0100096",
    "sex_ontology_term_id": "PATO:0000383",
    "tissue_ontology_term_id": "UBERON:0002048",
    "tissue_type": "tissue",
    "self_reported_ethnicity_ontology_term_id": "HANCESTRO:0019",
    "development_stage_ontology_term_id": "HsapDv:0000003",
    "donor_id": "donor_1",
    "suspension_type": "nucleus",
}


def main(folder: Path) -> dict[str, int]:
    """Ingest what conforms, and return what became of the files."""
    delivery = folder / "delivery"
    delivery.mkdir()
    for n in range(2):
        cells(n).write_h5ad(delivery / f"sample{n}.h5ad")
    wrong = cells(2)
    wrong.obs["tissue_type"] = pd.Categorical(["organ"] * 3)
    wrong.write_h5ad(delivery / "sample2.h5ad")

    lake = lh.init(folder / "lake", pointer=False)
    human = lh.Organism(name="Homo sapiens", ontology_id="NCBITaxon:9606").save()
    lh.save([lh.Gene(symbol=one, ensembl_gene_id=one, organism=human) for one in GENES])
    tried = lh.ingest(delivery, schema="cellxgene", on_error="skip", dry_run=True)  # first only look
    print(tried.summary())
    report = lh.ingest(delivery, schema="cellxgene", on_error="skip")
    print(report.summary())
    print(lake.Artifact.filter().df()[["key", "kind", "n_rows"]])
    lh.disconnect()
    return report.counts


def cells(seed: int) -> anndata.AnnData:
    """Return an AnnData that conforms."""
    obs = pd.DataFrame({name: pd.Categorical([value] * 3) for name, value in FIELDS.items()}, index=["a", "b", "c"])
    obs["is_primary_data"] = True
    counts = np.array([[1, 2, 0, 0, 5], [0, 1, 3, 0, 1], [2, 0, 0, 4, 1 + seed]], dtype="float32")
    uns = {"title": "A title", "organism_ontology_term_id": "NCBITaxon:9606", "default_embedding": "X_umap"}
    var = pd.DataFrame({"feature_is_filtered": [False] * 5}, index=GENES)
    made = anndata.AnnData(sparse.csr_matrix(counts + (counts > 0) * np.float32(0.5)), obs=obs, var=var, uns=uns)
    made.obsm["X_umap"] = np.arange(6, dtype="float64").reshape(3, 2)
    made.raw = anndata.AnnData(sparse.csr_matrix(counts), obs=obs[[]], var=pd.DataFrame(index=GENES))
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
