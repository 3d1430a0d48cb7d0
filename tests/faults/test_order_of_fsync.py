"""What has to be durable before what, as the system calls of a real process show it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.scene import open_lake, work

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]
_CALL = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (-?\d+)")
_FD_PATH = re.compile(r"^\d+<([^>]*)>")
_QUOTED = re.compile(r'"([^"]*)"')
_SCRIPT = """
import sys
from pathlib import Path
from tests.faults.scene import changed, open_lake, work
lake = open_lake(Path(sys.argv[1]))
rows = changed(2, changed(1, {}))
work(lake, 3, rows)  # in bulk: its rows are staged as files
Path(sys.argv[1], "committed").touch()
lake.publisher.publish()
"""


@dataclass(frozen=True)
class Call:
    """A system call that succeeded: its name and the file that it made durable, or the name that it gave."""

    name: str
    path: str

    @property
    def syncs(self) -> bool:
        return self.name in ("fsync", "fdatasync")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The calls of a process that commits in bulk and publishes two tables whose logs are there already."""
    here, root = Path(__file__).parents[2], tmp_path_factory.mktemp("traced") / "lake"
    with open_lake(root) as lake:
        work(lake, 1, {})
        lake.flush()
        work(lake, 2, {"i001": 1})
        lake.flush()
    log = root.with_suffix(".strace")
    traced = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,openat"
    command = ["strace", "-f", "-y", "-s", "4096", "-o", str(log), "-e", traced]
    done = subprocess.run(
        [*command, sys.executable, "-c", _SCRIPT, str(root)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(here)},
        capture_output=True,
        text=True,
        timeout=150,
    )
    if done.returncode and "ptrace" in done.stderr:
        pytest.skip("this system does not let processes be traced")
    assert done.returncode == 0, done.stderr
    return [call for line in log.read_text(errors="replace").splitlines() if (call := _parsed(line, root))]


def _parsed(line: str, root: Path) -> Call | None:
    found = _CALL.match(line)
    if found is None or int(found[3]) < 0:
        return None
    name, arguments = found[1], found[2]
    if name in ("fsync", "fdatasync"):
        path = _FD_PATH.match(arguments)
        text = path[1] if path else ""
    else:
        quoted = _QUOTED.findall(arguments)
        text = quoted[-1] if quoted else ""
        if name == "openat" and ("O_CREAT" not in arguments or "committed" not in text):
            return None
        name = "touch" if name == "openat" else "name"
    return Call(name, os.path.relpath(text, root)) if text.startswith(str(root)) else None


def _position(calls: list[Call], pattern: str, *, kind: str, start: int = 0) -> int:
    for i in range(start, len(calls)):
        call = calls[i]
        if re.fullmatch(pattern, call.path) and (call.syncs if kind == "sync" else call.name == kind):
            return i
    raise AssertionError(f"no {kind} of {pattern} after {start}: {calls[start : start + 60]}")


WAL = r"catalog\.db-wal"


def test_staged_files_and_their_folder_are_durable_before_the_commit(calls: list[Call]) -> None:
    committed = _position(calls, "committed", kind="touch")
    for table in ("item", "mirror"):
        file = _position(calls, rf"tables/{table}/s-.*\.parquet", kind="sync")
        folder = _position(calls, f"tables/{table}", kind="sync", start=file)
        commit = _position(calls, WAL, kind="sync", start=folder)
        assert commit < committed, "the commit was acknowledged before its files were durable"


@pytest.mark.parametrize("table", ["item", "mirror"])
def test_data_files_come_before_the_log_entry_and_the_entry_before_its_publication(
    calls: list[Call], table: str
) -> None:
    begin = _position(calls, "committed", kind="touch")
    file = _position(calls, rf"tables/{table}/p-.*\.parquet", kind="sync", start=begin)
    folder = _position(calls, f"tables/{table}", kind="sync", start=file)
    entry = _position(calls, rf"tables/{table}/_delta_log/0*3\.json", kind="name", start=begin)
    assert file < folder < entry, "the log names a file that a power failure may take away"
    durable = _position(calls, rf"tables/{table}/_delta_log/0*3\.json", kind="sync", start=entry)
    listed = _position(calls, rf"tables/{table}/_delta_log", kind="sync", start=durable)
    published = _position(calls, WAL, kind="sync", start=entry)
    assert durable < listed < published, "the catalog records a log entry that a power failure may take away"


def test_head_json_is_durable_before_its_name_and_its_name_before_the_pin_moves(calls: list[Call]) -> None:
    begin = _position(calls, "committed", kind="touch")
    content = _position(calls, r"\.tmp-[0-9a-f]+", kind="sync", start=begin)
    name = _position(calls, r"head\.json", kind="name", start=begin)
    root = _position(calls, r"\.", kind="sync", start=name)
    pin = _position(calls, WAL, kind="sync", start=name)
    assert content < name < root < pin
    for table in ("item", "mirror"):
        entry = _position(calls, rf"tables/{table}/_delta_log/0*3\.json", kind="sync")
        assert entry < name, "head.json names a version that is not durable yet"
