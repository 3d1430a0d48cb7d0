"""A real notebook, executed in a real kernel: tracked, its source and report kept, versioned when it changes."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import lakehouse as lh
from lakehouse.cli import main
from registries.lineage.notebook import path_of

nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel are part of the extra `test`")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

CELLS = (
    "import lakehouse as lh\nlake = lh.connect()\nrun = lh.track(params={'alpha': 0.5})",
    "made = lh.Artifact(b'made', key='made.txt').save()\nmade.key",
    "lh.finish().outcome",
)


def write(name: str, *cells: str) -> object:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Analysis"), *map(nbformat.v4.new_code_cell, cells)]
    )
    nbformat.write(notebook, name)
    return notebook


def execute(notebook: object) -> None:
    try:
        nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(Path.cwd())}}).execute()
    finally:
        gc.collect()  # the client warns of its sockets when it goes: here, and not in the midst of another test


# Those are warnings of the kernel's client, about its own sockets.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_notebook_is_tracked_from_end_to_end(lake, root, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(root))
    write("other.ipynb", "1 + 1")
    notebook = write("analysis.ipynb", *CELLS)
    execute(notebook)
    first = lh.Run.filter(transform__name="analysis.ipynb").one()
    transform = lh.Transform.get(first.transform)
    assert (transform.kind, transform.version, first.outcome, first.params) == (
        "notebook",
        "1",
        "finished",
        {"alpha": 0.5},
    )
    assert lh.Artifact.get(key="made.txt").run == first.uid
    source = json.loads(lh.Artifact.get(transform.source).path.read_text())
    assert [cell["source"] for cell in source["cells"]] == ["# Analysis", *CELLS]
    assert b"made.txt" in lh.Artifact.get(first.report).path.read_bytes()

    nbformat.write(notebook, "analysis.ipynb")  # with its outputs, which are no other source
    assert main(["run", "--output", "../executed.ipynb", "analysis.ipynb"]) == 0
    lh.connect("lake")
    outer, inner = lh.Run.filter(uid__ne=first.uid).order_by("created_at")
    assert {outer.transform, inner.transform} == {transform.uid}
    assert (inner.run, inner.outcome, outer.outcome) == (outer.uid, "finished", "finished")
    report = json.loads(lh.Artifact.get(outer.report).path.read_text())
    assert ["".join(out["data"]["text/plain"]) for cell in report["cells"][2:] for out in cell["outputs"]] == [
        "'made.txt'",
        "'finished'",
    ]
    assert Path("../executed.ipynb").is_file()

    with pytest.raises(nbclient.exceptions.CellExecutionError):
        execute(write("analysis.ipynb", CELLS[0], "raise ValueError('no data')"))
    second = lh.Run.filter(transform__name="analysis.ipynb").order_by("-created_at").first()
    assert (second.outcome, lh.Transform.get(second.transform).version) == ("failed", "2")
    assert "ValueError: no data" in second.error


def test_a_notebook_without_a_name_is_tracked_all_the_same(lake, monkeypatch, caplog):
    class Shell:
        kernel, user_ns = object(), {"In": ["", "import lakehouse as lh", "lh.track()"], "Out": {2: "a run"}}
        events = type("Events", (), {"register": staticmethod(lambda name, function: None)})

    monkeypatch.setattr("registries.lineage.notebook.shell", lambda: Shell)
    run = lh.track()
    lh.finish()
    assert "the name of this notebook cannot be found: pass lh.track(path=" in caplog.text
    assert lh.Transform.get(run.transform).name == "untitled notebook"
    assert b"lh.track()" in lh.Artifact.get(run.report).path.read_bytes()


def test_the_file_of_a_notebook_is_told_by_editors_or_found_by_its_cells(lake, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    write("one.ipynb", "a = 1", "b = 2")
    write("two.ipynb", "a = 1", "b = 3")
    Path("broken.ipynb").write_text("{")

    def found(**names: object) -> object:
        return path_of(SimpleNamespace(kernel=object(), user_ns=names))

    assert found(__vsc_ipynb_file__=str(Path("two.ipynb").absolute())) == Path("two.ipynb").absolute()
    assert found(In=["", "a = 1", "b = 2  "]).name == "one.ipynb"
    assert found(In=["", "a = 1"]) is None  # it may be either
    assert found(In=["", "elsewhere"]) is None
    monkeypatch.setenv("JPY_SESSION_NAME", str(Path("one.ipynb").absolute()))
    assert found(In=[""]).name == "one.ipynb"


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_notebook_that_only_its_later_cells_tell_apart_has_its_name_at_the_end(lake, root, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    write("other.ipynb", CELLS[0], "1 + 1", CELLS[2])
    execute(write("analysis.ipynb", *CELLS))
    run = lh.Run.filter().one()
    assert lh.Transform.get(run.transform).name == "analysis.ipynb"
    assert b"made.txt" in lh.Artifact.get(lh.Transform.get(run.transform).source).path.read_bytes()
    assert lh.Artifact.get(run.report).key == "report/analysis.ipynb.html"


def test_a_script_that_a_shell_runs_is_recorded_as_that_script(lake, root):
    Path("inner.py").write_text(
        "import lakehouse as lh\nlh.track()\nlh.Artifact(b'1', key='a.txt').save()\nlh.finish()\n"
    )
    cells = "import lakehouse as lh\nlh.connect();\nlh.track();\n%run inner.py --n 3\n"
    shell = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor"]
    env = {**os.environ, "PYTHONPATH": str(root), "IPYTHONDIR": str(Path.cwd())}
    subprocess.run(shell, env=env, input=cells, text=True, check=True, timeout=120, capture_output=True)
    made = lh.Run.get(lh.Artifact.get(key="a.txt").run)
    assert (lh.Transform.get(made.transform).name, made.arguments) == ("inner.py", '["inner.py", "--n", "3"]')
    assert lh.Transform.get(lh.Run.get(made.run).transform).name == "IPython session"


def test_what_is_no_notebook_is_refused_and_leaves_no_open_run(lake):
    Path("wrong.ipynb").write_text("{}")
    assert main(["run", "wrong.ipynb"]) == 1
    lh.connect("lake")
    assert lh.Run.filter().one().outcome == "failed"
