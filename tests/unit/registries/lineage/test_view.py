"""Lineage is seen and asked: pictures, trees, exports, look-ups and SQL."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import polars as pl
import pytest

import lakehouse as lh
from registries.lineage.collapse import collapsed
from registries.lineage.graph import Graph, Node
from registries.lineage.layout import HEIGHT, WIDTH, laid_out
from registries.lineage.network import Edge


@lh.step
def clean(raw):
    return lh.Artifact(raw.load() + b" clean", key=raw.key.replace("raw", "clean")).save()


@pytest.fixture
def study(lake):
    """Twenty files, cleaned one by one, merged, and used by a model; a run that failed."""
    with lh.track("download"):
        raw = lh.save([lh.Artifact(str(n).encode(), key=f"raw/{n}.txt") for n in range(20)])
    with lh.track("clean"):
        cleaned = [clean(one) for one in raw]
    with lh.track("merge"):
        for one in cleaned:
            one.load()
        merged = lh.Artifact(b"merged", key="merged.txt").save()
    with pytest.raises(ValueError, match="plot"), lh.track("plots"):
        merged.open().close()
        raise ValueError("no plot")
    with lh.track("model", params={"depth": 3}):
        merged.stage()
        lh.Artifact(b"model", key="model.bin").save()
    return merged


def titles(view) -> set[str]:
    return {node.title for node in view.graph.nodes.values()}


def test_large_fan_outs_are_one_group_and_the_tree_reads_from_the_artifact_on(study):
    view = study.view_lineage()
    assert len(view.whole.nodes) == 1 + 20 + 20 + 20 + 1 + 1 + 1 + 1 + 1
    assert len(view.graph.nodes) == 9
    text = str(view)
    assert text.startswith("merged.txt (version 0, 6 bytes)\n  came from:\n  └─ run merge (version 1, finished)")
    assert "20 artifacts: clean/….txt" in text and "20 artifacts: raw/….txt" in text
    assert "run plots (version 1, failed)" in text and "model.bin" in text
    assert len(study.view_lineage(collapse=False).graph.nodes) == len(view.whole.nodes)


def test_direction_and_depth_say_what_is_followed(study):
    assert titles(study.view_lineage(direction="downstream")) == {"merged.txt", "model", "plots", "model.bin"}
    near = study.view_lineage(direction="upstream", depth=1)
    assert titles(near) == {"merged.txt", "merge"} and near.graph.is_cut
    assert "there is more" in str(near)
    assert not study.view_lineage(direction="downstream", depth=3).graph.is_cut
    for wrong in ({"direction": "sideways"}, {"depth": 0}, {"depth": True}, {"depth": 1.5}):
        with pytest.raises(lh.errors.InputError):
            study.view_lineage(**wrong)


def test_runs_and_transforms_have_a_lineage_too(study):
    run = lh.Run.get(study.run)
    assert titles(run.view_lineage(depth=1)) >= {"merge", "merged.txt"}
    assert "merge" in str(lh.Transform.get(run.transform).view_lineage(depth=1))
    with pytest.raises(lh.errors.InputError, match="not saved"):
        lh.Artifact(b"1", key="x").view_lineage()


def test_every_export_holds_the_graph_and_escapes_what_names_hold(study, tmp_path):
    with lh.track('evil"] --> x; <script>alert(1)</script>'):
        study.load()
    view = study.view_lineage()
    picture = ET.fromstring(view.svg)
    assert len(picture.findall("{http://www.w3.org/2000/svg}g")) == len(view.graph.nodes)
    assert "<script>alert" not in view.html and "<script>alert" not in view._repr_html_()
    assert '\\"] --> x' in view.dot
    assert "#34;#93; --#62; x" in view.mermaid
    found = json.loads(view.to_text("json"))
    assert {node["uid"] for node in found["nodes"]} == set(view.graph.nodes)
    assert found["roots"] == [study.uid]
    for suffix in ("svg", "html", "mmd", "dot", "json", "txt"):
        assert view.save(tmp_path / f"lineage.{suffix}").stat().st_size > 100
    with pytest.raises(lh.errors.InputError, match="pass format"):
        view.save(tmp_path / "lineage.png")
    with pytest.raises(lh.errors.InputError, match="did you mean 'svg'"):
        view.to_text("svgg")


def test_no_two_boxes_overlap_and_data_goes_from_left_to_right(study):
    graph = study.view_lineage(collapse=False).graph
    layout = laid_out(graph)
    places = sorted(layout.places.values())
    for at, (x, y) in enumerate(places):
        for x2, y2 in places[at + 1 :]:
            assert abs(x - x2) >= WIDTH or abs(y - y2) >= HEIGHT
    for edge in graph.edges:
        assert layout.places[edge.source][0] < layout.places[edge.target][0]


def test_look_ups_find_what_came_before_and_after(study):
    model = lh.Artifact.get(key="model.bin")
    assert lh.Artifact.filter(upstream_of=model).count() == 41
    assert lh.Artifact.filter(upstream_of="model.bin", key__startswith="raw/").count() == 20
    assert {a.key for a in lh.Artifact.filter(downstream_of="raw/3.txt")} == {"clean/3.txt", "merged.txt", "model.bin"}
    assert lh.Run.filter(upstream_of=study, transform__name="download").count() == 1
    assert lh.Artifact.filter(read_by__transform__name="model").one() == study
    assert lh.Run.filter(outputs=model).one().params == {"depth": 3}
    assert lh.Artifact.filter(key__startswith="clean/").exclude(downstream_of="raw/3.txt").count() == 19
    with pytest.raises(lh.errors.RecordNotFound, match=r"did you mean 'model\.bin'"):
        lh.Artifact.filter(upstream_of="model.bim").all()
    with pytest.raises(lh.errors.InputError):
        lh.Artifact.filter(upstream_of=7).all()


def test_what_a_version_of_code_made_is_found_with_what_its_steps_made_and_what_it_made_again(study):
    code = lh.Transform.get(name="clean")
    assert lh.Artifact.filter(run__transform=code).count() == 0
    assert lh.Artifact.filter(made_by=code).count() == 20
    with lh.track("again") as run:
        lh.Artifact(b"model", key="model.bin").save()
    assert [a.key for a in lh.Artifact.filter(made_by=run)] == ["model.bin"]
    assert lh.Artifact.filter(made_by=run.transform, key__startswith="raw").count() == 0
    with pytest.raises(lh.errors.InputError, match="a transform, a run"):
        lh.Artifact.filter(made_by="clean").all()


def test_macros_of_sql_follow_the_edges(study):
    model = lh.Artifact.get(key="model.bin")
    above = lh.sql("select type, count(*) from ancestors(?) group by 1 order by 1", [model.uid]).fetchall()
    assert above == [("artifact", 41), ("run", 23)]
    assert lh.sql("select count(*) from descendants(?)", [study.uid]).fetchall() == [(3,)]


def test_events_of_a_run_come_back_as_that_run(study):
    run = lh.Run.get(study.run)
    events = run.to_openlineage()
    assert [(event["eventType"], len(event["inputs"])) for event in events] == [("START", 0), ("COMPLETE", 20)]
    before = lh.Run.filter().count()
    assert lh.Run.from_openlineage(events).runs == (run.uid,)
    assert lh.Run.filter().count() == before


def test_sql_sees_the_edges(study):
    found = lh.sql("select kind, count(*) from lineage_edge group by 1 order by 1").fetchall()
    assert found == [("input", 42), ("output", 42), ("step", 20)]


def test_inputs_and_outputs_are_added_by_hand_and_content_made_again_is_an_output(study):
    reference = lh.Artifact(b"reference", key="reference.txt").save()
    with lh.track("by hand") as run:
        again = lh.Artifact(b"merged", key="merged.txt").save()
        run.inputs.add([reference, reference])
    run.outputs.add(lh.Artifact.get(key="model.bin"))
    assert again == study and again.run != run.uid
    assert [a.key for a in run.inputs] == ["reference.txt"]
    assert {a.key for a in run.outputs} == {"merged.txt", "model.bin"} and len(run.outputs) == 2
    assert lh.Artifact.filter(recreated_by=run, key="merged.txt").one() == study
    assert ("re-created", "run by hand") in {
        (edge.kind, f"run {node.title}")
        for view in [study.view_lineage()]
        for edge in view.whole.edges
        for node in [view.whole.nodes[edge.source]]
    }
    with pytest.raises(lh.errors.InputError, match="saved artifacts"):
        run.inputs.add("reference.txt")


def test_a_circle_through_re_creation_ends(lake):
    first = lh.Artifact(b"1", key="first.txt").save()
    with lh.track("forth"):
        first.load()
        second = lh.Artifact(b"2", key="second.txt").save()
    with lh.track("back"):
        second.load()
        lh.Artifact(b"1", key="first.txt").save()
    view = first.view_lineage()
    assert len(view.graph.nodes) == 4 and view.svg and str(view)
    assert lh.Artifact.filter(upstream_of=first).one() == second
    assert lh.sql("select count(*) from lineage_edge").fetchall() == [(4,)]


def test_what_is_deleted_for_good_stays_in_the_lineage_of_what_came_of_it(lake):
    gone = lh.Artifact(b"private", key="private.txt").save()
    with lh.track("use"):
        gone.load()
        made = lh.Artifact(b"made", key="made.txt").save()
    gone.delete(permanent=True)
    assert f"deleted {gone.uid}" in str(made.view_lineage())
    assert lh.Run.get(made.run).inputs.all() == []


def test_a_dataset_is_shown_with_its_members_and_what_they_came_from(study):
    dataset = lh.Dataset(lh.Artifact.filter(key__startswith="clean/"), name="all of it").save()
    view = dataset.view_lineage()
    assert str(view).startswith("all of it (dataset, version 0, 20 members)")
    assert {"download", "20 artifacts: clean/….txt", "all of it"} <= titles(view)
    with lh.track("tables"):
        tables = lh.Dataset([pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], name="tables").save()
    with lh.track("training") as run:
        assert tables.load()["a"].tolist() == [1, 2]
    assert len(run.inputs) == 2
    assert {"tables", "training"} <= titles(tables.view_lineage())
    assert "tables" in "".join(ET.fromstring(tables.view_lineage().svg).itertext())
    assert "dataset, version 0, 2 members" in tables.view_lineage().html


def test_look_ups_begin_at_datasets_and_transforms_too(study):
    cleaned = lh.Dataset(lh.Artifact.filter(key__startswith="clean/"), name="cleaned").save()
    assert lh.Artifact.filter(upstream_of=cleaned).count() == 20 + 20
    assert {one.key for one in lh.Artifact.filter(downstream_of=cleaned)} == {"merged.txt", "model.bin"}
    merge = lh.Transform.filter(name="merge").one()
    for code in (merge, merge.uid):
        assert {one.key for one in lh.Artifact.filter(downstream_of=code)} == {"merged.txt", "model.bin"}
        assert lh.Artifact.filter(upstream_of=code).count() == 20 + 20
    with pytest.raises(lh.errors.InputError, match="is a dataset: pass the record"):
        lh.Artifact.filter(upstream_of=cleaned.uid).count()


def test_sql_reaches_what_look_ups_reach_from_whatever_it_begins_at(lake, study):
    cleaned = lh.Dataset(lh.Artifact.filter(key__startswith="clean/1"), name="cleaned").save()
    grown = cleaned.append(study)
    lh.Artifact.get(key="clean/3.txt").delete()  # what came of it came of it still
    merge, model = lh.Transform.get(name="merge"), lh.Artifact.get(key="model.bin")

    def reached(function, one):
        found = lh.sql(f"select uid, type from {function}(?)", [one.uid]).fetchall()
        assert len(found) == len(set(found))
        return {uid for uid, kind in found if kind != "dataset"}, {uid for uid, kind in found if kind == "dataset"}

    for one in (study, model, merge, lh.Run.get(study.run), cleaned, grown):
        for function, lookup in (("ancestors", "upstream_of"), ("descendants", "downstream_of")):
            wanted = [registry.filter(**{lookup: one}).with_trash.all() for registry in (lh.Artifact, lh.Run)]
            assert reached(function, one)[0] == {found.uid for found in wanted[0] + wanted[1]}, (function, one)
    seen = grown.view_lineage(direction="upstream", collapse=False).to_dict()
    assert {node["uid"] for node in seen["nodes"]} == reached("ancestors", grown)[0] | {grown.uid}
    raw = lh.Artifact.get(key="raw/10.txt")
    assert reached("descendants", raw)[1] == {uid for uid, _ in raw.withdrawal().datasets} == {cleaned.uid, grown.uid}
    assert reached("descendants", study)[1] == {grown.uid}
    members = lh.sql("select count(*) from lineage_edge where kind = 'member' and target = ?", [grown.uid])
    assert members.fetchall() == [(12,)]


def test_the_recipe_of_a_dataset_is_that_of_its_members_and_of_a_transform_that_of_its_newest_run(study):
    both = lh.Dataset([study, lh.Artifact.get(key="model.bin")], name="both").save()
    recipe = both.recipe()
    assert recipe.title == "dataset both, version 0"
    assert [work.transform for work in recipe.works] == ["merge", "model"]
    assert both.recipe(deep=True).works[0].transform == "download"
    with lh.track("model", params={"depth": 4}):
        study.load()
    code = lh.Transform.filter(name="model").one()
    assert [work.parameters for work in code.recipe().works] == [{"depth": 4}]


def test_a_withdrawal_names_the_datasets_that_would_break(study):
    raw = lh.Artifact.get(key="raw/3.txt")
    lh.Dataset([lh.Artifact.get(key="raw/4.txt")], name="other").save()
    grown = lh.Dataset([lh.Artifact.get(key="clean/4.txt")], name="grown").save().append(study)
    grown.append(raw)
    told = raw.withdrawal()
    assert [name for _, name in told.datasets] == ["grown version 1", "grown version 2"]
    assert "grown version 1" in str(told) and told.to_dict()["datasets"][0]["uid"] == grown.uid
    alone = lh.Artifact(b"alone", key="alone.txt").save()
    assert "it can be withdrawn" in str(alone.withdrawal())
    lh.Dataset([alone], name="of one").save()
    assert "of one version 0" in str(alone.withdrawal())


def test_events_that_tell_of_no_run_are_passed_over(lake):
    run = {"runId": "0176a8c2-fe01-7439-87e6-56a1a1b4029f"}
    job = {"namespace": "airflow", "name": "load"}
    at = "2026-11-01T10:00:00.123456789Z"
    told = lh.Run.from_openlineage(
        [
            {"eventTime": at, "run": run, "job": job},
            {"eventTime": at, "dataset": {"namespace": "a", "name": "b"}},
            {"eventTime": at, "job": job, "inputs": [], "outputs": []},
        ]
    )
    assert (len(told.runs), told.others, lh.Run.get(told.runs[0]).outcome) == (1, 2, None)
    for wrong in ({"eventType": "START", "eventTime": at, "job": job}, {"eventTime": at}, []):
        with pytest.raises(lh.errors.InvalidData, match="none of OpenLineage"):
            lh.Run.from_openlineage([wrong])


def test_the_details_of_a_run_name_its_parameters(study):
    details = {node.title: node.details for node in study.view_lineage().graph.nodes.values()}
    assert details["model"]["parameters"] == "depth = 3"
    assert "parameters" not in details["merge"]


def test_a_recipe_goes_back_to_the_beginning(study):
    model = lh.Artifact.get(key="model.bin")
    assert [work.transform for work in model.recipe().works] == ["model"]
    deep = model.recipe(deep=True)
    assert [work.transform.rpartition("::")[2] for work in deep.works] == [
        "download",
        *["clean"] * 20,
        "merge",
        "model",
    ]
    assert "param:   depth = 3" in str(deep)
    outside = lh.Artifact(b"x", key="outside.txt").save()
    assert "saved outside of any run" in str(outside.recipe())


def test_what_differs_between_two_artifacts_and_what_a_withdrawal_breaks_is_told(study):
    lh.Artifact(b"3 again", key="raw/3.txt").save()
    with lh.track("merge", params={"how": "other"}):
        for number in (2, 3):
            lh.Artifact.get(key=f"raw/{number}.txt").load()
        other = lh.Artifact(b"merged otherwise", key="merged.txt").save()
    told = study.compare_lineage(other)
    assert told.parameters == {"how": (None, "other")}
    assert list(told.other_version) == ["raw/3.txt"]
    assert len(told.only_first) == 38 and told.only_second == ()
    assert "nothing that is recorded" in str(study.compare_lineage(study))
    broken = lh.Artifact.filter(key="raw/3.txt").order_by("version").first().withdrawal()
    assert [key for _, key in broken.artifacts] == ["clean/3.txt", "merged.txt", "model.bin"]
    assert broken.users == ("ada",) and broken.remade == ()
    with lh.track("from elsewhere"):
        lh.Artifact(b"merged", key="merged.txt").save()
    again = study.versions[0].withdrawal()
    assert [key for _, key in again.artifacts] == ["model.bin"]
    with pytest.raises(lh.errors.InputError, match="saved artifact"):
        study.compare_lineage("merged.txt")


def many(count: int) -> Graph:
    nodes = {"root": Node("root", "artifact", "root.csv", kind="dataframe")}
    edges = []
    for number in range(count // 2):
        run, artifact = f"r{number}", f"a{number}"
        nodes[run] = Node(run, "run", f"step_{number % 3}", state="finished")
        nodes[artifact] = Node(
            artifact, "artifact", f"part/{number}.{'csv' if number % 2 else 'h5ad'}", kind="dataframe"
        )
        before = "root" if number < 100 else f"a{number // 7}"
        edges += [Edge(before, run, "input"), Edge(run, artifact, "output")]
    return Graph(("root",), nodes, tuple(edges))


def test_a_graph_of_five_thousand_nodes_becomes_a_picture_that_can_be_taken_in():
    whole = many(5_000)
    graph = collapsed(whole)
    assert len(graph.nodes) <= 80
    assert sum(
        max(1, int(n.details.get("members", "1").split()[0].replace(",", ""))) for n in graph.nodes.values()
    ) == len(whole.nodes)
    assert all(edge.source in graph.nodes and edge.target in graph.nodes for edge in graph.edges)
    laid_out(graph)
