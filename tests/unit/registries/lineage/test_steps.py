"""Calls of flows and steps are runs: of functions, coroutines and generators, in threads and in other processes."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import multiprocessing
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import lakehouse as lh


@lh.step
def double(x, *, data=None):
    """Twice as much."""
    return 2 * x


@lh.step
def make(key):
    lh.Artifact(key.encode(), key=key).save()


@lh.step
def convert(artifact, key):
    return lh.Artifact(artifact.load() + b"!", key=key).save()


@lh.step
async def fetch(x):
    await asyncio.sleep(0)
    return double(x)


@lh.step
def count(n):
    for number in range(n):
        double(number)
        got = yield number
        if got == "stop":
            return "stopped"


@lh.step
async def stream(n):
    for number in range(n):
        yield number


@lh.step
def fail():
    raise ValueError("no")


class Model:
    @lh.step
    def fit(self, x):
        return x + 1


@lh.flow(name="pipeline")
def call(function, *args, **kwargs):
    found = function(*args, **kwargs)
    return list(found) if inspect.isgenerator(found) else found


def runs(name: str):
    return lh.Run.filter(transform__name__endswith=f"::{name}").order_by("started_at").all()


def test_steps_are_parts_of_their_flow_with_their_parameters(lake):
    assert call(double, 4) == 8
    (flow,), (step,) = lh.Run.filter(transform__name="pipeline").all(), runs("double")
    assert (step.run, flow.run, step.outcome, flow.outcome) == (flow.uid, None, "finished", "finished")
    assert step.params == {"x": 4, "data": None}
    transform = lh.Transform.get(step.transform)
    assert (transform.kind, transform.description) == ("function", "Twice as much.")
    assert lh.Transform.get(flow.transform).kind == "pipeline"
    assert b"def double(x" in lh.Artifact.get(transform.source).load()


def test_what_a_step_reads_and_saves_is_its_own(lake):
    raw = lh.Artifact(b"raw", key="raw.txt").save()
    made = call(convert, raw, "made.txt")
    (step,) = runs("convert")
    assert made.run == step.uid
    assert lh.Run.filter(inputs=raw).one() == step
    assert step.params["artifact"] == f"artifact {raw.uid}"


def test_a_step_that_fails_says_so_and_its_error_is_raised(lake):
    with pytest.raises(ValueError, match="no"):
        call(fail)
    assert [run.outcome for run in lh.Run.filter()] == ["failed", "failed"]
    assert "ValueError: no" in runs("fail")[0].error


def test_coroutines_and_generators_are_runs_for_as_long_as_they_go_on(lake):
    assert inspect.iscoroutinefunction(fetch) or asyncio.iscoroutinefunction(fetch)

    async def all_of_them():
        found = await asyncio.gather(*(fetch(x) for x in range(3)))
        return found, [item async for item in stream(3)]

    assert asyncio.run(all_of_them()) == ([0, 2, 4], [0, 1, 2])
    fetches = {run.uid for run in runs("fetch")}
    assert {run.run for run in runs("double")} == fetches and len(fetches) == 3
    assert [run.outcome for run in runs("stream")] == ["finished"]


def test_between_the_values_of_a_generator_the_caller_is_on_its_own(lake):
    going = count(5)
    assert next(going) == 0
    outside = lh.Artifact(b"1", key="a.txt").save()
    assert next(going) == 1
    with pytest.raises(StopIteration, match="stopped"):
        going.send("stop")
    (generator,) = runs("count")
    assert outside.run is None
    assert {run.run for run in runs("double")} == {generator.uid}
    left = count(3)
    next(left)
    left.close()
    assert [run.outcome for run in runs("count")] == ["finished", "finished"]


def test_methods_keep_their_object_and_wrong_calls_their_error(lake):
    assert Model().fit(2) == 3
    assert runs("Model.fit")[0].params == {"x": 2}
    with pytest.raises(TypeError, match="missing 1 required"):
        double()
    assert [run.outcome for run in runs("double")] == ["failed"]
    assert double.__name__ == "double" and copy.copy(double)(2) == 4


def test_steps_in_threads_are_parts_of_the_flow_that_started_them(lake):
    def in_threads():
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(double, range(8)))

    with lh.track("script") as script:
        assert call(in_threads) == [2 * x for x in range(8)]
        flow = lh.Run.filter(transform__name="pipeline").one()
        thread = threading.Thread(target=make, args=("thread.txt",))
        thread.start()
        thread.join()
    assert {run.run for run in runs("double")} == {flow.uid}
    assert flow.run == script.uid
    assert runs("make")[0].run == script.uid


def in_processes(method: str):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        return list(pool.map(make, [f"{method}/{n}.txt" for n in range(3)]))


def test_steps_in_spawned_processes_are_parts_of_the_flow_that_sent_them(lake):
    call(in_processes, "spawn")
    flow = lh.Run.filter(transform__name="pipeline").one()
    assert [(run.run, run.outcome) for run in runs("make")] == [(flow.uid, "finished")] * 3
    assert {artifact.run for artifact in lh.Artifact.filter(key__startswith="spawn/")} == {
        run.uid for run in runs("make")
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_step_that_is_all_of_a_forked_process_has_an_end(program):
    done = program(
        "import multiprocessing\nimport lakehouse as lh\n"
        "@lh.step\ndef part(n): return lh.Artifact(b'x', key=f'{n}.txt').save()\n"
        "@lh.flow\ndef whole():\n"
        "    part(0)\n"
        "    for method in ('fork', 'spawn'):\n"
        "        one = multiprocessing.get_context(method).Process(target=part, args=(method,))\n"
        "        one.start(); one.join()\n"
        "if __name__ == '__main__':\n    lh.connect(); whole()\n"
    )
    assert done.returncode == 0, done.stderr
    flow = lh.Run.filter(transform__name="script.py::whole").one()
    assert [(run.run, run.outcome) for run in lh.Run.filter(transform__name="script.py::part")] == [
        (flow.uid, "finished")
    ] * 3


def test_a_thousand_steps_are_a_few_commits(lake):
    before = len(lh.snapshots())
    with lh.track("script"):
        for number in range(1_000):
            double(number)
    assert lh.Run.filter(transform__name__endswith="::double").count() == 1_000
    assert len(lh.snapshots()) - before < 100


def test_what_was_read_is_durable_with_what_is_saved(lake):
    raw = lh.Artifact(b"raw", key="raw.txt").save()
    with lh.track("script") as run:
        raw.load()
        commits = len(lh.snapshots())
        made = lh.Artifact(b"made", key="made.txt").save()
        assert len(lh.snapshots()) == commits + 1
        with lake.lake.catalog.read() as session:  # as another process sees it
            head = session.head()
        found = lake.lake.at_commit(head).lookup("run_input", "subject", [run.uid]).to_pylist()
    assert [(row["artifact"]) for row in found] == [raw.uid]
    assert made.run == run.uid


def test_a_save_that_is_refused_loses_nothing_of_what_was_read(lake):
    raw = lh.Artifact(b"raw", key="raw.txt").save()
    with lh.track("script") as run:
        raw.load()
        with pytest.raises(lh.errors.InvalidName):
            lh.ULabel(name="").save()
    assert lh.Run.filter(inputs__key="raw.txt").one() == run


def test_steps_inside_a_transaction_commit_and_roll_back_with_what_they_save(lake):
    with lh.transaction():
        make("kept.txt")
    assert (runs("make")[0].outcome, lh.Artifact.get(key="kept.txt").run) == ("finished", runs("make")[0].uid)
    with pytest.raises(RuntimeError), lh.transaction():
        make("lost.txt")
        raise RuntimeError
    with lh.batch():
        make("batched.txt")
    assert lh.Artifact.filter(key="lost.txt").count() == 0
    assert lh.Artifact.get(key="batched.txt").run in {run.uid for run in runs("make")}


def test_without_an_instance_functions_run_unrecorded_and_the_log_says_so(lake, caplog):
    lh.disconnect()

    @lh.step
    def lonely(x):
        return x

    with caplog.at_level(logging.WARNING, "lakehouse"):
        assert [lonely(1), lonely(2)] == [1, 2]
    assert caplog.text.count("are not recorded: no instance is connected") == 1
    lh.connect("lake", read_only=True)
    assert double(3) == 6


def test_what_is_no_function_is_refused(lake):
    for wrong in (7, "f", int):
        with pytest.raises(lh.errors.InputError, match="a function is accepted"):
            lh.step(wrong)
    with pytest.raises(lh.errors.InputError, match="decorate it once"):
        lh.flow(double)
