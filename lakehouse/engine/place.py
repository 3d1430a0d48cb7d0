"""Where an instance may lie: SQLite's write-ahead log works on one host's own disks only."""

from __future__ import annotations

import re
from pathlib import Path

from lakehouse.errors import Unsupported

__all__ = ["file_system_of", "refuse_network_file_system"]

_NETWORK = re.compile(
    r"nfs4?|cifs|smb[23]?|smbfs|lustre|gpfs|beegfs|ceph|glusterfs|afs|9p|orangefs|fuse\.(?!portal|snapfuse).*"
)
_MOUNTS = Path("/proc/self/mountinfo")


def file_system_of(path: Path, mounts: str | None = None) -> str | None:
    r"""Return the type of the file system that holds a path.

    Parameters
    ----------
    path
        Need not exist.
    mounts
        The text of Linux's ``mountinfo``; read from the system when not given, None where there is none.

    Examples
    --------
    >>> mounts = "1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / /data rw - nfs4 host:/export rw\n"
    >>> file_system_of(Path("/data/lake"), mounts)
    'nfs4'
    """
    if mounts is None:
        if not _MOUNTS.exists():
            return None
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    target, best, kind = path.resolve(), -1, None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4]))
        if (target == point or point in target.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind


def refuse_network_file_system(catalog: Path, mounts: str | None = None) -> None:
    """Raise ``Unsupported`` with the choices when a SQLite catalog would lie on a network file system."""
    kind = file_system_of(catalog, mounts)
    if kind is not None and _NETWORK.fullmatch(kind):
        raise Unsupported(
            f"{catalog} lies on a network file system ({kind}), where SQLite's write-ahead log loses commits. "
            "Choose: keep the catalog on a local disk with catalog='/local/path/catalog.db' (one host writes), "
            "or use a Postgres catalog with catalog='postgresql://...' (a team or a cluster writes)"
        )
