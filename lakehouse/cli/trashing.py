"""``delete`` and ``restore`` of artifacts and datasets."""

from __future__ import annotations

from lakehouse.cli.listing import called, named
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import RecordNotFound, shown
from registries.artifact import Artifact
from registries.dataset import Dataset
from registries.instance import Instance

__all__ = ["delete", "restore"]

_SHORTEST = 16  # characters of a uid: what is deleted is named in full


def delete(screen: Screen, name: str, *, permanent: bool) -> None:
    """Move an artifact or a version of a dataset to the trash, or delete it for good."""
    with opened(screen) as lake:
        found = (_binned(lake, name, by_name=False) if permanent else None) or called(lake, name)
        row = found.to_row()
        found.delete(permanent=permanent)
    _tell(screen, row, "deleted for good" if permanent else "in the trash: `lakehouse restore` brings it back")


def restore(screen: Screen, name: str) -> None:
    """Take the newest version with a key or name, or what has a uid, out of the trash."""
    with opened(screen) as lake:
        found = _binned(lake, name, by_name=True)
        if found is None:
            raise RecordNotFound(
                f"nothing in the trash has the key, name or uid {shown(name)}: "
                '`lakehouse sql "select key, uid from artifact_all where deleted_at is not null"` lists it, and '
                '`lakehouse sql "select name, version, uid from dataset_all where deleted_at is not null"` datasets'
            )
        row = found.restore().to_row()
    _tell(screen, row, "restored")


def _binned(lake: Instance, name: str, *, by_name: bool) -> Artifact | Dataset | None:
    """Return what is in the trash and has a uid, or a key or name: its newest version."""
    artifacts = lake.Artifact.filter(deleted_at__isnull=False).order_by("-uid")
    datasets = lake.Dataset.filter(deleted_at__isnull=False).order_by("-uid")
    if by_name and (found := named(artifacts, datasets, name)) is not None:
        return found
    if len(name) < _SHORTEST:
        return None
    return artifacts.filter(uid__startswith=name).first() or datasets.filter(uid__startswith=name).first()


def _tell(screen: Screen, row: dict[str, object], outcome: str) -> None:
    if screen.options.json:
        screen.document({"outcome": outcome.partition(":")[0], **row})
        return
    screen.line(f"{row.get('key') or row.get('name') or row['uid']}, version {row['version']}: {outcome}")
