from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse.errors import InputError, InvalidFile, MultipleFound, RecordNotFound, Unavailable
from registries import CellLine, CellType, binding
from registries.ontology.obtain import download_folder
from registries.ontology.published import choose, public_sources


def test_a_source_is_looked_at_without_an_instance(small):
    binding.set_current(None)
    entries = CellType.public(path=small, version="1")
    assert repr(entries) == "<5 entries of CellType in cl 1>"
    assert entries.get("T cell")["ontology_id"] == entries.get("T-cell")["ontology_id"] == "CL:0000084"
    assert entries.search("t lymphocyt")[0]["name"] == "T cell"  # by its synonym
    assert entries.search("lymphocyt")[0]["name"] == "lymphocyte"
    assert list(entries.df()["name"])[:2] == ["cell", "lymphocyte"]
    with pytest.raises(RecordNotFound, match="has no 'T cel'; near: 'T cell'"):
        entries.get("T cel")


def test_looking_imports_nothing(lake, small):
    lake.CellType.public(path=small)
    assert lake.CellType.filter().count() == lake.Source.filter().count() == 0


@pytest.mark.parametrize("wrap", [list, tuple, pd.Series, pd.Categorical, pl.Series, pa.array])
def test_values_bring_their_terms_with_all_that_is_above(lake, small, wrap):
    found = lake.CellType.from_values(wrap(["T cell", "T cell", "nonsense"]), path=small)
    assert (len(found), found.unknown, found[0].is_saved) == (1, ["nonsense"], False)
    assert lake.CellType.filter().count() == 0
    commits = len(lake.snapshots())
    found.save()
    assert len(lake.snapshots()) == commits + 1
    assert {one.name for one in lake.CellType.filter()} == {"cell", "lymphocyte", "T cell"}
    assert {one.name for one in found[0].ancestors()} == {"cell", "lymphocyte"}


def test_values_that_are_there_need_no_source(lake):
    mine = lake.CellType(name="my cell").save()
    found = lake.CellType.from_values(["my cell"])
    assert found.records == [mine]
    assert found.save().records == [mine]


def test_identifiers_and_clear_synonyms_are_understood(lake, small):
    found = lake.CellType.from_values(["CL:0000542", "T lymphocyte", "mature T cell"], path=small).save()
    assert [one.name for one in found] == ["lymphocyte", "T cell"]
    assert found.unknown == ["mature T cell"]  # a related synonym is no name


def test_a_synonym_of_two_terms_is_never_guessed(lake, tmp_path):
    file = tmp_path / "two.obo"
    file.write_text(
        '[Term]\nid: A:1\nname: a\nsynonym: "x" EXACT []\n\n[Term]\nid: A:2\nname: b\nsynonym: "x" EXACT []\n'
    )
    found = lake.CellType.from_values(["x"], path=file, source="a", version="1")
    assert (len(found), found.unknown, found.ambiguous) == (0, [], {"x": ["A:1", "A:2"]})
    with pytest.raises(MultipleFound, match="'x' may mean A:1, A:2"):
        lake.CellType.public(path=file, source="a", version="1").get("x")


def test_common_names_of_organisms_mean_the_species_and_others_stay_unclear(lake, tmp_path):
    path = tmp_path / "taxa.obo"
    terms = [
        ("10088", "Mus <genus>", "mouse"),
        ("10090", "Mus musculus", "mouse"),
        ("1", "One", "x"),
        ("2", "Two", "x"),
    ]
    stanzas = [
        f'[Term]\nid: NCBITaxon:{number}\nname: {name}\nsynonym: "{called}" EXACT []\n'
        for number, name, called in terms
    ]
    path.write_text("format-version: 1.2\n\n" + "\n".join(stanzas))
    found = lake.Organism.from_values(["mouse", "x"], path=path, version="1")
    assert [one.ontology_id for one in found] == ["NCBITaxon:10090"]
    assert found.ambiguous == {"x": ["NCBITaxon:1", "NCBITaxon:2"]}
    assert repr(found) == "<1 records, 1 of them new; 0 unknown: []; 1 not clear: 'x' (NCBITaxon:1 or NCBITaxon:2)>"
    assert lake.Organism.public(path=path, version="1").get("mouse")["name"] == "Mus musculus"
    lake.Organism.import_source(path=path, version="1")
    again = lake.Organism.from_values(["mouse", "x"])
    assert [one.ontology_id for one in again] == ["NCBITaxon:10090"]
    assert again[0].is_saved
    assert again.ambiguous == {"x": ["NCBITaxon:1", "NCBITaxon:2"]}


def test_identifiers_that_were_merged_into_others_are_understood(lake, small):
    for _ in ("out of the source", "out of the registry"):
        found = lake.CellType.from_values(["CL:0000804"], path=small).save()
        assert ([one.name for one in found], found.unknown) == (["T cell"], [])


def test_what_is_unknown_or_unclear_is_told_with_where_it_was_sought(lake, small, caplog):
    text = '\n[Term]\nid: CL:1\nname: other\nsynonym: "T-cell" EXACT []\n'
    small.write_text(small.read_text() + text)
    lake.CellType.from_values(["T-cell", "nonsense"], path=small)
    assert "1 values of CellType are neither known to the registry nor to cl cl: ['nonsense']" in caplog.text
    assert "give identifiers: 'T-cell' may be CL:0000084, CL:1" in caplog.text


@pytest.mark.parametrize(
    "bad", [{"version": 2026}, {"source": b"cl"}, {"organism": 9606}, {"path": 3}, {"format": ["obo"]}]
)
def test_options_that_are_no_text_are_refused(lake, bad):
    with pytest.raises(InputError, match=f"^{next(iter(bad))}="):
        lake.CellType.import_source(**bad)


def test_versions_of_one_source_have_urls_of_their_own():
    known = [one for one in public_sources("Tissue") if one.source == "fbbt"]
    assert all(one.version in one.url for one in known)
    assert len({one.url for one in known}) == len(known) > 1


@pytest.mark.parametrize("bad", ["T cell", b"x", 3, [3], [["x"]]])
def test_what_is_no_list_of_texts_is_refused(lake, bad):
    with pytest.raises((InputError, TypeError)):
        lake.CellType.from_values(bad)


def test_what_cannot_be_had_is_told_with_the_other_ways(lake, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    source = lake.Source(
        entity="CellLine", name="nowhere", version="1", url="http://127.0.0.1:9/x.obo", pinned=True
    ).save()
    with pytest.raises(Unavailable) as caught:
        lake.CellLine.import_source(source=source.name)
    text = str(caught.value)
    assert "nowhere 1 is not on this machine" in text
    assert "pip package" in text
    assert "import_source(path=...)" in text
    assert f"x.obo put into {tmp_path}" in text


def test_a_file_put_into_the_folder_of_downloads_is_found(lake, monkeypatch, tmp_path, real):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    source = choose("CellLine", name="depmap", version="25Q3")
    folder = download_folder(source)
    folder.mkdir(parents=True)
    (folder / "depmap.obo").write_bytes((real / "obo" / "depmap_25Q3.obo").read_bytes())
    assert CellLine.public(source="depmap", version="25Q3").source == source
    assert lake.CellLine.import_source("25Q3", source="depmap").added == 1814


def test_a_file_whose_checksum_differs_is_refused(lake, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    folder = download_folder(choose("CellLine", name="depmap", version="25Q3"))
    folder.mkdir(parents=True)
    (folder / "depmap.obo").write_text("[Term]\nid: depmap:1\nname: x\n")
    with pytest.raises(InvalidFile, match=r"is known by c2f95103.*cut off"):
        lake.CellLine.import_source("25Q3", source="depmap")
    assert lake.CellLine.filter().count() == 0


def test_pinned_versions_are_used_where_none_is_named(lake, small):
    first = lake.Source(entity="CellType", name="mine", version="1", url=str(small), prefix="CL").pin()
    assert lake.CellType.import_source().source == "mine 1"
    second = lake.Source(entity="CellType", name="mine", version="2", url=str(small), prefix="CL").pin()
    assert lake.CellType.public().source.version == "2"
    assert [one.version for one in lake.Source.filter(pinned=True)] == [second.version]
    first = lake.Source.get(first.uid).pin()
    assert lake.CellType.public().source.version == first.version


def test_the_installed_package_is_read_without_a_network(lake):
    pytest.importorskip("cellxgene_ontology_guide.data", reason="the package cellxgene-ontology-guide is not installed")
    done = lake.CellType.import_source()
    assert done.source.startswith("cl 20")
    assert done.added > 3_000
    found = lake.Tissue.from_values(["lung", "UBERON:0002107"]).save()
    assert [one.name for one in found] == ["lung", "liver"]
    assert lake.Tissue.filter(descendant_of="lung").count() == 1
    assert found[0].ancestors().count() > 10


def test_a_download_is_checked_kept_and_taken_up_without_the_server(lake, small, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "cl.obo").write_bytes(small.read_bytes())
    with served(folder) as url:
        lake.Source(entity="CellType", name="mine", version="1", url=f"{url}/cl.obo", prefix="CL").pin()
        lake.Source(entity="CellType", name="bad", version="1", url=f"{url}/cl.obo", checksum="0" * 64).save()
        seen = []
        assert (
            lake.CellType.import_source(source="mine", progress=lambda done, total: seen.append((done, total))).added
            == 5
        )
        assert seen[-1] == (small.stat().st_size, small.stat().st_size)
        with pytest.raises(InvalidFile, match=r"^'http.*it is another version.*Nothing of it is kept"):
            lake.CellType.public(source="bad")
    assert len(lake.CellType.public(source="mine")) == 5
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_path_may_be_a_url_and_two_of_one_name_are_two_files(lake, small, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    for name, text in (("a", small.read_text()), ("b", "[Term]\nid: CL:7\nname: another\n")):
        (folder / name).mkdir(parents=True)
        (folder / name / "cl.obo").write_text(text)
    with served(folder) as url:
        assert len(lake.CellType.public(path=f"{url}/a/cl.obo")) == 5
        assert len(lake.CellType.public(path=f"{url}/b/cl.obo")) == 1
    assert lake.CellType.import_source("1", path=f"{url}/b/cl.obo").added == 1  # kept since
    assert lake.Source.get(version="1").url == f"{url}/b/cl.obo"


@pytest.mark.parametrize("url", ["https://u:p@x.org/cl.obo", "https://x.org/cl.obo?X-Amz-Signature=abc"])
def test_urls_that_hold_secrets_are_refused_and_not_repeated(lake, url):
    for act in (
        lambda: lake.Source(entity="CellType", name="mine", version="1", url=url).save(),
        lambda: lake.CellType.public(path=url),
    ):
        with pytest.raises(InputError, match=r"Source\.url holds") as caught:
            act()
        assert "abc" not in str(caught.value)


def test_half_a_download_is_no_file(lake, small, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    with served(small.parent, cut=100) as url:
        lake.Source(entity="CellType", name="mine", version="1", url=f"{url}/{small.name}", prefix="CL").pin()
        with pytest.raises(Unavailable, match="mine 1 is not on this machine and cannot be downloaded"):
            lake.CellType.import_source(source="mine")
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert lake.CellType.filter().count() == 0


@contextmanager
def served(folder, cut=None):
    """A web server for a folder; with ``cut`` it breaks off after so many bytes."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def copyfile(self, source, outputfile):
            outputfile.write(source.read(cut) if cut else source.read())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_file_url_names_a_file_of_this_machine(lake, small, tmp_path):
    spaced = small.rename(tmp_path / "my terms.obo")
    url = spaced.as_uri()
    assert "%20" in url
    assert lake.CellType.public(path=url, source="cl").get("T cell")["ontology_id"] == "CL:0000084"
    lake.Source(entity="CellType", name="mine", version="1", url=url, prefix="CL").save()
    assert lake.CellType.import_source(source="mine").added == 5
    with pytest.raises(RecordNotFound, match="absent"):
        lake.CellType.public(path="file:///absent.obo")
    with pytest.raises(InputError, match="this machine"):
        lake.CellType.public(path="file://host/cl.obo")
