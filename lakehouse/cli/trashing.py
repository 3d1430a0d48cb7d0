"""``delete`` and ``restore`` of artifacts."""

from __future__ import annotations

from lakehouse.cli.listing import artifact_called
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import RecordNotFound, shown
from registries import Artifact

__all__ = ["delete", "restore"]


def delete(screen: Screen, name: str, *, permanent: bool) -> None:
    """Move an artifact to the trash, or delete it for good."""
    with opened(screen) as lake:
        trashed = lake.Artifact.filter(deleted_at__isnull=False, uid__startswith=name) if permanent else None
        found = (trashed.first() if trashed is not None and len(name) >= _SHORTEST else None) or artifact_called(
            lake, name
        )
        row = found.to_row()
        found.delete(permanent=permanent)
    _tell(screen, row, "deleted for good" if permanent else "in the trash: `lakehouse restore` brings it back")


def restore(screen: Screen, name: str) -> None:
    """Take the newest version with a key, or the artifact with a uid, out of the trash."""
    with opened(screen) as lake:
        trash = lake.Artifact.filter(deleted_at__isnull=False).order_by("-uid")
        found: Artifact | None = trash.filter(key=name).first()
        if found is None and len(name) >= _SHORTEST:
            found = trash.filter(uid__startswith=name).first()
        if found is None:
            raise RecordNotFound(
                f"nothing in the trash has the key or uid {shown(name)}: "
                '`lakehouse sql "select key, uid from artifact_all where deleted_at is not null"` lists it'
            )
        row = found.restore().to_row()
    _tell(screen, row, "restored")


_SHORTEST = 16  # characters of a uid: what is deleted is named in full


def _tell(screen: Screen, row: dict[str, object], outcome: str) -> None:
    if screen.options.json:
        screen.document({"outcome": outcome.partition(":")[0], **row})
        return
    screen.line(f"{row['key'] or row['uid']}, version {row['version']}: {outcome}")
