"""Adding to entries that are there what another source knows of them; nothing that they have is overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.engine.requirements import RowsUntouched

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.ontology.term import Entry

__all__ = ["enrich", "replaced", "with_synonyms"]

pc: Any = _compute
_FILLED = (
    "name",
    "definition",
    "biotype",
    "ensembl_gene_id",
    "gene_symbol",
    "length",
    "entry_name",
    "uniprot_id",
    "ncbi_gene_id",
)
_LISTS = ("ncbi_gene_ids", "ensembl_gene_ids", "alternative_ids")


def enrich(registry: type[Entry], txn: Transaction, table: pa.Table) -> int:
    """Add synonyms, and values where there are none, to the entries that a table has rows for; return how many changed."""
    name = registry.meta.table
    before = txn.snapshot.lookup(name, "uid", table["uid"].to_pylist()).combine_chunks()
    if not len(before):
        return 0
    more = table.take(pc.index_in(before["uid"], table["uid"].combine_chunks()))
    after = with_synonyms(before, more, before) if "synonyms" in more.column_names else before
    for column in (one for one in _FILLED if one in more.column_names and one in before.column_names):
        after = replaced(after, column, pc.coalesce(before[column], more[column]))
    for column in (one for one in _LISTS if one in more.column_names and one in before.column_names):
        empty = pc.equal(pc.list_value_length(before[column]), 0)
        after = replaced(after, column, pc.if_else(empty, more[column].cast(before[column].type), before[column]))
    changed = [old != new for old, new in zip(before.to_pylist(), after.to_pylist(), strict=True)]
    after = after.filter(pa.array(changed))
    if len(after):
        txn.require(RowsUntouched(name, frozenset(after["uid"].to_pylist())))
        txn.upsert(name, after)
    return len(after)


def with_synonyms(table: pa.Table, new: pa.Table, old: pa.Table) -> pa.Table:
    """Return a table with the synonyms of two others, row by row: those of ``old`` first where ``table`` is that one."""
    first, second = (old, new) if table is old else (new, old)
    names, scopes = [], []
    columns = [one[c].to_pylist() for one in (first, second) for c in ("synonyms", "synonym_scopes")]
    for mine, kinds, others, other_kinds in zip(*columns, strict=True):
        merged = dict(zip(mine, kinds, strict=True))
        for name, kind in zip(others, other_kinds, strict=True):
            merged.setdefault(name, kind)
        names.append(list(merged))
        scopes.append(list(merged.values()))
    texts = pa.list_(pa.string())
    return replaced(replaced(table, "synonyms", pa.array(names, texts)), "synonym_scopes", pa.array(scopes, texts))


def replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    """Return a table with another column under a name."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), values)
