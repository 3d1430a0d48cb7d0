from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

import lakehouse as lh


@pytest.fixture
def team(run, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    """The command line in a folder whose instance has its catalog in Postgres."""
    done = run("init", "team", "--catalog", postgres_url)
    assert done.code == 0, done.err
    return run


def test_an_instance_in_postgres_saves_and_tells_where_its_catalog_is(team, postgres_url: str):
    Path("notes.txt").write_text("one")
    assert team("save", "notes.txt", "--key", "notes.txt").code == 0
    facts = json.loads(team("info", "--json").out)
    assert facts["catalog"].startswith("schema lake_team_")
    assert facts["records"]["artifact"] == 1 and facts["bytes"]["catalog"] > 0
    assert not list(Path("team").glob("catalog*"))
    with lh.open("team", read_only=True) as again:
        assert again.Artifact.filter().count() == 1


def test_a_role_is_made_and_granted(team, postgres_url: str):
    role = "Readers of the lab"
    try:
        done = team("grant", role, "--read")
        assert done.code == 3 and "--create" in done.err
        assert team("grant", role, "--read", "--create").code == 0
        with psycopg.connect(postgres_url) as con:
            sql = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = %s AND privilege_type = %s"
            assert con.execute(sql, (role, "SELECT")).fetchall()[0][0] > 5
            assert con.execute(sql, (role, "INSERT")).fetchall() == [(0,)]
        assert team("grant", role, "--none").code == 0
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as con:
            con.execute(f'DROP ROLE IF EXISTS "{role}"')


def test_exactly_one_right_is_granted(team):
    for rights in ([], ["--read", "--write"]):
        done = team("grant", "someone", *rights)
        assert done.code == 1 and "--read, --write, --admin or --none" in done.err
    with lh.open("team") as lake, pytest.raises(lh.errors.InputError, match="did you mean 'read'"):
        lake.grant("someone", "reed")


def test_a_sqlite_catalog_has_no_roles(lake):
    done = lake("grant", "someone", "--read")
    assert done.code == 1 and "permissions" in done.err
