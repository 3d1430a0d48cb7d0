"""What may enter as a key, a suffix or a source."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from formats.keys import check_key, check_source, check_suffix, suffix_of
from lakehouse.errors import InvalidKey, NotFound

REFUSED = {
    "climbing": "../x",
    "climbing later": "a/../../x",
    "climbing and back": "a/../b",
    "absolute": "/etc/passwd",
    "home": "~/x",
    "another's home": "~root/x",
    "encoded climbing": "%2e%2e/x",
    "half encoded climbing": "a/.%2E/x",
    "twice encoded climbing": "%252e%252e/x",
    "many times encoded": "%2525252e%2525252e/x",
    "encoded slash": "a%2fb",
    "encoded backslash": "a%5cb",
    "encoded NUL": "a%00b",
    "backslash": "..\\x",
    "drive": "C:\\x",
    "drive with slash": "C:/x",
    "drive without slash": "C:x",
    "file URL": "file:///etc/passwd",
    "encoded URL": "file%3a%2f%2fx",
    "bucket": "s3://another-bucket/x",
    "metadata service": "http://169.254.169.254/",
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "line separator": "a\u2028b",
    "right-to-left override": "a\u202egpj.exe",
    "zero-width space": "a\u200bb",
    "byte order mark": "\ufeffa",
    "lone surrogate": "a\udc80b",
    "empty": "",
    "white space": "  \t",
    "leading blank": " a",
    "trailing blank": "a ",
    "blank before slash": "a /b",
    "no-break space at the end": "a\u00a0",
    "trailing slash": "a/",
    "trailing dot": "a.",
    "dot before slash": "a./b",
    "only dot": ".",
    "three dots": ".../x",
    "delta log": "artifact/_delta_log/0.json",
    "own folder": ".lakehouse/catalog.db",
    "own folder on a case-blind disk": ".LakeHouse/catalog.db",
    "1,025 bytes": "a" * 1025,
    "1,026 bytes in 513 characters": "ä" * 513,
    "a megabyte": "a" * (1 << 20),
}


@pytest.mark.parametrize("key", REFUSED.values(), ids=REFUSED)
def test_a_dangerous_key_is_refused_and_named(key: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        check_key(key)
    assert len(str(caught.value)) < 400
    assert "relative path" in str(caught.value) or "shorten" in str(caught.value)


@pytest.mark.parametrize("key", [None, 1, b"x", Path("x")])
def test_a_key_that_is_no_text_is_refused(key: object) -> None:
    with pytest.raises(InvalidKey, match="a key is a text"):
        check_key(key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "key",
    [
        "raw/pbmc.h5ad",
        "glob [1]*?{a,b}.csv",
        "100%.csv",
        "50%25 off.csv",
        "'; DROP TABLE x;--",
        'a""b',
        "日本語/データ.csv",
        "می‌خواهم.txt",
        ".hidden",
        "a..b",
        "..a/b",
        "x~",
        "time 12:30.csv",
        "a" * 1024,
        "select",
        "objects/ab",
    ],
)
def test_an_odd_but_legitimate_key_stays_as_it_is(key: str) -> None:
    assert check_key(key) == key


def test_doubled_slashes_and_dots_are_dropped() -> None:
    assert check_key("a//./b/./c") == "a/b/c"


def test_twins_in_unicode_become_one_key() -> None:
    assert check_key("e\u0301.csv") == check_key("\u00e9.csv") == "\u00e9.csv"


def test_keys_that_differ_in_case_stay_two() -> None:
    assert check_key("A.csv") != check_key("a.csv")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("x.h5ad", ".h5ad"),
        ("a/b.c/X.CSV.GZ", ".csv.gz"),
        ("reads_R1.fastq.gz", ".fastq.gz"),
        ("plate.1.gz", ".1.gz"),
        ("only.gz", ".gz"),
        ("README", ""),
        (".bashrc", ""),
        ("a.b/c", ""),
        ("Report v1.final version", ""),
        ("x." + "a" * 17, ""),
        ("x.é", ""),
        ("x.", ""),
    ],
)
def test_a_suffix_is_plain_and_short_or_none(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


@pytest.mark.parametrize("suffix", ["csv", "../x", ".a/b", ".a b", "." + "a" * 17, ".a.b", "."])
def test_a_wrong_suffix_is_refused(suffix: str) -> None:
    with pytest.raises(InvalidKey, match="suffix"):
        check_suffix(suffix)


def test_no_suffix_is_admitted() -> None:
    assert check_suffix("") == ""


def test_an_empty_file_and_a_link_to_a_file_are_sources(tmp_path: Path) -> None:
    path = tmp_path / "glob [1]*.csv"
    path.touch()
    link = tmp_path / "link"
    link.symlink_to(path)
    assert check_source(path) == path
    assert check_source(str(link)) == link


@pytest.mark.skipif(os.name == "nt", reason="Windows has no byte names")
def test_a_name_that_is_not_utf8_is_a_source(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv"))
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert check_source(path) == path
    with pytest.raises(InvalidKey):
        check_key(path.name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_pipes_sockets_devices_and_folders_are_no_sources(tmp_path: Path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidKey, match="a named pipe"):
        check_source(tmp_path / "pipe")
    with pytest.raises(InvalidKey, match="a device"):
        check_source("/dev/null")
    with pytest.raises(InvalidKey, match="a folder"):
        check_source(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path may only be short
        server.bind("socket")
        with pytest.raises(InvalidKey, match="a socket"):
            check_source("socket")


def test_a_missing_source_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.csv"):
        check_source(tmp_path / "nothing.csv")


@pytest.mark.parametrize("path", ["", "a\0b", "https://example.org/x.csv", "s3://key:SECRET@bucket/x"])
def test_what_is_no_path_is_refused_and_no_secret_shown(path: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        check_source(path)
    assert "SECRET" not in str(caught.value)
