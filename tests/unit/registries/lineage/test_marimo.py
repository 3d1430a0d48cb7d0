"""Notebooks of marimo's, run by marimo itself: as scripts, and cell by cell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lakehouse as lh

pytest.importorskip("marimo", reason="`make marimo` runs these, in an environment of its own")

NOTEBOOK = """import marimo

app = marimo.App()


@app.cell
def _():
    import lakehouse as lh
    import marimo as mo

    lh.connect()
    times, set_times = mo.state(1, allow_self_loops=True)
    return lh, set_times, times


@app.cell
def _(lh, times):
    run = lh.track(params={"times": times()})
    return (run,)


@app.cell
def _(lh, run):
    made = lh.Artifact(run.uid.encode(), key="made.txt").save()
    made.view_lineage()
    return


@app.cell
def _(set_times, times):
    if times() < 3:
        set_times(times() + 1)
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def run(lake, root):
    def call(*arguments: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(root)}
        subprocess.run([sys.executable, *arguments], env=env, check=True, timeout=120, capture_output=True)

    Path("note.py").write_text(NOTEBOOK)
    return call


def test_a_notebook_run_as_a_script_is_a_notebook_with_its_command_line(run):
    run("note.py", "--n", "3")
    found = lh.Run.filter().one()
    transform = lh.Transform.get(found.transform)
    assert (transform.name, transform.kind, found.outcome) == ("note.py", "notebook", "finished")
    assert found.arguments == '["note.py", "--n", "3"]'
    assert lh.Artifact.get(key="made.txt").run == found.uid
    assert lh.Artifact.get(transform.source).load() == NOTEBOOK.encode()


def test_cells_that_are_run_again_begin_a_run_anew(run):
    run("-m", "marimo", "export", "html", "note.py", "-o", "note.html")
    found = lh.Run.filter().order_by("created_at").all()
    assert [(one.params, one.run, one.arguments) for one in found] == [
        ({"times": number}, None, None) for number in (1, 2, 3)
    ]
    # Its kernel is killed in the end, so the last one says what came of it only where it calls lh.finish().
    assert [one.status for one in found] == ["finished", "finished", "aborted"]
    assert {lh.Transform.get(one.transform).name for one in found} == {"note.py"}
    assert [one.run for one in lh.Artifact.get(key="made.txt").versions] == [one.uid for one in found]
    assert "note.py" in Path("note.html").read_text()
