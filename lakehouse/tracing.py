"""What stands behind ``lh.track``, ``lh.finish``, ``lh.flow`` and ``lh.step``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

from lakehouse.errors import InputError, NotFound, did_you_mean, shown
from registries import binding
from registries.lineage.parameters import check_parameters, parameter
from registries.lineage.source import Source, of_caller, of_function, of_path
from registries.lineage.steps import Step, decorated
from registries.lineage.versions import Wanted, check_pin
from registries.names import check_name
from registries.run import Run
from registries.transform import KINDS, Transform

__all__ = ["finish", "flow", "step", "track"]

P = ParamSpec("P")
R = TypeVar("R")


def track(
    what: str | Callable[..., Any] | Transform | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    key: str | None = None,
    path: str | os.PathLike[str] | None = None,
    uid: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    description: str | None = None,
    log: bool = False,
    report: bool | str | os.PathLike[str] | None = None,
) -> Run:
    """Record that this script, notebook or function is running: what is read and saved from now on belongs to its run.

    The run ends with ``lh.finish()``, with the ``with`` block where it begins one, or else when the process ends; as
    failed where an exception ended it. Its transform is that of the source: the version that had the same content
    before, or a new one.

    Parameters
    ----------
    what
        A function, a saved ``Transform``, or a name (the same as ``key``), where it is not the script or notebook.
    params
        Values by name; found by ``Run.filter(params__alpha__gt=0.1)``. Secrets are not recorded.
    key
        What the transform is called, wherever its file lies; default: its path from the top of its git repository,
        or from the folder with the pointer file, or else its name.
    path
        The file of the source, where it cannot be found by itself.
    uid
        Pins the transform: 20 characters for one version, whatever its source is by now; the first 16 for all
        versions of one transform, whatever it is called by now.
    version
        What to call the version; default: they are counted.
    kind
        script, notebook, pipeline or function; default: as it is found to be.
    description
        What it does.
    log
        Whether to keep what it writes to the screen, as an artifact.
    report
        A file to keep as its report when it ends; ``False`` for none. Of notebooks the executed notebook is kept.

    Raises
    ------
    InputError
        When what is given names no source, or parameters have no names.
    ReadOnly
        When the instance was opened for reading only.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> with lh.track("normalise", params={"alpha": 0.5}) as run:
    ...     artifact = lh.Artifact(b"1", key="a.txt").save()
    >>> artifact.run == run.uid, run.outcome, run.params
    (True, 'finished', {'alpha': 0.5})
    >>> lh.disconnect()
    """
    home = binding.current()
    given = check_parameters(params)
    if isinstance(what, str):
        if key is not None:
            raise InputError(f"track({shown(what)}, key={shown(key)}): one name is accepted")
        key = what
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind = {shown(kind)}{did_you_mean(str(kind), KINDS)}")
    if report is not None and not isinstance(report, bool | str | os.PathLike):
        raise InputError(f"report = {shown(report)}: the path of a file, or False, is accepted")
    source, pin = _source(what, path)
    source = source if kind is None else replace(source, kind=kind)
    wanted = Wanted(
        source,
        check_pin(uid) or pin,
        check_name(version, "version") if version is not None else None,
        description,
        check_name(key, "key") if key is not None else None,
    )
    kept = {name: parameter(name, value) for name, value in given.items()}
    return home.tracking.start(wanted, parameters=kept, log=log, report=report)


def _source(what: object, path: str | os.PathLike[str] | None) -> tuple[Source, str | None]:
    if path is not None:
        if what is not None and not isinstance(what, str):
            raise InputError(f"track({shown(what)}, path={shown(path)}): give one of them")
        if not Path(path).is_file():
            raise NotFound(f"path = {shown(os.fspath(path))}: there is no such file")
        return of_path(Path(path)), None
    if what is None or isinstance(what, str):
        return of_caller(), None
    if isinstance(what, Transform):
        if not what.is_saved:
            raise InputError(f"track({what!r}): it is not saved: call its save() first")
        return Source(what.kind, what.name), what.uid
    if callable(what) and not isinstance(what, type):
        return of_function(what), None
    raise InputError(f"track({shown(what)}): a name, a function or a Transform is accepted")


def finish(*, report: bool | str | os.PathLike[str] | None = None) -> Run:
    """End what ``lh.track()`` began, the innermost where several are open, and return its run.

    Parameters
    ----------
    report
        A file to keep as its report; as for :func:`track`.

    Raises
    ------
    InputError
        When nothing is tracked.
    """
    tracking = binding.current().tracking
    tracking.check_tracked()
    found = tracking.finish(report=report)
    assert found is not None
    return found


@overload
def flow(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def flow(*, name: str | None = None, uid: str | None = None) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def flow(function: Any = None, /, *, name: str | None = None, uid: str | None = None) -> Any:
    """Let calls of a function be recorded as runs, durably from their beginning; steps that it calls are its parts.

    Works on functions, methods, coroutines and generators. Where no instance is connected, calls are not recorded.

    Parameters
    ----------
    function
        The function.
    name
        What its transform is called; default: the name of its file and its own.
    uid
        Pins its transform; as for :func:`track`.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> @lh.step
    ... def double(x):
    ...     return 2 * x
    >>> @lh.flow(name="pipeline")
    ... def pipeline(n):
    ...     return [double(x) for x in range(n)]
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> pipeline(3)
    [0, 2, 4]
    >>> lh.Run.filter(run__transform__name="pipeline").count()
    3
    >>> lh.disconnect()
    """
    return decorated(function, is_flow=True, name=name, uid=uid)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(*, name: str | None = None, uid: str | None = None) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(function: Any = None, /, *, name: str | None = None, uid: str | None = None) -> Any:
    """Let calls of a function be recorded as runs, as parts of the flow or run around them.

    Thousands of steps are committed together: when their flow ends, with the next save, or after a second. A process
    that is killed loses at most those of its last second. Where no instance is connected, calls are not recorded.

    Parameters
    ----------
    function
        The function, also a method, a coroutine or a generator.
    name
        What its transform is called; default: the name of its file and its own.
    uid
        Pins its transform; as for :func:`track`.
    """
    return decorated(function, is_flow=False, name=name, uid=uid)
