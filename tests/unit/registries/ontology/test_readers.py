from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.errors import InvalidFile, RecordNotFound, UnknownFormat
from registries.ontology.cxg import read_cxg
from registries.ontology.obo import read_obo
from registries.ontology.obographs import read_obographs
from registries.ontology.parsed import Parsed
from registries.ontology.rdfxml import read_rdfxml
from registries.ontology.readers import TERMS, read_source, sniff

# What pronto 2.7.4 made of the files that it could read: the number of terms, and a digest of them.
PRONTO = {
    "cl-basic_2022-12-15.obo": (2804, "0045d745a5d2bff8"),
    "cl_blood_and_immune_upper_slim.owl.gz": (1079, "c2fbda9b99e5054e"),
    "doid_DO_cancer_slim.obo": (730, "b0f236ada22f8abe"),
    "doid_DO_cancer_slim.owl": (730, "b0f236ada22f8abe"),
    "go_2013-07-13.obo.gz": (39616, "0e58b5bc0b63a374"),
    "go_goslim_generic.obo": (149, "779cc1e8ac650c5d"),
    "hancestro.owl": (1283, "7b68654586044de4"),
    "hsapdv.obo": (260, "f26526bcbed311b0"),
    "mmusdv.obo": (178, "b444582e603e538e"),
    "ncbitaxon_taxslim_2022-10.obo.gz": (14907, "559b2fd8d088fa39"),
    "pato.obo": (2785, "16336b5c0bbc927f"),
    "pw_7.96.obo": (2739, "6534c2fa02324599"),
    "pw_7.97.obo": (2739, "a8926de7515f0890"),
    "so.owl.gz": (2747, "ab7dc9df16722cb3"),
}

TERMS_IN = {
    "chebi_r105_2013.obo.gz": (41136, 37),
    "cl-basic_2022-12-15.obo": (2804, 160),
    "cl_blood_and_immune_upper_slim.obo": (1078, 0),
    "depmap_24Q4.obo": (1814, 0),
    "doid_2016-09-01.obo.gz": (9344, 2373),
    "eco-basic.obo": (2233, 37),
    "hancestro.obo": (1281, 46),
    "hgnc.genegroup.obo": (1981, 0),
    "life-stages.obo": (1328, 75),
    "so.obo": (2615, 211),
    "wikipathways_20251010.obo.gz": (2883, 0),
}


def digest(terms: list[Parsed]) -> str:
    shapes = [
        [
            term.id,
            (term.name or "").strip(),
            term.definition,
            sorted(set(term.synonyms)),
            sorted(term.alternative_ids),
            sorted(one for one, kind in zip(term.parents, term.relations, strict=True) if kind == "is_a"),
            term.obsolete,
            term.replaced_by is not None,
        ]
        for term in sorted(terms)
    ]
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", PRONTO)
def test_terms_equal_those_of_pronto_where_it_can_read(real, name):
    file = real / "obo" / name
    terms = list(TERMS["owl" if ".owl" in name else "obo"](file))
    assert (len(terms), digest(terms)) == PRONTO[name]


@pytest.mark.parametrize("name", TERMS_IN)
def test_files_that_stop_strict_parsers_are_read_whole(real, name):
    terms = list(read_obo(real / "obo" / name))
    assert (len(terms), sum(term.obsolete for term in terms)) == TERMS_IN[name]
    assert all(term.id for term in terms)


def test_every_real_file_tells_its_format(real):
    for file in (real / "obo").iterdir():
        assert sniff(file) == ("owl" if ".owl" in file.name else "obo")
    for file in (real / "other").iterdir():
        assert sniff(file) == "terms"
        assert sum(map(len, read_source(file))) > 10_000
    assert sniff(real / "cxg" / "CL-ontology-v2026-03-26.json.zst") == "cxg"


def obo(tmp_path, text, **options):
    file = tmp_path / "x.obo"
    file.write_text(text, encoding=options.get("encoding", "utf-8"), newline="")
    return list(read_obo(file))


def test_odd_lines_are_taken_as_they_are_meant(tmp_path):
    (term,) = obo(
        tmp_path,
        'format-version: 1.2\r\n\r\n[Term]\r\nid: X:1 ! comment\r\nname: !Kung {a="b"}\r\n'
        'def: "with \\"quotes\\", a \\: and a line\\nend" [a\\, b:"c"]\r\n'
        'synonym: "no scope" []\r\nsynonym: "undeclared" EXACT NOBODY_SAID []\r\nsynonym: "cut off\r\n'
        'exact_synonym: "old" []\r\nalt_id: X:7\r\nis_a: X:2 {x="y"} ! two\r\nis_a: X:2\r\nrelationship: BFO:0000050 X:3\r\n'
        "nonsense\r\nis_obsolete: TRUE\r\nreplaced_by: X:9\r\nxref: http://a.b/c\\:d\r\n",
    )
    assert term == Parsed(
        "X:1",
        "!Kung",
        'with "quotes", a : and a line\nend',
        ["no scope", "undeclared", "cut off", "old"],
        ["RELATED", "EXACT", "RELATED", "EXACT"],
        ["X:7"],
        ["X:2", "X:3"],
        ["is_a", "part_of"],
        True,
        "X:9",
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_marks_at_the_beginning_and_letters_of_all_kinds_are_read(tmp_path, encoding):
    (term,) = obo(tmp_path, "[Term]\nid: X:1\nname: Sjögren", encoding=encoding)
    assert term.name == "Sjögren"


def test_bytes_that_are_no_utf8_do_not_stop_a_file(tmp_path):
    file = tmp_path / "x.obo"
    file.write_bytes(b"[Term]\nid: X:1\nname: Sj\xf6gren\n\n[Term]\nid: X:2\nname: b\n")
    assert [term.name for term in read_obo(file)] == ["Sj\ufffdgren", "b"]


def test_stanzas_that_fall_between_two_reads_are_whole(tmp_path):
    wanted = [f"name {n} " + "x" * (1 + n % 977) for n in range(6_000)]
    terms = obo(
        tmp_path, "format-version: 1.2\n" + "".join(f"\n[Term]\nid: X:{n}\nname: {w}\n" for n, w in enumerate(wanted))
    )
    assert [term.name for term in terms] == wanted


def test_packed_files_are_unpacked_and_cut_off_ones_refused(tmp_path):
    packed = gzip.compress(b"[Term]\nid: X:1\nname: a\n" * 10_000)
    whole, half = tmp_path / "a.obo.gz", tmp_path / "b.obo.gz"
    whole.write_bytes(packed)
    half.write_bytes(packed[: len(packed) // 2])
    assert len(list(read_obo(whole))) == 10_000
    with pytest.raises(InvalidFile, match=r"b\.obo\.gz' cannot be read, or is cut off"):
        list(read_obo(half))


def test_a_line_without_an_end_is_no_ontology(tmp_path):
    file = tmp_path / "long.obo.gz"
    file.write_bytes(gzip.compress(b"[Term]\nid: X:1\nname: " + b"x" * 20_000_000))
    with pytest.raises(InvalidFile, match="more than 16,777,216 characters"):
        list(read_obo(file))


def test_a_large_file_takes_little_memory(tmp_path):
    file = tmp_path / "large.obo.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for _ in range(40):
            packed.write(b"[Term]\nid: X:1\nname: a\ncomment: " + b"x" * 1_000_000 + b"\n\n")
    script = (
        "import sys; from pathlib import Path; from registries.ontology.obo import read_obo\n"
        "peak = lambda: next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "before = peak(); assert sum(1 for _ in read_obo(Path(sys.argv[1]))) == 40; print((peak() - before) // 1024)"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of memory is told by /proc")
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 25, "MB for 40 MB of text"


def test_a_name_twice_in_json_makes_one_entry_of_two(tmp_path):
    file = tmp_path / "x.json"
    file.write_text(
        '{"X:1": {"label": "a", "synonyms": ["b"]}, "X:1": {"label": "a", "synonyms": ["c"], "label": "d"}}'
    )
    assert [(term.name, list(term.synonyms)) for term in read_cxg(file)] == [("a", ["b"]), ("d", ["c"])]


def test_what_is_no_ontology_is_named(tmp_path):
    file = tmp_path / "x.txt"
    file.write_text("hello")
    with pytest.raises(UnknownFormat, match="begins with 'hello', which tells no format: name it with format="):
        sniff(file)
    with pytest.raises(UnknownFormat, match="'obi' is not known; did you mean 'obo'"):
        read_source(file, "obi")
    with pytest.raises(InvalidFile, match=r"has no \[Term\] in it"):
        list(read_obo(file))
    with pytest.raises(RecordNotFound, match="there is no file"):
        list(read_obo(tmp_path / "none"))


OWL = """<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [{doctype}]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
  xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:oio="http://www.geneontology.org/formats/oboInOwl#">
<owl:Ontology rdf:about="http://x/y"><owl:imports rdf:resource="http://169.254.169.254/latest"/></owl:Ontology>
<owl:Class rdf:about="{iri}">{label}
<oio:hasExactSynonym>lung tissue</oio:hasExactSynonym>
<rdfs:subClassOf rdf:resource="http://purl.obolibrary.org/obo/UBERON_0000171"/>
<rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="http://purl.obolibrary.org/obo/BFO_0000050"/>
<owl:someValuesFrom rdf:resource="http://purl.obolibrary.org/obo/UBERON_0000170"/></owl:Restriction></rdfs:subClassOf>
<rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="http://purl.obolibrary.org/obo/RO_0002202"/>
<owl:someValuesFrom rdf:resource="http://purl.obolibrary.org/obo/UBERON_0000118"/></owl:Restriction></rdfs:subClassOf>
</owl:Class>
<rdf:Description rdf:about="http://purl.obolibrary.org/obo/UBERON_1"><rdf:type rdf:resource="http://www.w3.org/2002/07/owl#Class"/>
</rdf:Description>
<rdf:Description rdf:about="http://purl.obolibrary.org/obo/UBERON_2"><rdfs:label>no class</rdfs:label></rdf:Description>
</rdf:RDF>"""
LUNG = "http://purl.obolibrary.org/obo/UBERON_0002048"


def owl(tmp_path, **parts):
    file = tmp_path / "x.owl"
    file.write_text(OWL.format(**{"doctype": "", "iri": LUNG, "label": "<rdfs:label>lung</rdfs:label>"} | parts))
    return list(read_rdfxml(file))


def test_classes_are_read_with_kinds_and_parts(tmp_path):
    lung, described = owl(tmp_path)
    assert (lung.id, lung.name, lung.synonyms) == ("UBERON:0002048", "lung", ["lung tissue"])
    assert dict(zip(lung.parents, lung.relations, strict=True)) == {
        "UBERON:0000171": "is_a",
        "UBERON:0000170": "part_of",
    }
    assert described.id == "UBERON:1"


def test_short_names_of_namespaces_are_understood(tmp_path):
    doctype = '<!ENTITY obo "http://purl.obolibrary.org/obo/">'
    assert owl(tmp_path, doctype=doctype, iri="&obo;UBERON_0002048")[0].id == "UBERON:0002048"


@pytest.mark.parametrize(
    "doctype",
    [
        '<!ENTITY a SYSTEM "file:///etc/passwd">',
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;">',
        '<!ENTITY % a SYSTEM "http://169.254.169.254/x"> %a;',
        f'<!ENTITY a "{"x" * 10_000}">',
    ],
)
def test_entities_that_fetch_or_grow_are_refused(tmp_path, doctype):
    with pytest.raises(InvalidFile, match="declares the entity"):
        owl(tmp_path, doctype=doctype, label="<rdfs:label>&b;</rdfs:label>" if "&a;" in doctype else "")


AXIOM = """
    <owl:Axiom>
        <owl:annotatedSource rdf:resource="http://purl.obolibrary.org/obo/UBERON_0002048"/>
        <owl:annotatedTarget>{}</owl:annotatedTarget>
    </owl:Axiom>"""


def test_annotations_and_references_between_classes_hide_none_of_them(tmp_path):
    long = AXIOM.format("x" * 400_000) * 6  # two of them lie across two reads
    references = "\n        <oio:hasDbXref>A:1</oio:hasDbXref>\n        <oio:id>UBERON:0002048</oio:id>\n"
    label = "<rdfs:label>lung</rdfs:label>" + references.replace("oio", "oboInOwl")
    text = OWL.replace("xmlns:oio=", 'xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#" xmlns:oio=')
    file = tmp_path / "x.owl"
    file.write_text(
        text.format(doctype="", iri=LUNG, label=label).replace("\n<rdf:Description", long + "\n<rdf:Description", 1)
    )
    assert list(read_rdfxml(file)) == owl(tmp_path)


def test_quoted_text_that_looks_like_an_annotation_is_text(tmp_path):
    quoted = "\n    <owl:Axiom>\n        <oboInOwl:id>1</oboInOwl:id>\n    </owl:Axiom>\n"
    label = f"<rdfs:label>lung</rdfs:label><oio:hasDefinition><![CDATA[{quoted}]]></oio:hasDefinition>"
    assert owl(tmp_path, label=label)[0].definition == quoted


def test_a_text_without_an_end_is_refused_before_it_fills_the_memory(tmp_path):
    with pytest.raises(InvalidFile, match="a text of more than"):
        owl(tmp_path, label=f"<rdfs:label>{'x' * 4_000_000}</rdfs:label>")


def test_xml_that_is_cut_off_is_refused(tmp_path):
    file = tmp_path / "x.owl"
    file.write_text(OWL[:900].format(doctype="", iri=LUNG, label=""))
    with pytest.raises(InvalidFile, match="is no XML, or is cut off"):
        list(read_rdfxml(file))


def test_obographs_are_read_with_parents_synonyms_and_replacements(tmp_path):
    base = "http://purl.obolibrary.org/obo/"
    node = {
        "id": base + "UBERON_1",
        "lbl": "lung",
        "type": "CLASS",
        "meta": {
            "definition": {"val": "breathes"},
            "synonyms": [{"pred": "hasExactSynonym", "val": "pulmo"}],
            "deprecated": True,
            "basicPropertyValues": [{"pred": base + "IAO_0100001", "val": base + "UBERON_3"}],
        },
    }
    edges = [
        {"sub": base + "UBERON_1", "pred": "is_a", "obj": base + "UBERON_2"},
        {"sub": base + "UBERON_1", "pred": base + "BFO_0000050", "obj": base + "UBERON_4"},
        {"sub": base + "UBERON_1", "pred": base + "RO_1", "obj": base + "UBERON_5"},
    ]
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"graphs": [{"nodes": [node, {"id": "p", "type": "PROPERTY"}], "edges": edges}]}))
    assert sniff(file) == "obographs"
    assert list(read_obographs(file)) == [
        Parsed(
            "UBERON:1",
            "lung",
            "breathes",
            ["pulmo"],
            ["EXACT"],
            [],
            ["UBERON:2", "UBERON:4"],
            ["is_a", "part_of"],
            True,
            "UBERON:3",
        )
    ]
    file.write_text("[" * 100_000)
    with pytest.raises(InvalidFile, match="no JSON, is cut off, or nested too deeply"):
        list(read_obographs(file))
