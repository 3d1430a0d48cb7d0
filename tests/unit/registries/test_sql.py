from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from lakehouse.errors import InvalidQuery
from registries.binding import REGISTRIES
from registries.views import named_tables

FRAME = pd.DataFrame({"donor": ["a", "b"], "age": [30, 40]})


def test_content_of_tables_joins_registries_and_the_callers_own_data(lake):
    lake.Artifact(FRAME, key="samples.csv").save().labels.add("treated", create=True)
    lake.Artifact(FRAME.assign(age=FRAME.age + 1), key="more.parquet").save()
    mine = pd.DataFrame({"donor": ["b"], "site": ["x"]})
    rows = lake.sql(
        'select s.age, m.age, mine.site from content."samples.csv" s join content."more.parquet" m using (donor) '
        "join mine using (donor) where exists (select 1 from artifact_label where label = ?)",
        ["treated"],
        tables={"mine": mine},
    )
    assert rows.fetchall() == [(40, 41, "x")]


def test_content_follows_the_snapshot(lake):
    lake.Artifact(FRAME, key="samples.csv").save()
    commit = lake.snapshots()[0]
    lake.Artifact(FRAME.head(1), key="samples.csv").save()
    statement = 'with s as (from content."samples.csv") select count(*) from s'
    assert lake.sql(statement).fetchall() == [(1,)]
    assert lake.sql(statement, at=commit).fetchall() == [(2,)]


def test_views_show_latest_versions_all_versions_and_labels(lake):
    lake.Artifact(b"1", key="a.txt").save()
    lake.Artifact(b"2", key="a.txt").save().labels.add("treated", create=True)
    assert lake.sql("select version from artifact_latest").fetchall() == [(1,)]
    assert lake.sql("select count(*) from artifact_all").fetchall() == [(2,)]
    assert lake.sql("select key, label, feature from artifact_label").fetchall() == [("a.txt", "treated", None)]


def test_unknown_contents_are_named_with_the_near_ones(lake):
    lake.Artifact(FRAME, key="samples.csv").save()
    lake.Artifact(b"1", key="a.txt").save()
    with pytest.raises(InvalidQuery, match=r"did you mean 'samples\.csv'"):
        lake.sql('select * from content."sample.csv"')
    with pytest.raises(InvalidQuery, match="has no obs table"):
        lake.sql('select * from obs."samples.csv"')
    with pytest.raises(InvalidQuery, match="has no content table"):
        lake.sql('select * from content."a.txt"')


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "copy (select 1) to '/tmp/out.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "select 1; select 2",
        "drop table artifact",
        "insert into artifact values (1)",
        "selec 1",
        "",
        "select * from content.x; drop table artifact",
        "select '\ud800' from content.x",
    ],
)
def test_statements_that_reach_outside_or_change_are_refused(lake, statement):
    with pytest.raises(InvalidQuery):
        lake.sql(statement).fetchall()


def test_named_tables_reads_the_statement_without_running_it():
    assert named_tables("select 'content.x', content from artifact") == set()
    assert named_tables('select * from (select * from OBS."a b.h5ad") join var.v on true') == {
        ("obs", "a b.h5ad"),
        ("var", "v"),
    }
    assert named_tables("not sql about content") == set()


def test_queries_are_handed_in_like_frames(lake):
    lake.Artifact(b"1", key="a.txt").save()
    lake.Artifact(b"2", key="b.txt").save()
    mine = lake.Artifact.filter(key="a.txt")
    assert lake.sql("select key from mine", tables={"mine": mine}).fetchall() == [("a.txt",)]


def test_sql_tells_what_each_column_means(lake):
    rows = lake.sql("select \"column\", comment from registry_column where registry = 'ulabel'").fetchall()
    assert ("name", "Unique, in Unicode normal form C.") in rows
    undocumented = lake.sql('select registry, "column" from registry_column where length(comment) < 4').fetchall()
    assert undocumented == []


def test_sql_shows_values_of_features_by_name(lake):
    artifact = lake.Artifact(b"x", key="a.txt").save()
    lake.Feature(name="temperature", dtype="float", unit="degC").save()
    lake.Feature(name="wells", dtype="list[str]").save()
    artifact.features.add_values({"temperature": 21.5, "wells": ["A1", "B2"]})
    query = "select key, feature, value, unit from artifact_feature order by feature, position"
    assert lake.sql(query).fetchall() == [
        ("a.txt", "temperature", "21.5", "degC"),
        ("a.txt", "wells", "A1", None),
        ("a.txt", "wells", "B2", None),
    ]
    artifact.delete()
    assert lake.sql(query).fetchall() == []


def test_the_readers_of_an_instance_are_told_of_what_statements_and_records_read(lake):
    table = lake.Artifact(FRAME, key="samples.csv").save()
    old = lake.snapshots()[0]
    newer = lake.Artifact(FRAME.head(1), key="samples.csv").save()
    cells = lake.Artifact(ad.AnnData(np.ones((2, 1), "f4")), key="cells.h5ad").save()
    read = []
    lake.readers.append(lambda artifact: read.append(artifact.uid))
    lake.sql('select * from content."samples.csv" join content."samples.csv" b using (donor)', at=old)
    lake.sql('select 1 from obs."cells.h5ad", var."cells.h5ad", content."samples.csv"')
    assert read == [table.uid, newer.uid, cells.uid]
    with pytest.raises(InvalidQuery):
        lake.sql('select nothing from content."samples.csv"')
    lake.sql("select count(*) from artifact")
    table.describe()
    assert len(read) == 3, "neither what failed nor what looks at registries alone reads content"
    table.load()
    table.stage()
    table.open()
    assert read[3:] == [table.uid] * 3


def test_columns_carry_their_comments_in_sql(lake):
    told = "select comment from duckdb_columns() where table_name = ? and column_name = ?"
    for table, column in (("ulabel", "name"), ("artifact", "key"), ("artifact_ulabel", "feature")):
        assert lake.sql(told, [table, column]).fetchall() == [(REGISTRIES[table].meta.columns[column].doc,)]
