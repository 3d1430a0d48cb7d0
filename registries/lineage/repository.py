"""The git repository that a source lies in: its commit, and whether it was changed since; read without the network."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from registries.lineage.secrets import without_secrets

__all__ = ["Repository", "repository_of"]

_HEX = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PATIENCE = 10.0  # seconds


@dataclass
class Repository:
    """A working folder of git's.

    Attributes
    ----------
    folder
        Its top.
    name
        That of the remote called origin, else of the folder.
    remote
        Where origin lies, without secrets; None where there is none.
    commit
        What is checked out, None before the first commit.
    """

    folder: Path
    name: str
    remote: str | None
    commit: str | None
    _asked: subprocess.Popen[bytes] | None = None

    def ask(self) -> None:
        """Let git look for changes meanwhile; where there is no git, nothing is known of them."""
        try:
            self._asked = subprocess.Popen(
                ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._asked = None

    def is_dirty(self) -> bool | None:
        """Return whether files that git knows are changed; None where git did not say so within ten seconds."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        try:
            told, _ = asked.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            asked.kill()
            asked.communicate()
            return None
        return bool(told.strip()) if asked.returncode == 0 else None


def repository_of(path: Path) -> Repository | None:
    """Return the repository that a file or folder lies in."""
    for folder in (path, *path.parents):
        marker = folder / ".git"
        if marker.exists() and (git := _git_folder(marker)) is not None:
            remote = _origin(_common(git) / "config")
            name = re.sub(r"\.git$", "", re.split(r"[/:\\]", remote.rstrip("/"))[-1]) if remote else folder.name
            return Repository(
                folder, name or folder.name, str(without_secrets(remote)) if remote else None, _commit(git)
            )
    return None


def _git_folder(marker: Path) -> Path | None:
    """Return where git keeps its data: the folder, or what the file of a worktree or submodule names."""
    if marker.is_dir():
        return marker if (marker / "HEAD").is_file() else None
    text = _read(marker)
    named = marker.parent / text.removeprefix("gitdir:").strip()
    return named if text.startswith("gitdir:") and (named / "HEAD").is_file() else None


def _common(git: Path) -> Path:
    shared = _read(git / "commondir")
    return git / shared if shared else git


def _commit(git: Path) -> str | None:
    head = _read(git / "HEAD")
    if not head.startswith("ref:"):
        return head if _HEX.fullmatch(head) else None
    name = head.removeprefix("ref:").strip()
    for folder in (git, _common(git)):
        if _HEX.fullmatch(found := _read(folder / name)):
            return found
    for line in _read(_common(git) / "packed-refs").splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name and _HEX.fullmatch(commit):
            return commit
    return None


def _origin(config: Path) -> str | None:
    section = ""
    for line in map(str.strip, _read(config).splitlines()):
        if line.startswith("["):
            section = line
        elif section == '[remote "origin"]' and line.startswith("url") and "=" in line:
            return line.partition("=")[2].strip() or None
    return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # most of these files do not exist, and git's own faults are not ours to report
        return ""
