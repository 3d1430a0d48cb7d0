"""``save``: files become artifacts, with their labels, in one commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from formats.keys import check_source
from lakehouse.cli.progress import bar
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.engine import Snapshot
from lakehouse.errors import InputError, LakehouseError, NotFound, RecordNotFound, shown
from lakehouse.types import Progress
from registries.artifact import Artifact
from registries.instance import Instance

__all__ = ["save"]

_MANY, _LARGE = 10, 20_000_000  # files or bytes from which on a bar is shown
_LISTED = 20


@dataclass(frozen=True)
class _Wanted:
    """A file that is to be saved; without a key where it lies in the instance's storage already."""

    path: Path
    key: str | None
    size: int


def save(
    screen: Screen,
    paths: Sequence[Path],
    *,
    key: str | None,
    description: str | None,
    labels: Sequence[str],
    create_labels: bool,
    recursive: bool,
    format: str | None,
) -> None:
    """Save files as artifacts, all of them or none."""
    with opened(screen) as lake:
        if not create_labels:
            _check_labels(lake, labels)
        files = list(_files(lake, paths, key, recursive=recursive))
        _refuse_twins(files)
        before = lake.snapshot()
        artifacts = [lake.Artifact(file.path, key=file.key, description=description, format=format) for file in files]
        try:
            _store(screen, lake, files, artifacts, labels=labels, create_labels=create_labels)
        except LakehouseError as error:
            if len(files) > 1:
                error.add_note(f"None of the {len(files):,} files was saved.")
            raise
        _tell(screen, lake, before, artifacts)


def _check_labels(lake: Instance, labels: Sequence[str]) -> None:
    """Refuse labels that are not known before anything large is read."""
    for name in labels:
        try:
            lake.ULabel.get(name=name)
        except RecordNotFound as error:
            raise RecordNotFound(f"{str(error).rstrip('.')}. To make it, pass --create-labels.") from error


def _files(lake: Instance, paths: Sequence[Path], key: str | None, *, recursive: bool) -> Iterator[_Wanted]:
    several = len(paths) > 1 or (key or "").endswith("/")
    prefix = (key or "").rstrip("/")
    for path in dict.fromkeys(path.expanduser() for path in paths):
        if os.path.isdir(path):  # noqa: PTH112  never raises, whatever the name
            if not recursive:
                raise InputError(f"{shown(str(path))} is a folder: --recursive saves the files in it")
            name = _joined(prefix, path.resolve().name) if several or not prefix else prefix
            yield from (_wanted(lake, file, _joined(name, below)) for file, below in _below(path, lake.root))
        else:
            yield _wanted(lake, path, _joined(prefix, path.name) if several or not prefix else key)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _wanted(lake: Instance, path: Path, key: str | None) -> _Wanted:
    try:
        size = check_source(path).stat().st_size
    except NotFound as error:
        raise NotFound(f"there is no file {shown(str(path))}: check the path (you are in {Path.cwd()})") from error
    return _Wanted(path, None if lake.store.relative(path) else key, size)


def _below(folder: Path, own: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder by name, with their paths in it; neither hidden ones nor the instance's own."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not _same(Path(here) / n, own))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(here) / name
            yield file, file.relative_to(folder).as_posix()


def _same(folder: Path, own: Path) -> bool:
    return folder.exists() and folder.samefile(own)


def _refuse_twins(files: Sequence[_Wanted]) -> None:
    if not files:
        raise NotFound("there is no file to save: the folders are empty, or hold hidden files only")
    seen: dict[str, Path] = {}
    for file in files:
        if file.key is None:
            continue
        other = seen.setdefault(file.key, file.path)
        if other != file.path:
            raise InputError(
                f"{shown(str(other))} and {shown(str(file.path))} would both get the key {shown(file.key)}: "
                "save them one by one with --key"
            )


def _store(
    screen: Screen,
    lake: Instance,
    files: Sequence[_Wanted],
    artifacts: Sequence[Artifact],
    *,
    labels: Sequence[str],
    create_labels: bool,
) -> None:
    # Every byte is read twice, once to hash and once to store.
    total = 2 * sum(file.size for file in files)
    work = list(zip(files, artifacts, strict=True))
    with bar(screen, total, wanted=len(files) >= _MANY or total >= _LARGE) as advance:
        for file, artifact in work:  # hashing takes long and needs no transaction
            with _told(advance, f"reading {file.path.name}", file.size) as progress:
                artifact.prepare(lake, progress)
        with lake.transaction(_message(files)):
            for file, artifact in work:
                with _told(advance, f"saving {file.path.name}", file.size) as progress:
                    artifact.save(progress=progress)
                if labels:
                    artifact.labels.add(labels, create=create_labels)


@contextmanager
def _told(advance: Callable[[str, int], None], name: str, size: int) -> Iterator[Progress]:
    """Yield what turns bytes done of a file into steps of the bar; at the end the whole file counts as done."""
    before = 0

    def step(done: int, total: int | None) -> None:
        nonlocal before
        advance(name, done - before)
        before = done

    advance(name, 0)
    yield step
    step(size, size)


def _message(files: Sequence[_Wanted]) -> str:
    first = files[0].key or files[0].path.name
    return f"save {first}" + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")


def _tell(screen: Screen, lake: Instance, before: Snapshot, artifacts: Sequence[Artifact]) -> None:
    told = [(artifact, _outcome(before, artifact)) for artifact in artifacts]
    if screen.options.json:
        screen.document(
            [
                {"outcome": outcome, **artifact.to_row(), "labels": [one.name for one in artifact.labels.get()]}
                for artifact, outcome in told
            ]
        )
        return
    rows = [(a.key, a.version, a.kind, a.n_rows, a.size, a.uid, outcome) for a, outcome in told[:_LISTED]]
    right = ("version", "rows", "bytes")
    screen.table(
        ("key", "version", "kind", "rows", "bytes", "uid", "outcome"), rows, right=right, spare=("kind", "bytes")
    )
    if len(told) > _LISTED:
        outcomes = [outcome for _, outcome in told]
        counted = ", ".join(f"{outcomes.count(outcome):,} {outcome}" for outcome in sorted(set(outcomes)))
        screen.note(f"{len(told):,} files: {counted}. `lakehouse ls` lists them.")


def _outcome(before: Snapshot, artifact: Artifact) -> str:
    if before.get("artifact", artifact.uid) is not None:
        return "unchanged"
    return "new version" if artifact.version else "new"
