"""Changing the content of an artifact: a copy is opened for writing, and becomes the next version when it is closed."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from formats.paths import copy_path
from formats.registry import by_name
from lakehouse.errors import ChangedSinceRead, InputError, did_you_mean, shown

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.stored import Stored

__all__ = ["MODES", "Edit", "check_mode"]

MODES = ("r", "r+")
"""What ``open(mode=...)`` takes."""


class Edit(AbstractContextManager[Any]):
    """What ``artifact.open(mode="r+")`` returns.

    Inside the ``with`` block it is what the format's own library writes with: a zarr group or array, an HDF5 file, a
    backed AnnData, a TileDB array or a SOMA object opened for writing, a NumPy memory map, or a file. At the end the
    content is saved as the next version of the key; an exception discards it. What is stored already never changes.

    Parameters
    ----------
    artifact
        The newest version of a key.
    """

    saved: Artifact | None
    """The version that came of it; the same as before where nothing was changed."""

    def __init__(self, artifact: Stored) -> None:
        if artifact.key is None:
            raise InputError(f"{artifact!r} has no key, and hence no versions: save its content under a key first")
        self._artifact, self.saved = artifact, None
        self._folder: Path | None = None

    def __enter__(self) -> Any:
        self._refuse_old()
        source = self._artifact.path
        self._folder = Path(tempfile.mkdtemp(prefix="lakehouse-"))
        try:
            self._copy = self._folder / f"content{self._artifact.suffix}"
            copy_path(source, self._copy)
            self._opened = by_name(self._artifact.format).edit(self._copy)
            return self._opened.__enter__()
        except BaseException:
            self._discard()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._opened.__exit__(kind, error, trace)
            if error is None:
                self._save()
        finally:
            self._discard()

    def _save(self) -> None:
        old = self._artifact
        home = old.home_of()
        new = home.Artifact(
            self._copy,
            key=old.key,
            description=old.description,
            suffix=old.suffix,
            format=old.format,
            storage=old.storage,
        )
        new.prepare(home)
        # serializable, so that a version that somebody else saves this very moment is seen
        with home.transaction(f"edit {old.key}", serializable=True):
            self._refuse_old()
            self.saved = new.save()

    def _refuse_old(self) -> None:
        if not self._artifact.is_latest:
            raise ChangedSinceRead(
                f"{shown(self._artifact.key)} has a newer version than {self._artifact.version}: open that one, "
                "Artifact.get(key=...), and change it again"
            ).final()

    def _discard(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def check_mode(mode: str, as_: str | None) -> None:
    """Refuse a mode that is none of :data:`MODES`, or one that does not go with another form."""
    if mode not in MODES:
        raise InputError(f"mode = {shown(mode)}: 'r' or 'r+' is accepted{did_you_mean(str(mode), MODES)}")
    if mode == "r+" and as_ is not None:
        raise InputError("mode='r+' opens the content as its format has it: leave as_ out")
