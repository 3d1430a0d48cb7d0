"""What was read of a large source is read once on a machine."""

from __future__ import annotations

import os

import pytest

from formats.cache import Cache
from lakehouse import config
from registries import CellType, Tissue
from registries.ontology import copies, importing, public


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """Take every file for a large one whose reading takes long; returns the files that are read, one by one."""
    found = []

    def reading(file, kind, own=importing.read_source):
        found.append(file.name)
        return own(file, kind)

    monkeypatch.setattr(importing, "read_source", reading)
    monkeypatch.setattr(copies, "_LARGE", 0)
    monkeypatch.setattr(copies, "_LONG", 0.0)
    with config.using(cache_dir=str(tmp_path / "cache")):
        yield found


def looked_at(registry, path, **given):
    """Look at a source as another process would, which remembers nothing."""
    public._kept.clear()
    return registry.public(path=path, **given)


def test_another_process_reads_a_copy_and_gets_the_same(small, reads):
    first = looked_at(CellType, small, version="1")
    again = looked_at(CellType, small, version="1")
    assert reads == ["cl.obo"]
    assert again.arrow().equals(first.arrow())
    assert again.arrow().schema.equals(first.arrow().schema, check_metadata=True)
    assert again.get("T-cell") == first.get("T-cell")


def test_what_an_import_warns_of_is_in_the_copy_as_well(lake, tmp_path, reads, caplog):
    path = tmp_path / "holes.obo"
    path.write_text(
        "format-version: 1.2\n\n[Term]\nid: CL:1\nname: one\nis_a: CL:9\n\n[Term]\nid: CL:1\nname: again\n\n"
        "[Term]\nid: CL:2\nname: two\nis_a: CL:1\n"
    )
    looked_at(CellType, path, version="1")
    done = lake.CellType.import_source(path=path, version="1")
    assert reads == ["holes.obo"]
    assert done.missing == ("CL:9",)
    assert "1 parents are not in it, such as CL:9" in caplog.text
    assert "1 entries came under an id of another" in caplog.text
    assert {one.name for one in lake.CellType.get(ontology_id="CL:2").ancestors()} == {"one"}


def test_a_file_that_changed_is_read_again(small, reads):
    assert "newone" not in looked_at(CellType, small).df()["name"].tolist()
    seen = small.stat()
    small.write_text(small.read_text().replace("name: T cell", "name: newone"))
    assert small.stat().st_size == seen.st_size
    os.utime(small, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # times that were set back tell nothing
    assert "newone" in looked_at(CellType, small).df()["name"].tolist()
    assert len(reads) == 2


def test_other_registries_and_other_code_have_copies_of_their_own(small, reads, monkeypatch):
    looked_at(CellType, small, source="mine")
    looked_at(Tissue, small, source="mine")
    assert len(reads) == 2
    monkeypatch.setattr(copies, "_code", lambda: "another version")
    looked_at(CellType, small, source="mine")
    assert len(reads) == 3


def test_a_copy_with_another_bit_anywhere_is_not_believed(small, reads):
    wanted = looked_at(CellType, small).arrow()
    (copy,) = (path for path in Cache().folder.rglob("*.rows"))
    data = copy.read_bytes()
    for place in range(0, len(data), 97):
        copy.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert looked_at(CellType, small).arrow().equals(wanted)
        copy = next(Cache().folder.rglob("*.rows"))  # it was made anew


def test_a_full_or_foreign_cache_is_no_reason_to_fail(small, reads, monkeypatch):
    looked_at(CellType, small)

    def refused(*_given, **_named):
        raise PermissionError(1, "not yours")

    with monkeypatch.context() as patched:
        patched.setattr(os, "utime", refused)  # the copy is another user's, and may be read
        assert len(looked_at(CellType, small)) == 5
    assert len(reads) == 1

    def full(*_given, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "_write", full)
    assert looked_at(CellType, small, source="other").arrow().num_rows
    assert len(reads) == 2


@pytest.mark.parametrize("damage", [b"", b"ARROW1 and no more", None])
def test_a_copy_that_is_damaged_or_gone_costs_reading_again(small, reads, damage):
    looked_at(CellType, small)
    (copy,) = (path for path in Cache().folder.rglob("*.rows"))
    if damage is None:
        copy.unlink()
    else:
        copy.write_bytes(damage)
    assert len(looked_at(CellType, small)) == 5
    assert len(looked_at(CellType, small)) == 5
    assert len(reads) == 2


def test_a_cache_that_cannot_be_written_is_no_hindrance(small, reads, tmp_path):
    (tmp_path / "file").write_text("")
    with config.using(cache_dir=str(tmp_path / "file" / "below")):
        assert len(looked_at(CellType, small)) == 5
        assert len(looked_at(CellType, small)) == 5
    assert len(reads) == 2


def test_small_files_and_such_that_are_read_at_once_leave_no_copy(small, reads, monkeypatch):
    monkeypatch.setattr(copies, "_LONG", 1e9)
    looked_at(CellType, small)
    monkeypatch.setattr(copies, "_LONG", 0.0)
    monkeypatch.setattr(copies, "_LARGE", 1 << 30)
    looked_at(CellType, small)
    assert not list(Cache().folder.rglob("*.rows"))
