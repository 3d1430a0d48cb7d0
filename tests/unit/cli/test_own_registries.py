"""``lakehouse registry`` and ``lakehouse migrate`` over the life of a class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CLASS = """import lakehouse as lh


class Probe(lh.Record, natural=("name",)):
    '''A probe.'''

    name: lh.Column[str] = lh.column(doc="What it is called.", unique=True)
"""
CALL = "import sys; from lakehouse.cli import main; sys.exit(main(sys.argv[1:]))"


def shell(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which imports the module anew."""
    where = {"PYTHONPATH": str(root), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(Path.cwd())}
    program = [sys.executable, "-c", CALL, *arguments]
    return subprocess.run(program, capture_output=True, text=True, timeout=100, env=where)


def test_adding_a_class_again_brings_the_registry_up_to_date_with_it(lake, root):
    Path("probes.py").write_text(CLASS)
    assert shell(root, "registry", "add", "probes:Probe").returncode == 0
    Path("probes.py").write_text(CLASS + '    kit: lh.Column[str | None] = lh.column(doc="Of which.", default=None)\n')
    planned = shell(root, "migrate", "plan")
    assert planned.stdout == "nothing to migrate: the instance is up to date\n"
    assert "only when these are named: probes:Probe" in planned.stderr
    assert "kit is added" in shell(root, "migrate", "plan", "probes:Probe").stdout
    added = shell(root, "registry", "add", "probes:Probe")
    assert added.returncode == 0 and "probe: kit is added" in added.stdout and not added.stderr, added
    Path("probes.py").write_text(CLASS)
    assert "kit is given up" in shell(root, "registry", "add", "probes:Probe").stdout
    assert "is there already" in shell(root, "registry", "add", "probes:Probe").stdout
