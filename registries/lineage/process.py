"""The process that a run takes place in: where it runs, and whether it still does."""

from __future__ import annotations

import os
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["VARIABLES", "command_line", "host", "identity", "is_gone"]

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
VARIABLES: Final = ("CONDA_DEFAULT_ENV", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SLURM_JOB_ID", "VIRTUAL_ENV")
"""Variables of the environment that say how a program ran; no others are recorded."""


@cache
def host() -> str:
    """Return the name of the machine; no network is asked."""
    return socket.gethostname()


def command_line() -> list[str]:
    """Return what follows ``python`` to run the same again.

    Examples
    --------
    >>> isinstance(command_line(), list)
    True
    """
    given = [os.fsdecode(one) for one in sys.argv]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or spec.name == "__main__" or given[:1] != [spec.origin]:
        return given
    return ["-m", spec.name.removesuffix(".__main__"), *given[1:]]  # Python put the module's file in its place


def identity(pid: int | None = None) -> str:
    """Return what tells a process apart from all others that this machine ever had: boot, namespace, number, start.

    Examples
    --------
    >>> identity().split()[-2] == str(os.getpid())
    True
    """
    pid = os.getpid() if pid is None else pid
    return f"{_boot()} {_namespace()} {pid} {_started(pid) or '-'}"


def is_gone(process: str, machine: str | None) -> bool:
    """Return whether a process of this machine has ended; False where that cannot be told.

    Examples
    --------
    >>> is_gone(identity(), host()), is_gone("a b 1 2", "elsewhere")
    (False, False)
    """
    parts = process.split()
    if machine != host() or len(parts) != 4 or not parts[2].isdecimal():
        return False
    boot, namespace, pid, started = parts
    if boot != _boot():
        return boot != "-"  # the machine was started anew since
    if namespace != _namespace():
        return False
    now = _started(int(pid))
    if now is None:
        return not _exists(int(pid))
    return started not in ("-", now)


@cache
def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:  # not Linux
        return "-"


@cache
def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return "-"


def _started(pid: int) -> str | None:
    """Return when a process was started, in ticks since boot; None where that is not told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]  # one that has ended waits for its parent only


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there, asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return not Path("/proc/self/stat").exists()  # else its state was unreadable a moment ago because it had ended
