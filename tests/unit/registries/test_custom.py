"""Registries of users' own: they work as built-in ones do, and stay with the instance."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import new_class

import pytest

import lakehouse as lh
from lakehouse import plugins
from lakehouse.engine.findings import Severity
from lakehouse.errors import (
    ConfigurationError,
    Duplicate,
    InputError,
    InvalidName,
    NotFound,
    StillReferenced,
    UnknownField,
)
from registries import Instance, binding
from registries.adding import add, named, registry_called
from registries.binding import REGISTRIES
from tests.unit.registries.own import Assay, Protocol


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """An instance with two registries of its own."""
    with Instance.create(tmp_path_factory.mktemp("own") / "lake", user="ada") as home:
        home.Organism(name="human").save()
        add(home, [Assay, Protocol])
        home.Artifact(b"\0", key="a.bin").save()
        yield home


@pytest.fixture(autouse=True)
def _as_before():
    """Classes that a test declares are forgotten after it."""
    there = dict(REGISTRIES)
    yield
    REGISTRIES.clear()
    REGISTRIES.update(there)


def test_fields_references_unique_keys_and_rules_hold(own):
    human = own.Organism.get(name="human")
    assay = own.Assay(name="10x v3", cells=500, organism=human).save()
    assert own.Assay(name="10x v3").save() == assay
    assert own.Assay.get(name="10x v3").platform == "10x"
    assert own.Assay.filter(organism__name="human", cells__gte=500).one() == assay
    with pytest.raises(InputError, match=r"Assay.cells = 0 is not at least 1"):
        own.Assay(name="x", cells=0).save()
    with pytest.raises(InputError, match=r"platform = 'pacbio' is none of '10x', 'smart-seq'"):
        own.Assay(name="x", platform="pacbio").save()
    with pytest.raises(InputError, match="longer than 3"):
        own.Assay(name="x", aliases=["a", "b", "c", "d"]).save()
    with pytest.raises(InputError, match="is not at least 1"):
        own.Assay.upsert_df([{"name": "x", "cells": -1}])
    other = own.Assay(name="other").save()
    other.name = "10x v3"
    with pytest.raises(Duplicate):
        other.save()
    with pytest.raises(StillReferenced):
        human.delete()
    assert own.sql("select name, cells, platform from assay where cells is not null").fetchall() == [
        ("10x v3", 500, "10x")
    ]


def test_labels_dtypes_validation_and_hierarchies_work_as_of_built_in_ones(own):
    own.Assay(name="ATAC").save()
    root = own.Protocol(name="dissociation").save()
    own.Protocol(name="enzymatic", parent_uids=[root], synonyms=["enz"]).save()
    artifact = own.Artifact.get(key="a.bin")
    artifact.assays.add("ATAC")
    own.Feature(name="protocol", dtype="cat[Protocol]").save()
    artifact.labels.add("enzymatic", feature="protocol")
    assert own.Artifact.filter(assays__name="ATAC").one() == artifact
    assert own.Artifact.filter(protocols__descendant_of="dissociation").one() == artifact
    assert own.Assay.filter(artifacts__key="a.bin").one().name == "ATAC"
    assert artifact.labels.all() == {None: ["ATAC"], "protocol": ["enzymatic"]}
    assert own.Protocol.standardize(["enz", "dissociation"]) == ["enzymatic", "dissociation"]
    assert own.Assay.validate(["ATAC", "atac-seq"]) == [True, False]
    assert own.sql("select count(*) from protocol_ancestor").fetchall() == [(1,)]
    comments = own.sql("select comment from registry_column where registry = 'assay' and \"column\" = 'cells'")
    assert comments.fetchall() == [("Cells that it takes at least.",)]


def test_a_session_without_the_module_has_the_registry_all_the_same(own):
    own.Assay(name="multiome", cells=10).save()
    own.flush()
    code = (
        "import sys, lakehouse as lh\n"
        "lake = lh.connect(sys.argv[1], user='ben')\n"
        "assert 'own' not in ' '.join(sys.modules)\n"
        "Assay = lh.registry('assay')\n"
        "print(Assay.get(name='multiome').cells, lake.Protocol.__name__, Assay(name='late').save().platform)\n"
        "try:\n"
        "    Assay(name='bad', cells=-1).save()\n"
        "except lh.errors.InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(own.root)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["10 Protocol 10x", "Assay.cells = -1 is not at least 1"]
    assert own.Assay.get(name="late").created_by != own.Assay.get(name="multiome").created_by


def test_an_instance_without_the_registry_says_how_to_add_it_and_asks_it_nothing(own, lake):
    artifact = lake.Artifact(b"\1", key="b.bin").save()
    artifact.labels.add("x", create=True)
    assert artifact.labels.all() == {None: ["x"]}
    assert len(lake.search("x")) == 1
    with lake.transaction(serializable=True):
        assert lake.sql("select label from artifact_label").fetchall() == [("x",)]
    assert lake.sql("select count(*) from lineage_edge").fetchall() == [(0,)]
    assert not lake.check().of(Severity.HARM)
    assert lake.sql("select count(*) from registry_column where registry = 'assay'").fetchall() == [(0,)]
    lake.View(name="gadget", query="select 1 as one").save()
    with pytest.raises(InvalidName, match="a saved view is called 'gadget'"):
        add(lake, [declared("Gadget")])
    assert not hasattr(lake, "Assay")
    assert "assay" not in lake.snapshot().tables
    before = binding.set_current(lake)
    try:
        with pytest.raises(UnknownField, match=r"no registry Assay: add it with lh\.add_registry\(Assay\).*own:Assay"):
            Assay(name="x").save()
    finally:
        binding.set_current(before)
    with pytest.raises(NotFound, match="no registry 'assy'"):
        registry_called(own, "assy")


def declared(name="Thing", table=None, natural=(), carried="", unique=(), **columns):
    """Declare a class whose columns are ``type, column`` pairs."""

    def body(namespace):
        namespace["__annotations__"] = {n: lh.Column[kind] for n, (kind, _) in columns.items()}
        namespace.update({n: made for n, (_, made) in columns.items()}, __module__=__name__)

    return new_class(
        name, (lh.Record,), {"table": table, "natural": natural, "carried": carried, "unique": unique}, body
    )


def text(**options):
    return str, lh.column(doc="x", **options)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"name": "Artifact", "table": "mine"}, InvalidName, "another one is called so"),
        ({"name": "Thing", "table": "artifact"}, InvalidName, "is the table of a built-in one"),
        ({"name": "Thing", "table": "artifact_latest"}, InvalidName, "SQL has another use"),
        ({"name": "Thing", "table": "content"}, InvalidName, "SQL has another use"),
        ({"name": "Search"}, InvalidName, "SQL has another use for 'search'"),
        ({"name": "Main"}, InvalidName, "SQL has another use for 'main'"),
        ({"name": "Thing", "table": 'a"; drop'}, InvalidName, "is no name of SQL's"),
        ({"name": "Thing", "table": "x" * 64}, InvalidName, "is no name of SQL's"),
        ({"name": "thing"}, InvalidName, "a class is called by letters"),
        ({"name": "Thing", "save": text()}, InvalidName, "every record has 'save' already"),
        ({"name": "Thing", "uid": text()}, InvalidName, "every record has 'uid' already"),
        ({"name": "Thing", "a__b": text()}, InvalidName, "such as 'a_b'"),
        ({"name": "Thing", "Name": text()}, InvalidName, "such as 'name'"),
        ({"name": "Thing", "natural": ("nmae",), "name_": text()}, InvalidName, "name_"),
        ({"name": "Thing", "natural": ("nmae",), "title": text()}, ConfigurationError, "no column 'nmae'"),
        ({"name": "Thing", "natural": ("title",), "title": text()}, ConfigurationError, "only if it is unique"),
        ({"name": "Thing", "carried": "labels"}, InvalidName, "artifacts have 'labels' already"),
        ({"name": "Thing", "carried": "cell_types"}, InvalidName, "artifacts have 'cell_types' already"),
        ({"name": "Thing", "depth": (int, lh.column(doc="x", default="deep"))}, InputError, "int is accepted"),
    ],
)
def test_names_that_are_taken_and_declarations_against_themselves_are_refused(options, error, told):
    with pytest.raises(error, match=told):
        declared(**options)


def test_a_default_that_breaks_its_own_rule_and_a_pattern_without_end_are_refused():
    with pytest.raises(InputError, match="its own default -3 breaks its rule, as it is not at least 0"):
        declared(depth=(int, lh.column(doc="x", default=-3, ge=0)))
    with pytest.raises(InputError, match="contradicts itself: no value is at least 3 and at most 2"):
        declared(depth=(int, lh.column(doc="x", ge=3, le=2)))
    with pytest.raises(InputError, match="no look-ahead"):
        declared(code=text(regex="(?=a)b"))
    column = declared(code=text(regex="(a+)+")).meta.columns["code"]
    with pytest.raises(InputError, match="is no match of"):
        column.storable("a" * 5_000 + "b", "Thing")


def test_a_circle_of_references_is_refused_only_where_no_first_record_could_be(lake):
    class Hen(lh.Record):
        """Lays an egg."""

        egg: lh.Reference[str] = lh.reference("egg", doc="What it came from.")

    with pytest.raises(ConfigurationError, match=r"Hen\.egg refers to 'egg', which the instance lacks"):
        add(lake, [Hen])

    class Egg(lh.Record):
        """Is laid by a hen."""

        hen: lh.Reference[str] = lh.reference("hen", doc="Who laid it.")

    with pytest.raises(ConfigurationError, match="egg -> hen refer to one another in a circle"):
        add(lake, [Hen, Egg])
    assert "hen" not in lake.lake.schemas.names()

    class Egg(lh.Record):
        """Is laid by a hen, or was there first."""

        hen: lh.Reference[str | None] = lh.reference("hen", doc="Who laid it.", default=None)

    add(lake, [Hen, Egg])
    first = lake.Egg().save()
    hen = lake.Hen(egg=first).save()
    first.hen = hen
    first.save()
    assert lake.Egg.filter(hen__egg=first.uid).one() == first


def test_a_plug_in_is_added_by_its_name_and_loaded_again_for_its_behaviour(lake, monkeypatch):
    offer = metadata.EntryPoint("assay", "tests.unit.registries.own:Assay", plugins.REGISTRIES)
    monkeypatch.setattr(plugins, "_table", lambda group: {"assay": (offer,)} if group == plugins.REGISTRIES else {})
    was = Assay.meta
    try:
        add(lake, [named("assay")])
        assert lake.lake.schemas.current("assay").spec.declaration["origin"] == "plugin:assay"
        REGISTRIES.pop("assay")
        with Instance.open(lake.root, user="ada") as again:
            assert again.Assay.__mro__[1] is Assay
    finally:
        Assay.meta = was
    with pytest.raises(ConfigurationError, match="no installed package offers 'assy'"):
        named("assy")
    with pytest.raises(ConfigurationError, match="has no registry 'Assy'; did you mean 'Assay'"):
        named("tests.unit.registries.own:Assy")
    with pytest.raises(ConfigurationError, match="no_such_module"):
        named("no_such_module:Assay")
    with pytest.raises(InputError, match="names no class"):
        named("os;x:Assay")


def test_the_registry_of_another_instance_does_not_hide_that_of_ones_own(own, tmp_path: Path):
    other = declared("Assay", natural=("code",), carried="assays", code=text(unique=True))
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        add(lake, [other])
        lake.Assay(code="x").save()
        assert own.Assay(name="both").save().platform == "10x"
        assert lake.Assay.get(code="x").to_row()["code"] == "x"
