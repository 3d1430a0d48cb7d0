"""A progress bar on standard error, where somebody is there to see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lakehouse.cli.screen import Screen
from lakehouse.cli.text import visible
from lakehouse.types import Progress

__all__ = ["bar", "counted", "downloaded", "paced"]


@contextmanager
def bar(screen: Screen, total: int, *, wanted: bool = True) -> Iterator[Callable[[str, int], None]]:
    """Show a bar over ``total`` bytes; what is yielded takes the name of what is at work and the bytes just done.

    Parameters
    ----------
    screen
        Says whether there is a terminal.
    total
        Bytes.
    wanted
        Whether there is enough to do to show one.
    """
    if not (wanted and screen.shows_progress):
        yield lambda name, done: None
        return
    with _shown(lambda rich: (rich.DownloadColumn(), rich.TimeElapsedColumn())) as shown:
        task = shown.add_task("", total=total)
        yield lambda name, done: shown.update(task, description=visible(name), advance=done)


@contextmanager
def counted(screen: Screen, what: str) -> Iterator[Progress]:
    """Show a bar over things that are counted, such as files; what is yielded takes how many are done, and of how many.

    Parameters
    ----------
    screen
        Says whether there is a terminal.
    what
        What is counted.
    """
    with _done(screen, what, lambda rich: (rich.MofNCompleteColumn(), rich.TimeElapsedColumn())) as told:
        yield told


@contextmanager
def downloaded(screen: Screen, what: str) -> Iterator[Progress]:
    """Show what is under way, with the bytes that came of a download; what is yielded takes these, and of how many."""
    with _done(screen, what, lambda rich: (rich.DownloadColumn(), rich.TimeElapsedColumn())) as told:
        yield told


@contextmanager
def paced(screen: Screen, what: str) -> Iterator[Progress]:
    """Show a bar as :func:`counted` does, with how many are done a second, and the time that is left."""
    rate = "{task.fields[rate]}"
    with _done(
        screen,
        what,
        lambda rich: (rich.MofNCompleteColumn(), rich.TextColumn(rate, markup=False), rich.TimeRemainingColumn()),
    ) as told:
        yield told


@contextmanager
def _done(screen: Screen, what: str, amount: Callable[[Any], tuple[Any, ...]]) -> Iterator[Progress]:
    if not screen.shows_progress:
        yield lambda done, total: None
        return
    with _shown(amount) as shown:
        task = shown.add_task(what, total=None, rate="")

        def told(done: int, total: int | None) -> None:
            speed = shown.tasks[0].speed
            shown.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield told


@contextmanager
def _shown(amount: Callable[[Any], tuple[Any, ...]]) -> Iterator[Any]:
    """Show a name and a bar, and what a function of rich's module says beside them."""
    from rich import progress as rich
    from rich.console import Console

    head = rich.SpinnerColumn(), rich.TextColumn("{task.description}", markup=False), rich.BarColumn()
    with rich.Progress(*head, *amount(rich), console=Console(stderr=True), transient=True) as shown:
        yield shown
