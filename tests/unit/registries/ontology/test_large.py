"""Source files that are far larger than what is taken from them."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from lakehouse.errors import InvalidFile
from registries.ontology.obographs import read_obographs, read_term_list
from registries.ontology.readers import read_source

_BASE = "http://purl.obolibrary.org/obo/"
_TERMS = 20
_NODE = json.dumps({"id": f"{_BASE}RO_1", "type": "PROPERTY", "lbl": "no term"})
_EDGE = json.dumps({"sub": f"{_BASE}XX_1", "pred": f"{_BASE}RO_1", "obj": f"{_BASE}XX_0"})
SHAPES = {
    "gtf": (
        "",
        '1\tx\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG%d"; gene_name "G";\n',
        '1\tx\texon\t1\t9\t.\t+\t.\tgene_id "ENSG1"; gene_name "G";\n',
        "",
    ),
    "obographs": (
        '{"graphs": [{"nodes": [{"id": "x", "type": "PROPERTY"}',
        f', {{"id": "{_BASE}XX_%d", "lbl": "term"}}',
        f", {_NODE}",
        f'], "edges": [{_EDGE}]}}]}}',
    ),
    "uniprot-fasta": ("", ">sp|P%05d|G_HUMAN Protein OS=Homo sapiens OX=9606 GN=G PE=1 SV=1\n", "M" * 60 + "\n", ""),
}
"""How files begin, what a term of theirs looks like, what else they are full of, and how they end."""


@pytest.mark.parametrize("kind", SHAPES)
def test_memory_is_taken_for_terms_and_not_for_all_that_a_file_holds(kind, tmp_path):
    head, term, filling, end = SHAPES[kind]
    small, file = tmp_path / "small", tmp_path / "large"
    small.write_text(head + term % 0 + end)
    more = filling * (600_000 // len(filling))
    with file.open("w") as text:
        text.write(head)
        text.writelines(term % number + more for number in range(_TERMS))
        text.write(end)
    assert sum(len(table) for table in read_source(small, kind)) == 1  # what is loaded at first use does not count
    tracemalloc.start()
    try:
        read = sum(len(table) for table in read_source(file, kind))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == _TERMS and file.stat().st_size > 11_000_000 > 1.3 * peak


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"graphs": {}}',
        '{"graphs": [1]}',
        '{"graphs": [{"nodes": [1]}]}',
        '{"graphs": [{"nodes": []},]}',
        '{"graphs": [{"nodes": [{"id": "XX:1"}',
        '{"graphs": [{"nodes": [{"id": "XX:1"} {"id": "XX:2"}]}]}',
        '{"graphs" [{"nodes": []}]}',
        '{"a": ' * 100_000,
        '{"graphs": [{"nodes": [' + "[" * 100_000,
    ],
)
def test_documents_that_are_no_obographs_are_refused(text, tmp_path):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InvalidFile, match=r"x\.json"):
        list(read_obographs(file))


def test_edges_are_understood_wherever_they_stand_and_whatever_stands_beside_them(tmp_path):
    file = tmp_path / "x.json"
    edges = [{"sub": f"{_BASE}XX_1", "pred": "is_a", "obj": f"{_BASE}XX_0"}]
    nodes = [{"id": f"{_BASE}XX_1", "lbl": "a", "type": "CLASS"}]
    graph = {"meta": {"version": 1.5}, "edges": edges, "nodes": nodes, "equivalentNodesSets": [{"a": [1, [2]]}]}
    other = {"nodes": [{"id": f"{_BASE}XX_2", "lbl": "b"}], "edges": None, "id": "x"}
    file.write_text(json.dumps({"meta": None, "graphs": [graph, other]}, indent=1))
    assert [(term.id, list(term.parents)) for term in read_obographs(file)] == [("XX:1", ["XX:0"]), ("XX:2", [])]


def test_lists_of_terms_are_read_one_by_one_up_to_where_they_are_cut_off(tmp_path):
    file = tmp_path / "x.json"
    file.write_text('[{"id": "XX:1", "name": "a"}, {"id": "XX:2')
    terms = read_term_list(file)
    assert next(terms).name == "a"
    with pytest.raises(InvalidFile, match="cut off"):
        next(terms)
