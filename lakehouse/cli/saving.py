"""``save``: files become artifacts, with their labels, in one commit; ``load`` brings one near."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from formats.keys import check_source, suffix_of
from formats.paths import copy_path
from formats.registry import format_of
from lakehouse.cli.progress import bar
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.cli.storages import refuse_fleeting
from lakehouse.engine import Snapshot
from lakehouse.errors import InputError, InvalidFile, LakehouseError, NotFound, RecordNotFound, Unavailable, shown
from lakehouse.types import Progress
from registries.artifact import Artifact
from registries.instance import Instance
from registries.lineage.active import VARIABLE

__all__ = ["load", "save"]

_MANY, _LARGE = 10, 20_000_000  # files or bytes from which on a bar is shown
_LISTED = 20
_NAMED = 10  # unreadable files that an error names
_OWN = ("lake.json", "head.json", "tables", "storage")  # in the root of an instance, beside its catalog


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
    storage: str | None,
) -> None:
    """Save files as artifacts, all of them or none."""
    with opened(screen) as lake:
        refuse_fleeting(lake.stores.chosen(storage)[1].root)
        if not create_labels:
            _check_labels(lake, labels)
        files = list(_files(screen, lake, paths, key, recursive=recursive))
        _refuse_twins(files)
        before = lake.snapshot()
        artifacts = [
            lake.Artifact(file.path, key=file.key, description=description, format=format, storage=storage)
            for file in files
        ]
        try:
            _store(screen, lake, files, artifacts, labels=labels, create_labels=create_labels)
        except LakehouseError as error:
            if len(files) > 1:
                error.add_note(f"None of the {len(files):,} files was saved.")
            raise
        _tell(screen, lake, before, artifacts)


def load(screen: Screen, key: str, to: Path | None) -> None:
    """Bring an artifact near, or copy it to a place; tell where it lies."""
    with opened(screen, read_only=not os.environ.get(VARIABLE)) as lake:  # it is an input of the run that asks
        artifact = lake.Artifact.get(key=key)
        if to is not None and os.path.lexists(to):
            raise InputError(f"{shown(str(to))} is there already: name a new file or folder")
        with (
            bar(screen, artifact.size, wanted=artifact.size > _LARGE) as advance,
            _told(advance, key, artifact.size) as progress,
        ):
            path = artifact.stage(progress=progress)
        if to is not None:
            copy_path(path, to)
            path = to
        size = artifact.size
    if screen.options.json:
        screen.document({"key": key, "path": str(path), "size": size})
        return
    screen.line(str(path))


def _check_labels(lake: Instance, labels: Sequence[str]) -> None:
    """Refuse labels that are not known before anything large is read."""
    for name in labels:
        try:
            lake.ULabel.get(name=name)
        except RecordNotFound as error:
            raise RecordNotFound(f"{str(error).rstrip('.')}. To make it, pass --create-labels.") from error


def _files(
    screen: Screen, lake: Instance, paths: Sequence[Path], key: str | None, *, recursive: bool
) -> Iterator[_Wanted]:
    several = len(paths) > 1 or (key or "").endswith("/")
    prefix = (key or "").rstrip("/")
    for path in dict.fromkeys(path.expanduser() for path in paths):
        if os.path.isdir(path) and not _is_one(path):  # noqa: PTH112  never raises, whatever the name
            if not recursive:
                raise InputError(f"{shown(str(path))} is a folder: --recursive saves the files in it")
            name = _joined(prefix, path.resolve().name) if several or not prefix else prefix
            for file, below in _below(path, lake):
                if os.path.lexists(file) and not os.path.exists(file):  # noqa: PTH110  never raises
                    screen.note(f"{shown(str(file))} is a link that leads nowhere: passed over")
                else:
                    yield _wanted(lake, file, _joined(name, below))
        else:
            yield _wanted(lake, path, _joined(prefix, path.name) if several or not prefix else key)


def _is_one(path: Path) -> bool:
    """Tell whether a folder is one thing, such as a zarr store, and not a place of files."""
    return format_of(path, suffix_of(path)).name != "folder"


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _wanted(lake: Instance, path: Path, key: str | None) -> _Wanted:
    try:
        source = check_source(path, folders=True)
        size = source.stat().st_size if source.is_file() else sum(f.lstat().st_size for f in source.rglob("*"))
    except NotFound as error:
        raise NotFound(f"there is no file {shown(str(path))}: check the path (you are in {Path.cwd()})") from error
    return _Wanted(path, None if lake.stores.holding(path) else key, size)


def _below(folder: Path, lake: Instance) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder by name, with their paths in it; neither hidden ones nor the instance's own."""
    for here, folders, names in os.walk(folder):
        own = _own(Path(here), lake)
        whole = {
            name for name in folders if not name.startswith(".") and name not in own and _is_one(Path(here) / name)
        }
        for name in sorted(whole):
            yield Path(here) / name, (Path(here) / name).relative_to(folder).as_posix()
        folders[:] = sorted(
            n
            for n in folders
            if not n.startswith(".") and n not in own | whole and not _same(Path(here) / n, lake.root)
        )
        for name in sorted(name for name in names if not name.startswith(".") and name not in own):
            file = Path(here) / name
            yield file, file.relative_to(folder).as_posix()


def _own(folder: Path, lake: Instance) -> set[str]:
    """Return the names in a folder that are the instance's own."""
    names = {*_OWN} if _same(folder, lake.root) else set()
    return names | {file.name for file in lake.lake.catalog.files if _same(folder, file.parent)}


def _same(folder: Path, other: Path | str) -> bool:
    return isinstance(other, Path) and folder.exists() and folder.samefile(other)


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
        _prepare(lake, work, advance)
        with lake.transaction(_message(files)):
            for file, artifact in work:
                with _told(advance, f"saving {file.path.name}", file.size) as progress:
                    artifact.save(progress=progress)
                if labels:
                    artifact.labels.add(labels, create=create_labels)


def _prepare(lake: Instance, work: Sequence[tuple[_Wanted, Artifact]], advance: Callable[[str, int], None]) -> None:
    """Hash and describe all files, which takes long and needs no transaction; what cannot be read is told at once."""
    failed: list[InvalidFile | Unavailable] = []
    for file, artifact in work:
        with _told(advance, f"reading {file.path.name}", file.size) as progress:
            try:
                artifact.prepare(lake, progress)
            except (InvalidFile, Unavailable) as error:
                failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise _unreadable(failed, len(work)) from failed[0]


def _unreadable(failed: Sequence[InvalidFile | Unavailable], total: int) -> LakehouseError:
    lines = [f"{len(failed):,} of {total:,} files cannot be read:", *(f"  {error}" for error in failed[:_NAMED])]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED:,} more")
    if not any(isinstance(error, InvalidFile) for error in failed):
        return Unavailable("\n".join(lines))
    lines.append("To keep the bytes of broken ones as they are, save those alone in a second call with --format blob.")
    return InvalidFile("\n".join(lines))


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
