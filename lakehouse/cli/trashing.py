"""``delete`` and ``restore`` of artifacts and datasets."""

from __future__ import annotations

from lakehouse.cli.listing import artifact_called
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import MultipleFound, RecordNotFound, shown
from registries.artifact import Artifact
from registries.dataset import Dataset
from registries.instance import Instance
from registries.query import Query

__all__ = ["delete", "restore"]

_SHORTEST = 16  # characters of a uid: what is deleted is named in full


def delete(screen: Screen, name: str, *, permanent: bool) -> None:
    """Move an artifact or a version of a dataset to the trash, or delete it for good."""
    with opened(screen) as lake:
        found = (_binned(lake, name, by_name=False) if permanent else None) or _called(lake, name)
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


def _called(lake: Instance, name: str) -> Artifact | Dataset:
    """Return the artifact or the dataset of a key, name or uid; a whole name goes before the beginning of a uid."""
    named = _named(lake.Artifact.filter(is_latest=True), lake.Dataset.filter(is_latest=True), name)
    if named is not None:
        return named
    try:
        return artifact_called(lake, name)
    except RecordNotFound as error:
        missing = error
    try:
        return lake.Dataset.get(name)
    except RecordNotFound:
        raise missing from None


def _binned(lake: Instance, name: str, *, by_name: bool) -> Artifact | Dataset | None:
    """Return what is in the trash and has a uid, or a key or name: its newest version."""
    artifacts = lake.Artifact.filter(deleted_at__isnull=False).order_by("-uid")
    datasets = lake.Dataset.filter(deleted_at__isnull=False).order_by("-uid")
    if by_name and (named := _named(artifacts, datasets, name)) is not None:
        return named
    if len(name) < _SHORTEST:
        return None
    return artifacts.filter(uid__startswith=name).first() or datasets.filter(uid__startswith=name).first()


def _named(artifacts: Query[Artifact], datasets: Query[Dataset], name: str) -> Artifact | Dataset | None:
    artifact, dataset = artifacts.filter(key=name).first(), datasets.filter(name=name).first()
    if artifact is not None and dataset is not None:
        raise MultipleFound(
            f"{shown(name)} is the key of artifact {artifact.uid}, and the name of dataset {dataset.uid}: give a uid"
        )
    return artifact or dataset


def _tell(screen: Screen, row: dict[str, object], outcome: str) -> None:
    if screen.options.json:
        screen.document({"outcome": outcome.partition(":")[0], **row})
        return
    screen.line(f"{row.get('key') or row.get('name') or row['uid']}, version {row['version']}: {outcome}")
