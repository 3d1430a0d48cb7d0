"""What is particular about a catalog in Postgres: texts, schemas, who makes it, and where its folder may lie."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from lakehouse.engine import Lake, place
from lakehouse.errors import ConfigurationError, InputError, InstanceNotFound, IntegrityError, Unsupported
from tests.catalogs import CatalogFor
from tests.unit.engine.support import SPECS, add, create, label, plain, quiet, renames, uids

pytestmark = pytest.mark.catalogs("postgres")
ODD = ["a\0b", "\0", "\ud800", "x\udfff"]


# -- texts ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ODD, ids=ascii)
@pytest.mark.parametrize("where", ["message", "client_txn"])
def test_a_text_that_postgres_cannot_store_is_refused_and_nothing_is_committed(
    lake: Lake, where: str, text: str
) -> None:
    before = lake.head()
    with pytest.raises(InputError):
        txn = lake.begin(**{where: text})
        txn.insert("label", [label("a")])
        lake.commit(txn)
    assert lake.head() == before
    add(lake, "b")
    assert uids(lake) == ["b"]


def test_a_user_whose_name_postgres_cannot_store_commits_nothing(lake: Lake) -> None:
    lake.user = "a\0b"
    with pytest.raises(InputError, match="NUL"):
        add(lake, "a")
    lake.user = "ann"
    add(lake, "a")
    assert uids(lake) == ["a"]


@pytest.mark.parametrize("name", ["a\0b", "a\0c", "x" * 1_000_000, "é" * 5_000, "'; DROP TABLE meta; --", "%s ? $1"])
def test_any_name_is_unique_given_up_and_published(lake: Lake, name: str) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", name)]))
    with pytest.raises(Exception, match="already taken"):
        lake.run(lambda txn: txn.insert("label", [label("b", name)]))
    lake.flush()
    assert [row["name"] for row in plain(lake)] == [name]
    lake.run(renames("a", "another"))
    lake.run(lambda txn: txn.insert("label", [label("b", name)]))
    assert uids(lake) == ["a", "b"]


def test_a_uid_with_a_nul_character_is_published_and_found(lake: Lake) -> None:
    add(lake, "a\0b", "c")
    lake.flush()
    with Lake.open(lake.root, options=quiet()) as again:
        assert again.snapshot().get("label", "a\0b") == label("a\0b")


# -- schemas and makers --------------------------------------------------------------------------------------------
def test_lakes_of_one_database_do_not_see_one_another(make: Callable[..., Lake]) -> None:
    one, two = make("one"), make("two")
    add(one, "a")
    add(two, "b")
    assert (uids(one), uids(two)) == (["a"], ["b"])
    assert one.id != two.id


def test_the_schema_of_a_lake_is_named_by_its_root_where_none_is_given(tmp_path: Path, postgres_url: str) -> None:
    with create(tmp_path / "My lake", catalog=postgres_url) as lake:
        add(lake, "a")
        marker = json.loads((lake.root / "lake.json").read_text())
    assert marker["schema"].startswith("lake_my_lake_")
    assert marker["catalog"] == postgres_url
    with create(tmp_path / "My lake", catalog=postgres_url) as again:
        assert uids(again) == ["a"]


def test_a_schema_that_holds_another_lake_is_refused_and_neither_is_harmed(
    lake: Lake, tmp_path: Path, catalog: CatalogFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.engine.home._MARKER_WAIT", 0.1)
    add(lake, "a")
    with pytest.raises(ConfigurationError, match="schema="):
        create(tmp_path / "second", catalog=catalog(lake.root))
    assert not (tmp_path / "second" / "lake.json").exists()
    assert uids(lake) == ["a"]


def test_a_lake_whose_marker_was_lost_is_not_made_anew(
    lake: Lake, catalog: CatalogFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.engine.home._MARKER_WAIT", 0.1)
    add(lake, "a")
    kept = (lake.root / "lake.json").read_bytes()
    (lake.root / "lake.json").unlink()
    with pytest.raises(InstanceNotFound):
        Lake.open(lake.root)
    with pytest.raises(ConfigurationError, match=r"lake\.json"):
        create(lake.root, catalog=catalog(lake.root))
    (lake.root / "lake.json").write_bytes(kept)
    with Lake.open(lake.root) as again:
        assert uids(again) == ["a"]


def test_a_schema_that_was_dropped_is_said_to_be_gone(lake: Lake, postgres_url: str) -> None:
    schema = lake.catalog.address.schema  # type: ignore[attr-defined]
    with psycopg.connect(postgres_url, autocommit=True) as con:
        con.execute(f"DROP SCHEMA {schema} CASCADE")
    with pytest.raises(IntegrityError, match="backup"):
        lake.head()
    with pytest.raises(IntegrityError, match="backup"):
        Lake.open(lake.root)


def _make(arguments: tuple[str, str, int]) -> str:
    root, url, number = arguments
    with Lake.create(root, SPECS, catalog=url, options=quiet(lock_timeout=60.0)) as lake:
        add(lake, f"k{number}")
        return lake.id


def test_processes_that_make_the_same_lake_at_once_make_one(tmp_path: Path, postgres_url: str) -> None:
    root = tmp_path / "lake"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        made = pool.map(_make, [(str(root), postgres_url, number) for number in range(3)], chunksize=1)
    assert len(set(made)) == 1
    with Lake.open(root) as lake:
        assert uids(lake) == ["k0", "k1", "k2"]


def test_a_folder_on_a_network_drive_is_fine_with_postgres_and_not_with_sqlite(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {tmp_path}/nfs rw - nfs4 host:/export rw\n")
    monkeypatch.setattr(place, "_MOUNTS", mounts)
    with pytest.raises(Unsupported, match="postgresql://"):
        create(tmp_path / "nfs" / "lake")
    with create(tmp_path / "nfs" / "lake", catalog=postgres_url) as lake:
        add(lake, "a")
    with Lake.open(tmp_path / "nfs" / "lake") as again:
        assert uids(again) == ["a"]
