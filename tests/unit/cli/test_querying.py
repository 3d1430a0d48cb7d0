from __future__ import annotations

import csv
import io
import json

import pytest

from lakehouse.cli import querying, text


def test_sql_reads_registries_and_contents(lake):
    done = lake("sql", 'select species, max(mass) as top from content."penguins.csv" group by 1 order by 1')
    assert done.out.splitlines() == ["species   top", "Adelie   3750", "Gentoo   5200"]


def test_json_is_one_document_that_keeps_every_column(lake):
    query = "select 1 as a, 2 as a, null as n, 'nan'::double as x, timestamptz '2026-01-02 03:04:05+00' as t, [1] as l"
    assert lake("sql", query, "--json").document == [
        {"a": 1, "a_2": 2, "n": None, "x": None, "t": "2026-01-02T03:04:05+00:00", "l": [1]}
    ]
    assert lake("sql", "select 1 as a where false", "--format", "json").document == []


def test_csv_holds_the_data_as_it_is(lake):
    done = lake(
        "sql", "select '=1+1' as a, '-x' as b, null as c, true as d, 'q\"x,y' || chr(10) as e", "--format", "csv"
    )
    assert list(csv.reader(io.StringIO(done.out))) == [["a", "b", "c", "d", "e"], ["=1+1", "-x", "", "true", 'q"x,y\n']]


def test_values_are_bound_by_position_and_by_name(lake):
    assert lake("sql", "select ? + 1 as n, ? as t", "--param", "2", "--param", "007", "--json").document == [
        {"n": 3, "t": "007"}
    ]
    assert lake("sql", "select $a as a, $b as b", "--param", "b=x=y", "--param", "a=true", "--json").document == [
        {"a": True, "b": "x=y"}
    ]
    wrong = lake("sql", "select $a as a", "--param", "c=1")
    assert wrong.code == 2 and "a=V" in wrong.err
    assert lake("sql", "select ? as a").code == 1


def test_a_value_never_becomes_sql(lake):
    hostile = "'; DROP TABLE artifact; --"
    assert lake("sql", "select ? as x", "--param", hostile, "--json").document == [{"x": hostile}]


def test_at_reads_an_earlier_commit(lake):
    count = "select count(*) as n from artifact"
    assert lake("sql", count, "--json", "--at", "1").document == [{"n": 0}]
    assert lake("sql", count, "--json", "--at", "2").document == [{"n": 2}]
    assert lake("sql", count, "--json", "--at", "2000-01-01").code in (0, 1)
    for wrong in ("99", "yesterday", "9" * 5000):
        assert lake("sql", count, "--at", wrong).code == 1


@pytest.mark.parametrize(
    "query",
    [
        "selct 1",
        "select 1; select 2",
        "",
        "drop table artifact",
        "select * from read_csv('/etc/passwd')",
        "copy artifact to 'x.csv'",
        "attach 'x.db'",
        "select * from nothing",
        'select * from content."nothing.csv"',
        "select cast(key as int) from artifact",
    ],
)
def test_sql_that_cannot_run_is_refused_in_one_error_with_nothing_written(lake, query):
    failed = lake("sql", query, "--json")
    assert failed.code == 1 and not failed.out
    assert json.loads(failed.err)["error"]["type"] == "InvalidQuery"


def test_long_results_are_cut_in_tables_only_and_say_so(lake):
    query = "select range as n from range(250)"
    table = lake("sql", query)
    assert len(table.out.splitlines()) == 101 and "--limit 0" in table.err
    assert len(lake("sql", query, "--limit", "0").out.splitlines()) == 251
    assert len(lake("sql", query, "--format", "csv").out.splitlines()) == 251
    assert len(lake("sql", query, "--json", "--limit", "7").document) == 7


def test_json_and_another_format_contradict_each_other(lake):
    assert lake("sql", "select 1", "--json", "--format", "csv").code == 2


def test_a_dash_reads_the_query_from_standard_input(lake, monkeypatch):
    monkeypatch.setattr(querying.sys, "stdin", io.StringIO("select 42 as x"))
    assert lake("sql", "-", "--json").document == [{"x": 42}]


def test_cells_are_escaped_in_tables_and_json(lake):
    query = "select 'a' || chr(27) || '[31m' || chr(155) || chr(10) || 'b' as x"
    assert "a\\x1b[31m\\x9b\\nb" in lake("sql", query).out
    done = lake("sql", query, "--json")
    assert not {"\x1b", "\x9b"} & set(done.out) and done.document == [{"x": "a\x1b[31m\x9b\nb"}]


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\ufeff", "\ud800"]
)
def test_no_character_that_a_terminal_obeys_stays(character):
    assert character not in text.visible(f"a{character}b", lines=True)
    assert character not in text.json_text(f"a{character}b")
    assert json.loads(text.json_text(f"a{character}b")) == f"a{character}b"


def test_letters_of_every_script_and_emoji_stay():
    word = "naïve 細胞 ניסוי تجربة 👩‍🔬"
    assert text.visible(word) == word
