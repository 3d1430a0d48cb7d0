"""``compact``, ``vacuum``, ``check``, ``backup``, ``restore`` and ``rebuild``."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import typer

from lakehouse import maintenance
from lakehouse.cli.progress import counted
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.cli.text import cell
from lakehouse.engine.findings import CheckReport, Severity
from lakehouse.engine.rebuild import RebuildReport
from lakehouse.errors import InputError, shown
from registries.describe import readable_size
from registries.upkeep import InstanceVacuum

__all__ = ["backup", "check", "compact", "rebuild", "restore", "seconds", "vacuum"]

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])|0")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def seconds(text: str) -> float:
    """Return the length of a span such as ``7d`` or ``12h``.

    Examples
    --------
    >>> seconds("7d"), seconds("1.5h"), seconds("0")
    (604800.0, 5400.0, 0.0)
    """
    if (found := _SPAN.fullmatch(text.strip().lower())) is None:
        raise InputError(f"{shown(text)} is no span of time: write 30m, 12h, 7d, 2w or 0")
    return float(found[1]) * _UNITS[found[2]] if found[1] else 0.0


def compact(screen: Screen) -> None:
    """Rewrite small and overlapping data files."""
    with opened(screen) as instance, counted(screen, "compacting"):
        done = instance.compact()
    if screen.options.json:
        screen.document(asdict(done))
        return
    screen.line(f"rewrote {done.removed:,} data files as {done.added:,}: {done.rows:,} rows, all as they were")
    if done.removed:
        screen.note(
            "The files that were replaced stay for readers of earlier versions: `lakehouse vacuum` deletes them."
        )


def vacuum(screen: Screen, *, retention: str | None, dry_run: bool) -> None:
    """Drop what no retained commit needs, or say what that would be."""
    kept = None if retention is None else seconds(retention)
    with opened(screen) as instance, counted(screen, "objects") as progress:
        done = instance.vacuum(retention=kept, dry_run=dry_run, progress=progress)
    if screen.options.json:
        screen.document(asdict(done))
        return
    _show_vacuum(screen, done)


def _show_vacuum(screen: Screen, done: InstanceVacuum) -> None:
    verb = "would delete" if done.dry_run else "deleted"
    screen.line(
        f"{verb} {done.files:,} data files and {done.objects:,} stored objects, {readable_size(done.bytes)} in all; "
        f"commits {done.oldest_readable:,} to {done.head:,} {'would stay' if done.dry_run else 'are'} readable"
    )
    if done.uploads:
        screen.line(f"{'would give' if done.dry_run else 'gave'} up {done.uploads:,} uploads that had broken off")
    if done.pins:
        rows = [(pin.commit, pin.until) for pin in done.pins]
        screen.note("Pinned, and kept:")
        screen.table(("commit", "pinned until (UTC)"), rows, right=("commit",))
    if done.tags:
        screen.note(f"Tagged, and kept: {', '.join(done.tags[:20])}{', …' if len(done.tags) > 20 else ''}")


def check(screen: Screen, *, deep: bool) -> None:
    """Show everything that is harmed; the exit code says whether anything is."""
    with opened(screen, read_only=True) as instance, counted(screen, "files") as progress:
        report = instance.check(deep=deep, progress=progress)
    if screen.options.json:
        screen.document({"ok": report.ok, **asdict(report)})
    else:
        _show_check(screen, report)
    if not report.ok:
        raise typer.Exit(1)


def _show_check(screen: Screen, report: CheckReport) -> None:
    if report.findings:
        rows = [(f.severity.value, f.kind, f.where, f.message) for f in report.findings]
        screen.table(("severity", "kind", "where", "message"), rows, spare=("kind",))
    counts = [(len(report.of(severity)), severity.value) for severity in Severity]
    found = ", ".join(f"{n} {name}{'s' if n != 1 and name != 'harm' else ''}" for n, name in counts if n)
    how = "read whole" if report.deep else "looked at by size"
    screen.line(
        f"commit {report.commit:,}: {report.tables} tables, {report.files:,} data files and {report.objects:,} artifacts "
        f"{how}: {found or 'nothing found'}"
    )
    if not report.deep:
        screen.note("--deep compares contents, too.")


def backup(screen: Screen, target: Path) -> None:
    """Copy the catalog."""
    with opened(screen, read_only=True) as instance, counted(screen, "pages") as progress:
        done = instance.backup(target, progress=progress)
        root = instance.root
    if screen.options.json:
        screen.document(asdict(done))
        return
    screen.line(f"backed up {root} up to commit {done.commit:,} into {done.path} ({readable_size(done.bytes)})")
    screen.note(
        f"It is the catalog alone: copy {', '.join(done.beside)} of {root}, too, after this. Until the retention has "
        "passed, `lakehouse restore --backup FILE` needs nothing else on the same folder."
    )


def restore(screen: Screen, backup: Path, *, discard_newer: bool) -> None:
    """Put a backup into the catalog's place."""
    with counted(screen, "pages") as progress:
        done = maintenance.restore(backup, screen.options.instance, discard_newer=discard_newer, progress=progress)
    if screen.options.json:
        screen.document(asdict(done))
        return
    screen.line(f"restored commit {done.commit:,} in {done.root}; commits are counted on from {done.head:,}")
    if done.given_up:
        screen.note(f"{done.given_up:,} commits that the backup lacks were given up.")
    if done.realigned:
        screen.note(f"Delta tables that showed later commits were taken back: {', '.join(done.realigned)}.")
    if done.aside is not None:
        screen.note(f"The damaged catalog lies in {done.aside}.")


def rebuild(screen: Screen, *, catalog: str | None) -> None:
    """Make the catalog anew from what was published."""
    with counted(screen, "tables") as progress:
        done = maintenance.rebuild(screen.options.instance, catalog=catalog, progress=progress)
    if screen.options.json:
        screen.document(asdict(done))
        return
    _show_rebuild(screen, done)


def _show_rebuild(screen: Screen, done: RebuildReport) -> None:
    total = sum(done.rows.values())
    at = f" of {cell(done.at)} UTC" if done.at else ""
    screen.line(
        f"rebuilt the catalog of {done.root}: {total:,} rows of {len(done.rows)} tables as of commit {done.commit:,}{at}"
    )
    lost = "what was committed after it" if done.lost is None else f"{done.lost:,} commits after it"
    screen.line(f"lost: {lost} ({done.uid}); commits are counted on from {done.head:,}")
    if done.realigned:
        screen.note(
            f"An unfinished round had shown later commits of these, which were taken back: {', '.join(done.realigned)}."
        )
    if done.without_rules:
        screen.note(
            f"Unique values of these are guarded once their program opens the instance: {', '.join(done.without_rules)}."
        )
    if not done.consistent:
        screen.note("head.json was gone: the newest version of each table was taken; `lakehouse check` compares them.")
    if done.aside is not None:
        screen.note(f"The damaged catalog lies in {done.aside}.")
