from __future__ import annotations

import gzip
import zipfile

import pytest

from lakehouse.errors import InvalidFile
from registries.ontology.readers import read_source, sniff

GTF = """#!genome-build GRCh38.p14
1\tensembl\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG00000153563"; gene_version "16"; gene_name "CD8A"; gene_biotype "protein_coding";
1\tensembl\ttranscript\t1\t9\t.\t+\t.\tgene_id "ENSG00000153563"; transcript_id "ENST1";
1\tHAVANA\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG00000182378.15_PAR_Y"; gene_type "protein_coding"; gene_name "PLCXD1";
1\tHAVANA\tgene\t1\t9\t.\t+\t.\tgene_id "ENSG00000182378.15"; gene_type "protein_coding"; gene_name "PLCXD1";
"""
GFF = """##gff-version 3
1\tensembl\tgene\t1\t9\t.\t+\t.\tID=gene:YAL069W;Name=CD8A;biotype=protein_coding;description=CD8%2C a [Source:HGNC]
1\tensembl\tmRNA\t1\t9\t.\t+\t.\tID=transcript:x;Parent=gene:YAL069W
"""
HGNC = (
    "hgnc_id\tsymbol\tname\tstatus\talias_symbol\tprev_symbol\tentrez_id\tensembl_gene_id\n"
    "HGNC:1706\tCD8A\tCD8 subunit alpha\tApproved\tp32|Leu-2\tCD8\t925\tENSG00000153563\n"
    "HGNC:9\tONLY1\tno Ensembl id\tApproved\tp32\t\t\t\n"
)
FASTA = (
    ">sp|P01732|CD8A_HUMAN T-cell surface glycoprotein CD8 alpha chain OS=Homo sapiens OX=9606 GN=CD8A PE=1 SV=1\n"
    "MALPV\nTALL\n>sp|Q6GZX4|001R_FRG3G Putative factor 001R OS=Frog virus 3 (isolate Goorha) OX=654924 PE=4 SV=1\nMA\n"
)
TSV = (
    "Entry\tEntry Name\tProtein names\tGene Names\tOrganism (ID)\tLength\tEnsembl\n"
    "P01732\tCD8A_HUMAN\tT-cell surface glycoprotein CD8 alpha chain (T8) (CD antigen CD8a)\tCD8A MAL\t9606\t235\t"
    "ENST00000283635.8 [P01732-1]. ENSP1. ENSG00000153563.16;\n"
)


def write(tmp_path, name, text):
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return file


def human(lake, file, source="ensembl", **options):
    return lake.Gene.import_source("1", source=source, organism="human", path=file, **options)


@pytest.mark.parametrize("name", ["x.gtf", "x.gtf.gz"])
def test_genes_of_annotations_come_without_versions_and_once(lake, tmp_path, name):
    assert human(lake, write(tmp_path, name, GTF)).added == 2
    cd8a = lake.Gene.get(symbol="CD8A")
    assert (cd8a.stable_id, cd8a.ensembl_gene_id, cd8a.biotype) == (
        "ENSG00000153563",
        "ENSG00000153563",
        "protein_coding",
    )
    assert lake.Organism.get(cd8a.organism).name == "Homo sapiens"
    assert lake.Gene.get(symbol="PLCXD1").stable_id == "ENSG00000182378"


def test_gff3_is_read_like_gtf(lake, tmp_path):
    lake.Gene.import_source("1", source="ensembl", organism="yeast", path=write(tmp_path, "x.gff3", GFF))
    gene = lake.Gene.get(stable_id="YAL069W")
    assert (gene.symbol, gene.name, gene.ensembl_gene_id) == ("CD8A", "CD8, a", None)


def test_names_of_hgnc_are_added_to_genes_that_are_there(lake, tmp_path):
    human(lake, write(tmp_path, "x.gtf", GTF))
    done = human(lake, write(tmp_path, "hgnc.txt", HGNC), source="hgnc", enrich=True)
    assert (done.added, done.kept, done.enriched) == (1, 1, 1)
    cd8a = lake.Gene.get(symbol="CD8A")
    assert dict(zip(cd8a.synonyms, cd8a.synonym_scopes, strict=True)) == {
        "p32": "EXACT",
        "Leu-2": "EXACT",
        "CD8": "PREVIOUS",
    }
    assert (cd8a.ncbi_gene_ids, cd8a.name, cd8a.biotype) == (["925"], "CD8 subunit alpha", "protein_coding")
    assert lake.Gene.get(symbol="ONLY1").stable_id == "HGNC:9"
    assert human(lake, write(tmp_path, "hgnc.txt", HGNC), source="hgnc", enrich=True).enriched == 0


def test_versions_and_previous_symbols_are_understood_and_shared_ones_never_guessed(lake, tmp_path):
    human(lake, write(tmp_path, "hgnc.txt", HGNC), source="hgnc")
    found = lake.Gene.from_values(["ENSG00000153563.12", "CD8", "Leu-2", "p32"], organism="human")
    assert [gene.symbol for gene in found] == ["CD8A"]
    assert found.ambiguous == {"p32": ["ENSG00000153563", "HGNC:9"]}
    assert found.unknown == []


def test_symbols_are_looked_up_within_the_organism_that_is_asked_for(lake, tmp_path):
    human(lake, write(tmp_path, "x.gtf", GTF))
    other = lake.Organism(name="Pan troglodytes", ontology_id="NCBITaxon:9598").save()
    lake.Gene(symbol="CD8A", stable_id="ENSPTRG1", organism=other).save()
    assert lake.Gene.from_values(["CD8A"]).ambiguous == {"CD8A": ["ENSG00000153563", "ENSPTRG1"]}
    assert [one.stable_id for one in lake.Gene.from_values(["CD8A"], organism="human")] == ["ENSG00000153563"]


def test_proteins_come_with_gene_length_and_organism(lake, tmp_path):
    assert lake.Protein.import_source("1", path=write(tmp_path, "x.fasta.gz", FASTA)).added == 2
    cd8a = lake.Protein.get(uniprot_id="P01732")
    assert (cd8a.name, cd8a.gene_symbol, cd8a.length) == ("T-cell surface glycoprotein CD8 alpha chain", "CD8A", 9)
    assert lake.Protein.filter(organism__name="Frog virus 3 (isolate Goorha)").one().entry_name == "001R_FRG3G"
    lake.Protein.import_source("1", organism="human", path=write(tmp_path, "x.tsv", TSV), enrich=True)
    again = lake.Protein.get(uniprot_id="P01732")
    assert (again.synonyms, again.ensembl_gene_ids) == (["T8", "CD antigen CD8a"], ["ENSG00000153563"])


def test_markers_are_known_by_name_and_organism(lake, tmp_path):
    text = "species\tcell_name\tmarker\tSymbol\tGeneID\tUNIPROTID\nHuman\tT cell\tCD8\tCD8A\t925\tP01732\nHuman\tx\tCD8\tCD8A\t925\tP01732\n"
    file = write(tmp_path, "m.tsv", text)
    lake.CellMarker.import_source("2.0", organism="human", path=file, format="cellmarker")
    lake.CellMarker.import_source("2.0", organism="mouse", path=file, format="cellmarker")
    assert lake.CellMarker.filter(gene_symbol="CD8A").count() == 2
    human = lake.Organism.get(name="Homo sapiens")
    marker = lake.CellMarker(name="CD8", organism=human).save()
    assert (marker.uniprot_id, marker.ncbi_gene_id) == ("P01732", "925")


def test_markers_come_out_of_workbooks(lake, tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra excel is not installed")
    book = openpyxl.Workbook()
    for row in (["species", "marker", "Symbol", "GeneID", "UNIPROTID"], ["Human", "CD8", "CD8A", 925.0, "P01732"]):
        book.active.append(row)
    book.save(tmp_path / "Cell_marker_Human.xlsx")
    assert lake.CellMarker.import_source("2.0", organism="human", path=tmp_path / "Cell_marker_Human.xlsx").added == 1
    marker = lake.CellMarker.get(name="CD8")
    assert (marker.gene_symbol, marker.ncbi_gene_id, marker.uniprot_id) == ("CD8A", "925", "P01732")
    whole = (tmp_path / "Cell_marker_Human.xlsx").read_bytes()
    (tmp_path / "half.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidFile, match="is no workbook, or is cut off"):
        lake.CellMarker.import_source("2.0", organism="human", path=tmp_path / "half.xlsx")
    assert lake.CellMarker.filter().count() == 1


def test_a_workbook_that_would_unpack_to_gigabytes_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl", reason="the extra excel is not installed")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b" " * 3_000_000)
    monkeypatch.setattr("registries.ontology.workbook._LARGEST", 1_000_000)
    with pytest.raises(InvalidFile, match="would unpack to 3,000,000 bytes"):
        list(read_source(tmp_path / "bomb.xlsx", "cellmarker"))


SAMPLES = """<?xml version="1.0"?><BioSampleAttributes><Attribute><Name>sex</Name><HarmonizedName>sex</HarmonizedName>
<Description>physical sex</Description><Synonym>gender</Synonym><Package use="optional">Human.1.0</Package></Attribute>
<Attribute><Name>geographic location</Name><HarmonizedName>geo_loc_name</HarmonizedName><Format/></Attribute>
</BioSampleAttributes>"""


def test_attributes_of_samples_are_known_by_their_harmonized_names(lake, tmp_path):
    file = write(tmp_path, "attributes.xml", SAMPLES)
    assert sniff(file) == "biosample"
    assert lake.BioSample.import_source("2026-11", path=file).source == "ncbi 2026-11"
    sex = lake.BioSample.get(name="sex")
    assert (sex.ontology_id, sex.definition, sex.synonyms) == ("sex", "physical sex", ["gender"])
    assert lake.BioSample.standardize(["geo_loc_name", "Gender"]) == ["geographic location", "sex"]
    for text, told in ((SAMPLES[:200], "cut off"), ("<a/>", "no Attribute with a HarmonizedName")):
        with pytest.raises(InvalidFile, match=told):
            list(read_source(write(tmp_path, "x.xml", text), "biosample"))
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]>' + SAMPLES.partition("?>")[2]
    with pytest.raises(InvalidFile, match="declares the entity 'b'"):
        list(read_source(write(tmp_path, "x.xml", bomb), "biosample"))


def test_smaller_tables_are_read(lake, tmp_path):
    species = "#name\tspecies\tdivision\ttaxonomy_id\nHuman\thomo_sapiens\tEnsemblVertebrates\t9606\n"
    lake.Organism.import_source("1", source="ensembl", organism="vertebrates", path=write(tmp_path, "s.txt", species))
    assert lake.Organism.get(ontology_id="NCBITaxon:9606").synonyms == ["Human"]
    icd = "A00     Cholera\nA000    Cholera due to Vibrio cholerae 01\nA0001   made up\n"
    lake.Disease.import_source("2026", source="icd", path=write(tmp_path, "i.txt", icd), format="icd")
    assert lake.Disease.get(ontology_id="ICD10CM:A00.01").ancestors().count() == 2
    cellosaurus = "ID   K-562\nAC   CVCL_0004\nAS   CVCL_9999\nSY   K562; K 562\n//\nID   K-562/A\nAC   CVCL_1\nHI   CVCL_0004 ! K-562\n//\n"
    lake.CellLine.import_source("1", source="cellosaurus", path=write(tmp_path, "c.txt", cellosaurus))
    assert lake.CellLine.get(name="K-562").synonyms == ["K562", "K 562"]
    assert lake.CellLine.get(name="K-562/A").parents.one().ontology_id == "CVCL_0004"


def test_tables_tell_their_format(tmp_path):
    shapes = {
        "gtf": GTF,
        "gff3": GFF,
        "hgnc": HGNC,
        "uniprot-fasta": FASTA,
        "uniprot-tsv": TSV,
        "genes-csv": "ENSG1,A,2,10,x\n",
    }
    for kind, text in shapes.items():
        assert sniff(write(tmp_path, kind, text)) == kind


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("gtf", "1\tx\tgene\n", "line 1 has 3 fields, where GTF and GFF3 have 9"),
        ("hgnc", "a\tb\n1\t2\n", "no column for symbols"),
        ("uniprot-fasta", ">nonsense\nMA\n", "is no header of UniProt"),
        ("uniprot-fasta", "MA\n", "no line that begins with '>'|is no header"),
        ("uniprot-tsv", "a\tb\n", "no column Entry"),
        ("genes-csv", "lonely\n", "id,symbol,version,length,biotype"),
        ("cellmarker", "a\tb\n1\t2\n", "no column marker"),
        ("icd", "nothing\n", "no line with a code"),
        ("cellosaurus", "nothing\n", "no entry with ID and AC"),
        ("ensembl-species", "a\tb\n", "no column taxonomy_id"),
    ],
)
def test_tables_that_are_something_else_say_what_they_lack(tmp_path, kind, text, told):
    with pytest.raises(InvalidFile, match=told):
        list(read_source(write(tmp_path, "x.txt", text), kind))


def test_real_genes_of_two_species_are_imported_and_named(lake, real):
    for file, organism, count in (("homo_sapiens", "human", 78_000), ("mus_musculus", "mouse", 57_000)):
        path = real / "genes" / f"genes_{file}.csv.gz"
        assert lake.Gene.import_source("1", source="ensembl", organism=organism, path=path).added >= count
    done = human(lake, real / "genes" / "hgnc_entries_2024-07.tsv.gz", source="hgnc", enrich=True)
    assert done.enriched > 39_000
    found = lake.Gene.from_values(["CD8A", "NCRNA00181", "ENSG00000153563.16", "Y_RNA"], organism="human")
    assert [gene.symbol for gene in found] == ["CD8A", "A1BG-AS1"]
    assert len(found.ambiguous["Y_RNA"]) > 100


def test_markers_of_two_organisms_under_one_name_stay_unclear(lake):
    """The name of a marker is what identifies it, and is its own only within an organism."""
    human, mouse = (
        lake.Organism(name=name, ontology_id=taxon).save()
        for name, taxon in (("Homo sapiens", "NCBITaxon:9606"), ("Mus musculus", "NCBITaxon:10090"))
    )
    for organism in (human, mouse):
        lake.CellMarker(name="CD4", organism=organism).save(near=False)
    found = lake.CellMarker.from_values(["CD4"])
    assert (len(found), found.ambiguous) == (0, {"CD4": ["CD4", "CD4"]})
