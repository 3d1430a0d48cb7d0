"""What must not harm the command line: hostile arguments end in one error line, with nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MEGABYTE = "x" * 1_000_000
HOSTILE = {
    "sql": "'; DROP TABLE ulabel;--",
    "right to left": "a\u202egpj.exe",
    "no utf8": os.fsdecode(b"caf\xe9"),
    "half a pair": "\ud800",
    "newline": "a\nb",
    "empty": "",
    "megabyte": MEGABYTE,
    "climbing": "../x",
}
ENTRANCES = {
    "describe": ["describe", "{}"],
    "ls --registry": ["ls", "--registry", "{}"],
    "ls --label": ["ls", "--label", "{}"],
    "sql": ["sql", "{}"],
    "sql --at": ["sql", "select 1", "--at", "{}"],
    "connect": ["connect", "{}"],
    "--instance": ["info", "--instance", "{}"],
    "save": ["save", "{}"],
    "save --label": ["save", "penguins.csv", "--label", "{}"],
    "save --format": ["save", "penguins.csv", "--format", "{}"],
    "unknown command": ["x{}"],
    "unknown option": ["ls", "--x{}"],
}


def commits(lake) -> int:
    return len(lake("snapshots", "--json").document)


def given(arguments: list[str], text: str) -> list[str]:
    return [argument.replace("{}", text) for argument in arguments]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=ENTRANCES)
def test_a_hostile_argument_is_refused_in_one_short_error_with_nothing_written(lake, entrance, text):
    if entrance[0] in ("connect", "info") and text in ("", "../x"):
        pytest.skip("these name the working folder or one above it")
    before, there = commits(lake), sorted(Path.cwd().iterdir())
    done = lake(*given(entrance, text))
    assert done.code in (1, 2, 3), done.err[:300]
    assert not done.out
    assert "unexpected" not in done.err
    assert "Traceback" not in done.err
    assert len(done.err) < 5_000
    assert "\u202e" not in done.err
    assert commits(lake) == before
    assert sorted(Path.cwd().iterdir()) == there


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "entrance",
    [["ls", "--search", "{}"], ["ls", "--suffix", "{}"], ["sql", "select ? as v", "--param", "{}"]],
    ids=["search", "suffix", "param"],
)
def test_a_hostile_value_is_looked_for_or_refused(lake, entrance, text):
    done = lake(*given(entrance, text))
    assert done.code in (0, 1), done.err[:300]
    assert "unexpected" not in done.err
    assert "\u202e" not in done.out + done.err


@pytest.mark.parametrize("option", ["--key", "--description", "--label"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_saved_under_a_hostile_text_is_refused_or_shown_escaped(lake, option, text):
    Path("new").write_bytes(b"1")
    before = commits(lake)
    done = lake("save", "new", option, text, "--create-labels")
    assert done.code in (0, 1), done.err[:300]
    assert commits(lake) == before + (done.code == 0)
    assert "unexpected" not in done.err
    assert "\u202e" not in done.out + done.err


@pytest.mark.parametrize("number", [str(2**63), str(2**200), "9" * 5_000, "1e3", "nan", "-1", "٣x"])
@pytest.mark.parametrize(
    "entrance",
    [["ls", "--limit"], ["snapshots", "--limit"], ["sql", "from artifact", "--limit"], ["sql", "select 1", "--at"]],
)
def test_numbers_that_are_none_or_too_large_are_refused(lake, entrance, number):
    done = lake(*entrance, number)
    assert done.code in (1, 2), done.out[:300]
    assert "unexpected" not in done.err
    assert len(done.err) < 12_000


SECRET = [
    "s3://key:SECRET@bucket/x",
    "https://b.s3.amazonaws.com/x?X-Amz-Signature=SECRET",
    "postgresql://ada:SECRET@host/db",
]


@pytest.mark.parametrize("url", SECRET)
@pytest.mark.parametrize(
    "entrance",
    [
        ["save", "{}"],
        ["init", "{}"],
        ["connect", "{}"],
        ["info", "--instance", "{}"],
        ["init", "new", "--catalog", "{}"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("flag", ["--json", "--verbose"])
def test_a_secret_in_a_url_is_not_shown_and_not_written(lake, entrance, url, flag):
    done = lake(*given(entrance, url), flag)
    assert done.code in (1, 3, 4)  # 4: the database's host cannot be reached
    # --verbose shows lines of source code as well, and none of them may have the argument
    assert "SECRET" not in done.out + done.err
    assert not [path for path in Path.cwd().rglob("*") if "SECRET" in str(path)]
