from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.errors import InputError, InvalidData, Unavailable
from registries.ingest import Ingest, Options
from registries.ingest import ingest as running
from registries.instance import Instance

ROOT = Path(__file__).parents[4]


def manifest(folder, text):
    (folder / "manifest.csv").write_text(text)
    return folder / "manifest.csv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key\nx.txt\n", "no column 'path'"),
        ("path,kee\na.txt,x\n", "did you mean 'key'"),
        ("path\n", "no rows"),
    ],
)
def test_a_manifest_without_what_it_needs_is_refused(ingest, folder, text, said):
    with pytest.raises(InputError, match=said):
        ingest(manifest(folder, text))


def test_all_that_is_wrong_with_a_manifest_is_told_before_any_file_is_read(lake, ingest, folder):
    file = manifest(
        folder,
        "path,key,labels,features\n"
        "a.txt,one.txt,,\n"
        "below/b.txt,one.txt,,\n"  # the key of another
        "nowhere.txt,two.txt,,\n"  # no such file
        "./a.txt,three.txt,,\n"  # the same file again
        "t.csv,four.csv,tretaed,\n"  # no such label
        't.csv,,,"{""depth"": 1}"\n',  # the same file again, and no such feature
    )
    lake.ULabel(name="treated").save()
    with pytest.raises(InvalidData) as caught:
        ingest(file)
    reasons = [one.reason for one in caught.value.report.failures]
    assert reasons == ["duplicate_key", "not_found", "duplicate_path", "unknown_label", "duplicate_path"]
    assert "did you mean 'treated'" in str(caught.value)
    assert lake.Artifact.filter().count() == 0
    assert ingest(file, on_error="skip").counts == {"failed": 5, "new": 1}
    assert ingest(file, on_error="skip", create_labels=True).counts == {"failed": 4, "unchanged": 1, "new": 1}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [('"{""depth"": ""deep""}"', "feature"), ('"{""no such"": 1}"', "feature"), ("{", "manifest"), ("[1]", "manifest")],
)
def test_values_that_cannot_be_kept_are_told_of_their_row(lake, ingest, folder, cell, reason):
    lake.Feature(name="depth", dtype="float").save()
    report = ingest(manifest(folder, f"path,features\na.txt,{cell}\n"), on_error="skip")
    assert [one.reason for one in report.outcomes] == [reason]


@pytest.mark.parametrize("key", ["../x.txt", "/etc/x.txt", "a\\b.txt", "x.csv", "a/_delta_log/x.txt"])
def test_keys_that_are_not_admitted_fail_alone(lake, ingest, folder, key):
    report = ingest(manifest(folder, f"path,key\na.txt,{key}\nbelow/b.txt,b.txt\n"), on_error="skip")
    assert sorted(one.outcome for one in report.outcomes) == ["failed", "new"]
    assert report.failures[0].reason == "refused"


def test_names_that_are_not_utf8_pipes_and_links_do_no_harm(lake, ingest, folder):
    os.close(os.open(os.fsencode(folder) + b"/caf\xe9.txt", os.O_CREAT))
    os.mkfifo(folder / "pipe.txt")
    (folder / "link.txt").symlink_to("/etc/passwd")
    (folder / "round").symlink_to(folder)
    report = ingest(folder, on_error="skip")
    assert report.counts == {"new": 3, "failed": 1}
    report.to_json().encode()
    listed = ingest(manifest(folder, "path\npipe.txt\n"), on_error="skip")
    assert listed.failures[0].reason == "manifest"
    assert "named pipe" in listed.failures[0].message


def test_a_file_that_vanishes_or_changes_while_it_is_read_fails_alone(lake, folder, monkeypatch):
    grows = folder / "grows.txt"
    grows.write_text("begin")
    own = os.fstat

    def fstat(fd):
        found = own(fd)
        if os.path.samestat(found, os.stat(grows)):
            with grows.open("a") as file:
                file.write("more")
        return found

    def removing(*given, own=running.examined):
        (folder / "below" / "b.txt").unlink(missing_ok=True)
        return own(*given)

    monkeypatch.setattr(running, "examined", removing)
    monkeypatch.setattr(os, "fstat", fstat)
    report = Ingest(lake, folder, Options(executor=ThreadPoolExecutor(1), on_error="skip")).run()
    monkeypatch.undo()
    assert {Path(one.path).name: one.reason for one in report.failures} == {"grows.txt": "changed", "b.txt": "vanished"}
    assert report.counts["new"] == 2
    again = Ingest(lake, folder, Options(executor=ThreadPoolExecutor(1))).run()
    assert again.counts == {"unchanged": 2, "new": 1}


def test_of_many_files_some_are_corrupt_and_the_rest_is_registered(lake, ingest, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    top = tmp_path / "many"
    top.mkdir()
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "good.parquet")
    good = (tmp_path / "good.parquet").read_bytes()
    for n in range(400):
        (top / f"{n:03}.parquet").write_bytes(good[:50] + secrets.token_bytes(9) if n % 100 == 7 else good)
    report = ingest(top, on_error="skip")
    assert report.counts == {"new": 396, "failed": 4}
    assert {one.reason for one in report.failures} == {"unreadable"}
    assert ingest(top, on_error="skip").counts == {"unchanged": 396, "failed": 4}
    for one in report.failures:
        Path(one.path).write_bytes(good)
    assert ingest(top, on_error="skip").counts == {"unchanged": 396, "new": 4}


# Workers and disks


def _end(*_):
    os._exit(3)


def test_an_executor_whose_workers_die_is_told_and_nothing_is_half_done(lake, ingest, folder):
    with (
        ProcessPoolExecutor(1, initializer=_end) as dying,
        pytest.raises(Unavailable, match="workers of the executor died"),
    ):
        ingest(folder, executor=dying)
    assert lake.Artifact.filter().count() == 0
    assert ingest(folder).counts == {"new": 3}


def test_a_worker_of_our_own_that_is_killed_is_replaced(lake, tmp_path, monkeypatch):
    top = tmp_path / "many"
    top.mkdir()
    for n in range(300):
        (top / f"{n}.txt").write_text(f"{n}")
    monkeypatch.setattr("registries.ingest.pool._FILES", 20)
    killed, others = [], {child.pid for child in multiprocessing.active_children()}

    def kill():
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for child in multiprocessing.active_children():
                if child.pid is not None and child.pid not in others:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    report = Ingest(lake, top, Options(workers=1)).run()
    thread.join()
    assert killed
    assert report.counts == {"new": 300}


_DEADLY = """
import os
own = os.open
def opened(path, *given, **named):
    if str(path).endswith("deadly.txt"):
        os._exit(9)
    return own(path, *given, **named)
os.open = opened
"""


def test_a_file_that_ends_whoever_reads_it_is_told_of_alone(lake, tmp_path, monkeypatch):
    top = tmp_path / "many"
    top.mkdir()
    for n in range(120):
        (top / f"{n}.txt").write_text(f"{n}")
    (top / "deadly.txt").write_text("x")
    (tmp_path / "sitecustomize.py").write_text(_DEADLY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setattr("registries.ingest.pool._FILES", 8)
    report = Ingest(lake, top, Options(workers=1, on_error="skip")).run()
    assert [(Path(one.path).name, one.reason) for one in report.failures] == [("deadly.txt", "killed")]
    assert report.counts == {"new": 120, "failed": 1}


_WAITING = """
import multiprocessing, sys, time
from registries.ingest import Ingest, Options
from registries.instance import Instance

def told(done, total):
    if done:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(60)

if __name__ == "__main__":
    Ingest(Instance.open(sys.argv[1]), sys.argv[2], Options(workers=1, progress=told)).run()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_end_with_a_run_that_is_killed(lake, folder):
    child = subprocess.Popen(
        [sys.executable, "-c", _WAITING, str(lake.root), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    workers = [Path("/proc", pid, "cmdline") for pid in child.stdout.readline().decode().split()]
    assert workers
    child.kill()
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 30
    while any(path.exists() and path.read_bytes() for path in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(path.exists() and path.read_bytes() for path in workers)


_LIMITED = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from lakehouse.errors import Unavailable
from registries.ingest import Ingest, Options
from registries.ingest import ingest as running
from registries.instance import Instance

lake = Instance.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    Ingest(lake, sys.argv[2], Options(executor=ThreadPoolExecutor(1), on_error="skip")).run()
except Unavailable as error:
    assert "what is registered stays" in str(error), error
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_disk_that_is_full_stops_the_run_and_the_next_one_goes_on(lake, ingest, folder):
    (folder / "large.bin").write_bytes(secrets.token_bytes(3_000_000))
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(lake.root), str(folder), "2000000"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert ingest(folder).counts["new"] == 4
    assert lake.check(deep=True).ok


_KILLED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from registries.ingest import Ingest, Options
from registries.ingest import ingest as running
from registries.ingest import ingest as module, pool
from registries.instance import Instance

module._BATCH, pool._FILES = 40, 10
lake = Instance.open(sys.argv[1])
Ingest(lake, sys.argv[2], Options(executor=ThreadPoolExecutor(2), progress=lambda d, n: print(d, flush=True))).run()
"""


@pytest.mark.faults
def test_a_run_that_is_killed_again_and_again_registers_each_file_once(lake, ingest, tmp_path):
    top = tmp_path / "many"
    top.mkdir()
    for n in range(400):
        (top / f"{n:03}.txt").write_text(f"{n}")
    for lines in (1, 2, 3):
        child = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(lake.root), str(top)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        child.kill()
        child.wait()
        child.stdout.close()
    fresh = Instance.open(lake.root, user="ada")
    report = Ingest(fresh, top, Options(executor=ThreadPoolExecutor(2))).run()
    assert sum(report.counts.values()) == 400
    rows = fresh.sql("select count(*), count(distinct key), max(version) from artifact").fetchall()
    assert rows == [(400, 400, 0)]
    assert fresh.check(deep=True).ok
    fresh.close()
