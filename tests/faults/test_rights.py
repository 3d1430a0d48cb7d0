"""A user who may read an instance and not write it: every change is refused in our words, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehouse import maintenance
from lakehouse.errors import InputError, LakehouseError, ReadOnly, Unavailable
from registries.instance import Instance

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"),
]
NOBODY = 65534


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An instance of root's that everybody may read, with something to delete, publish and vacuum."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-rights-"))
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):  # the usual ones of tests are closed to others
        monkeypatch.setenv(name, str(folder))
    monkeypatch.chdir(folder)
    with Instance.create(folder / "lake", user="root") as lake:
        lake.Artifact(b"bytes", key="a.txt").save()
        lake.flush()
        lake.ULabel(name="tail").save()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield folder / "lake"
    os.seteuid(0)
    shutil.rmtree(folder)


def _state(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in root.rglob("*") if p.is_file()}


def test_a_read_only_user_reads_and_cannot_open_for_writing(shared: Path) -> None:
    before = _state(shared)
    os.seteuid(NOBODY)
    with Instance.open(shared, read_only=True, user="nobody") as lake:
        assert lake.Artifact.get(key="a.txt").load() == b"bytes"
        assert lake.ULabel.filter().count() == 1
        assert lake.check(deep=True).ok
    with pytest.raises(ReadOnly, match="read_only=True"):
        Instance.open(shared, user="nobody")
    os.seteuid(0)
    assert _state(shared) == before


CHANGES: dict[str, Callable[[Instance], object]] = {
    "save": lambda lake: lake.Artifact(b"more", key="b.txt").save(),
    "save a label": lambda lake: lake.ULabel(name="x").save(),
    "delete": lambda lake: lake.run(lambda txn: txn.delete("ulabel", [lake.ULabel.filter().one().uid])),
    "flush": lambda lake: lake.flush(),
    "vacuum": lambda lake: lake.vacuum(),
    "compact": lambda lake: lake.compact(),
    "preview": lambda lake: lake.vacuum(dry_run=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_read_only_user_is_refused(change: str, shared: Path) -> None:
    before = _state(shared)
    os.seteuid(NOBODY)
    with Instance.open(shared, read_only=True, user="nobody") as lake, pytest.raises(ReadOnly):
        CHANGES[change](lake)
    os.seteuid(0)
    assert _state(shared) == before


@pytest.mark.parametrize("change", [name for name in CHANGES if name not in ("save a label", "delete", "preview")])
def test_a_right_that_is_taken_away_while_the_instance_is_open_is_a_typed_error(change: str, shared: Path) -> None:
    """The catalog is open for writing already: what fails are the folders."""
    with Instance.open(shared, user="root") as lake:
        lake.ULabel(name="more").save()
        lake.ULabel(name="and more").save()
        head = lake.lake.head()
        os.seteuid(NOBODY)
        try:
            CHANGES[change](lake)
        except (LakehouseError, OSError) as error:
            assert isinstance(error, LakehouseError) or error.errno
        finally:
            os.seteuid(0)
        if change == "save":
            assert lake.lake.head() == head
        assert lake.ULabel.filter().count() == 3
        lake.flush()
        assert lake.check(deep=True).ok


def test_a_backup_of_a_read_only_user_goes_where_that_user_may_write(shared: Path) -> None:
    os.seteuid(NOBODY)
    mine = Path(tempfile.mkdtemp(prefix="lakehouse-mine-"))
    with Instance.open(shared, read_only=True, user="nobody") as lake:
        made = lake.backup(mine / "b.db")
        assert made.commit == lake.lake.head()
        with pytest.raises((ReadOnly, Unavailable, InputError)):
            lake.backup(shared / "b.db")
    for refused in (
        lambda: maintenance.restore(made.path, shared, discard_newer=True),
        lambda: maintenance.rebuild(shared),
    ):
        with pytest.raises(ReadOnly):
            refused()
    os.seteuid(0)
    shutil.rmtree(mine)
    assert not (shared / "b.db").exists()
