"""Scripts, tests and sessions record themselves: the transform by its source, the run by what came of it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

import lakehouse as lh
from registries.lineage.source import of_path


def tracked(lake, path: str, **options):
    with lh.track(path=path, **options) as run:
        pass
    return lake.Transform.get(run.transform)


def test_a_run_has_parameters_process_and_environment_and_what_is_saved_belongs_to_it(lake):
    before = lh.ULabel(name="before").save()
    with lh.track("normalise", params={"alpha": 0.5, "n": 3, "on": True, "names": ["a", "b"], "none": None}) as run:
        inside = lh.Artifact(b"1", key="a.txt").save()
    after = lh.ULabel(name="after").save()
    assert (before.run, inside.run, after.run) == (None, run.uid, None)
    assert run.params == {"alpha": 0.5, "n": 3, "on": True, "names": ["a", "b"], "none": None}
    assert (run.outcome, run.status, run.finished_at >= run.started_at) == ("finished", "finished", True)
    environment = lh.Environment.get(run.environment)
    assert any(package.startswith("duckdb==") for package in environment.packages)
    assert environment.python == ".".join(map(str, sys.version_info[:3]))


def test_parameters_are_found_by_their_type(lake):
    for alpha in (1, 0.5, "high"):
        with lh.track("search", params={"alpha": alpha, "nested": {"k": 1}}):
            pass
    assert lh.Run.filter(params__alpha=1).count() == 1
    assert lh.Run.filter(params__alpha__gte=0.5).count() == 2
    assert lh.Run.filter(params__alpha="high").one().params["nested"] == {"k": 1}
    assert lh.Run.filter(params__beta__isnull=True).count() == 3
    with lh.track("other", params={"alpha": 1}):
        artifact = lh.Artifact(b"1", key="a.txt").save()
    assert lh.Artifact.filter(run__transform__name="other", run__params__alpha=1).one() == artifact
    assert lh.sql("select count(*) from run_param where name = 'alpha' and number >= 0.5").fetchall() == [(3,)]


def test_secrets_are_recorded_neither_of_parameters_nor_of_arguments_nor_of_errors(lake, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py", "--api-key", "hunter2", "--url=s3://k:hunter2@b/c", "--n", "3"])
    given = {
        "password": "hunter2",
        "db": "postgresql://ada:hunter2@host/x",
        "nested": {"token": "hunter2"},
        "key": "a.csv",
    }
    with pytest.raises(ValueError, match="hunter2"), lh.track("leaky", params=given) as run:
        raise ValueError("cannot reach s3://key:hunter2@bucket/x, token=hunter2")
    assert run.params["key"] == "a.csv"
    assert "--n" in run.arguments
    whole = lh.sql("select r.*, p.* from run r join run_param p on p.subject = r.uid").df().to_csv()
    assert "hunter2" not in whole
    assert "cannot reach" in run.error


def test_a_transform_is_kept_while_its_source_is_and_versioned_when_it_changes(lake):
    Path("step.py").write_text("a = 1\n")
    first, again = tracked(lake, "step.py"), tracked(lake, "step.py")
    Path("step.py").write_text("a = 2\n")
    second = tracked(lake, "step.py")
    Path("step.py").write_text("a = 1\n")
    assert first == again == tracked(lake, "step.py")
    assert (first.name, first.version, second.version, second.uid[:16]) == ("step.py", "1", "2", first.uid[:16])
    assert lh.Artifact.get(second.source).load() == b"a = 2\n"


def test_a_uid_pins_a_version_or_all_versions_whatever_the_file_is_called(lake, caplog):
    Path("a.py").write_text("1")
    first = tracked(lake, "a.py")
    Path("renamed.py").write_text("2")
    second = tracked(lake, "renamed.py", uid=first.uid[:16])
    assert (second.uid[:16], second.version) == (first.uid[:16], "2")
    with caplog.at_level(logging.WARNING, "lakehouse"):
        assert tracked(lake, "renamed.py", uid=first.uid) == first
    assert "is kept as asked" in caplog.text
    new = lh.Transform(name="x").save().uid[:12] + "wxyz0000"
    assert tracked(lake, "a.py", uid=new, key="pinned").uid == new
    with pytest.raises(lh.errors.InputError, match="20 characters"):
        lh.track(uid="abc")


def test_the_name_of_a_source_is_its_path_in_its_repository_and_the_commit_is_recorded(lake, tmp_path):
    repository = tmp_path / "analysis"
    (repository / "src").mkdir(parents=True)
    (repository / "src" / "fit.py").write_text("1")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run([*git, "remote", "add", "origin", "https://ada:hunter2@host/lab/models.git"], check=True)
    with lh.track(path=repository / "src" / "fit.py") as run:
        pass
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    transform = lh.Transform.get(run.transform)
    assert (transform.name, transform.repository) == ("models/src/fit.py", "https://***@host/lab/models.git")
    assert (run.git_commit, run.git_dirty) == (head, False)
    (repository / "src" / "fit.py").write_text("2")
    with lh.track(path=repository / "src" / "fit.py") as run:
        pass
    assert run.git_dirty is True


def test_a_test_is_tracked_by_its_own_name(lake):
    with lh.track() as run:
        pass
    assert lh.Transform.get(run.transform).name.endswith(
        "tests/unit/registries/lineage/test_track.py::test_a_test_is_tracked_by_its_own_name"
    )


def test_a_plain_function_is_tracked_by_its_own_source(lake):
    def normalise(x):
        return x

    with lh.track(normalise) as run:
        pass
    transform = lh.Transform.get(run.transform)
    assert transform.kind == "function"
    assert transform.name.endswith("::normalise") or transform.name.endswith(".normalise")
    assert lh.Artifact.get(transform.source).load() == Path(__file__).read_bytes()


def test_runs_inside_runs_are_their_parts_and_end_with_them(lake):
    outer = lh.track("outer")
    inner = lh.track("inner")
    assert inner.run == outer.uid
    assert lh.finish() == inner
    left_open = lh.track("left open")
    outer.home_of().tracking.finish(outer)
    assert lh.Run.get(left_open.uid).outcome == "finished"
    with pytest.raises(lh.errors.InputError, match="nothing is tracked"):
        lh.finish()


def test_threads_that_track_do_not_meet(lake):
    meeting = Barrier(3)

    def work(name: str) -> tuple[str, str]:
        with lh.track(name) as run:
            meeting.wait(60)
            artifact = lh.Artifact(name.encode(), key=name).save()
            meeting.wait(60)
        return artifact.run, run.uid

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, ("a.txt", "b.txt", "c.txt")))
    assert all(stamped == uid for stamped, uid in found)
    assert {run.outcome for run in lh.Run.filter()} == {"finished"} and lh.Run.filter(run__isnull=True).count() == 3


def test_what_is_written_to_the_screen_is_kept_when_asked(lake, capsys, tmp_path):
    Path("report.html").write_text("<p>done</p>")
    with lh.track("talkative", log=True, report="report.html") as run:
        print("first line, password=hunter2")
        print("to the other stream", file=sys.stderr)
    print("afterwards")
    text = lh.Artifact.get(run.log).load().decode()
    assert "first line" in text and "other stream" in text
    assert "hunter2" not in text and "afterwards" not in text
    assert lh.Artifact.get(run.report).load() == b"<p>done</p>"
    assert capsys.readouterr().out == "first line, password=hunter2\nafterwards\n"


def test_a_source_that_cannot_be_read_or_changes_meanwhile_is_said(lake, caplog):
    Path("big.py").write_text("1")
    with caplog.at_level(logging.WARNING, "lakehouse"):
        run = lh.track(path="big.py")
        Path("big.py").write_text("2")
        lh.finish()
    assert "was changed while it ran" in caplog.text
    assert lh.Artifact.get(lh.Transform.get(run.transform).source).load() == b"1"
    Path("broken.py").symlink_to("nowhere.py")
    with pytest.raises(lh.errors.NotFound, match="no such file"):
        lh.track(path="broken.py")


def test_a_source_that_is_gone_is_said_and_the_run_recorded_without_it(lake, caplog):
    found = of_path(Path("gone.py").absolute())
    assert (found.name, found.hash) == ("gone.py", None)
    assert "cannot be read (No such file or directory): the run is recorded without it" in caplog.text


def test_a_transaction_that_is_rolled_back_takes_its_run_along(lake):
    def fail():
        with lh.transaction(), lh.track("inside") as run:
            lh.ULabel(name="x").save()
            raise ValueError(run.uid)

    with pytest.raises(ValueError, match="0000"):
        fail()
    assert (lh.ULabel.filter().count(), lh.Run.filter().count()) == (0, 0)
    with lh.transaction(), lh.track("inside") as run:
        lh.ULabel(name="x").save()
    assert (lh.Run.get(run.uid).outcome, lh.ULabel.get(name="x").run) == ("finished", run.uid)


class Shy:
    def __len__(self):
        raise RuntimeError("do not look at me")


def test_bad_calls_are_refused_before_anything_is_written(lake):
    ring: dict[str, object] = {}
    ring["ring"] = ring
    for options in (
        {"params": [1]},
        {"params": {1: 2}},
        {"params": {"": 2}},
        {"kind": "sorcery"},
        {"key": "a\0b"},
        {"uid": 7},
        {"report": 7},
        {"what": "a", "key": "b"},
        {"what": 7},
    ):
        with pytest.raises(lh.errors.InputError):
            lh.track(**options)
    assert lh.Run.filter().count() == 0
    with lh.track(
        "odd", params={"f": lambda: 0, "big": 2**80, "nan": float("nan"), "nul": "a\0b", "deep": [[]] * 3}
    ) as run:
        pass
    assert run.params["f"].startswith("function")
    assert run.params["big"] == 2**80
    assert run.params["nan"] == "nan"
    with lh.track("odder", params={"shy": Shy(), "long": "a-" * 50_000, "ring": ring}) as run:
        pass
    assert run.params["shy"] == "Shy" and len(run.params["long"]) == 10_000
    assert run.params["ring"] == "dict of 1"


def test_scripts_finish_when_they_end_as_failed_on_an_exception(program):
    ok = "import lakehouse as lh\nlh.connect()\nlh.track(params={'a': 1})\nlh.Artifact(b'1', key='a.txt').save()\n"
    for code, name in ((ok, "ok.py"), (ok + "1 / 0\n", "fails.py"), (ok + "import sys; sys.exit(3)\n", "exits.py")):
        program(code, "--token", "hunter2", name=name)
    outcomes = {lh.Transform.get(run.transform).name: run for run in lh.Run.filter()}
    assert {name: run.outcome for name, run in outcomes.items()} == {
        "ok.py": "finished",
        "fails.py": "failed",
        "exits.py": "failed",
    }
    assert "ZeroDivisionError" in outcomes["fails.py"].error
    assert outcomes["ok.py"].arguments == '["ok.py", "--token", "***"]'
    assert lh.Artifact.get(key="a.txt").run in {run.uid for run in outcomes.values()}


def test_the_command_line_of_a_module_runs_it_again_and_what_comes_through_a_pipe_has_no_file(lake, root):
    code = (
        "import lakehouse as lh\nlh.connect()\nwith lh.track(params={'a': 1}): lh.Artifact(b'm', key='m.txt').save()\n"
    )
    Path("pack").mkdir()
    Path("pack/__init__.py").touch()
    for name in ("__main__", "job"):
        Path(f"pack/{name}.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(root)}
    for arguments in (["-m", "pack", "x"], ["-m", "pack.job", "--n", "3"], ["-"]):
        subprocess.run([sys.executable, *arguments], env=env, input=code, text=True, check=True, timeout=120)
    runs = {lh.Transform.get(run.transform).name: run for run in lh.Run.filter()}
    assert {name: run.arguments for name, run in runs.items()} == {
        "pack/__main__.py": '["-m", "pack", "x"]',
        "pack/job.py": '["-m", "pack.job", "--n", "3"]',
        "interactive session": None,
    }
    assert "command: python -m pack.job --n 3" in str(runs["pack/job.py"].recipe())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_run_shows_as_aborted_and_its_outputs_are_whole(lake, root):
    code = (
        "import lakehouse as lh, time\nlh.connect()\nlh.track()\nlh.Artifact(b'1', key='a.txt').save()\n"
        "print('ready', flush=True)\ntime.sleep(100)\n"
    )
    Path("killed.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "killed.py"], stdout=subprocess.PIPE, env=env, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        assert lh.Run.filter().one().status == "running"
        child.send_signal(signal.SIGKILL)
    run = lh.Run.filter().one()
    assert (run.outcome, run.status) == (None, "aborted")
    with lh.track("next"):
        pass
    assert lh.Run.get(run.uid).outcome == "aborted"
    assert lh.Artifact.get(key="a.txt").load() == b"1"


def test_two_processes_that_track_the_same_new_source_make_one_version(lake, root):
    code = (
        "import lakehouse as lh, sys, time\nlake = lh.connect()\nlh.ULabel.filter().count()\nopen(sys.argv[1], 'w').close()\n"
        "import pathlib\nwhile len(list(pathlib.Path().glob('ready*'))) < 2: time.sleep(0.005)\nlh.track(); lh.finish()\n"
    )
    Path("both.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(root)}
    children = [subprocess.Popen([sys.executable, "both.py", f"ready{i}"], env=env) for i in range(2)]
    assert [child.wait(120) for child in children] == [0, 0]
    assert (lh.Transform.filter(name="both.py").count(), lh.Run.filter(transform__name="both.py").count()) == (1, 2)


def test_a_clock_that_is_set_back_leaves_no_run_that_ends_before_it_began(lake, monkeypatch):
    import datetime as dt

    class Back(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2001, 1, 1, tzinfo=tz)

    run = lh.track("skewed")
    monkeypatch.setattr("registries.lineage.tracking.dt.datetime", Back)
    time.sleep(0.001)
    lh.finish()
    monkeypatch.undo()
    assert run.finished_at > run.started_at
