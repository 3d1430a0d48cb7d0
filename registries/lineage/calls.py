"""One call of a flow or a step: its run begins, and ends with what the call came to."""

from __future__ import annotations

import datetime as dt
import inspect
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.ids import new_uid
from registries.lineage import active, process
from registries.lineage.active import Active
from registries.lineage.ending import outcome_of, text_of, watch
from registries.lineage.parameters import OBJECT, Parameter, parameter
from registries.lineage.source import of_function
from registries.lineage.versions import Wanted, check_pin

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Call", "Recorded"]

_log = logging.getLogger("lakehouse")
_MOST = 200  # parameters of a call that are kept


@dataclass
class Call:
    """A call that is under way."""

    active: Active
    began: float


class Recorded:
    """A function whose calls are runs.

    Parameters
    ----------
    function
        The function.
    is_flow
        Whether each call is committed when it begins, and at its end with all its steps.
    name
        What the transform is called; default: the file's name and the function's.
    uid
        Pins the transform; see ``lh.track``.
    """

    def __init__(self, function: Callable[..., Any], *, is_flow: bool, name: str | None, uid: str | None) -> None:
        self.function, self.is_flow, self._name, self._pin = function, is_flow, name, check_pin(uid)
        self._signature: inspect.Signature | None = None
        self._transforms: weakref.WeakKeyDictionary[Instance, tuple[str, str | None]] = weakref.WeakKeyDictionary()
        self._told = False

    def begin(self, home: Instance | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
        """Begin the run of a call; None where there is no instance to record it in."""
        if home is None or home.read_only:
            self._say_unrecorded(home)
            return None
        began, now = time.monotonic(), dt.datetime.now(dt.UTC)
        parent, placed = active.around(home)
        if not placed and self.is_flow:  # two flows in two threads have nothing to do with each other
            parent, placed = active.tracked(home), True
        transform, digest = self._transform(home)
        kept = self._parameters(args, kwargs)
        running = Active(home, new_uid(), parent, loose=True, placed=placed)
        running.passed = any(one.kind == OBJECT for one in kept.values())
        row = dict.fromkeys(home.Run.meta.columns) | {
            "uid": running.uid,
            "transform": transform,
            "started_at": now,
            "created_at": now,
            "host": process.host(),
            "process": home.tracking.process,
            "source_hash": digest,
            "environment": home.tracking.environment,
            "run": parent.uid if parent is not None else None,
        }
        recorder = home.tracking.recorder
        recorder.run(running, row)
        if kept:
            recorder.parameters(running.uid, kept, now)
        active.begin(running)
        if self.is_flow:
            recorder.try_to_flush()
        return Call(running, began)

    def end(self, call: Call | None, error: BaseException | None) -> None:
        """End the run of a call."""
        if call is None:
            return
        running = call.active
        home, recorder = running.home, running.home.tracking.recorder
        ended = running.row["started_at"] + dt.timedelta(seconds=time.monotonic() - call.began)
        final = {"finished_at": ended, "outcome": outcome_of(error), "error": text_of(error)}
        if running.parent is not None and (running.passed or not running.reads):
            final["inherits"] = True
        recorder.run(running, running.row | final)
        active.end(running)
        recorder.forget(running.uid, running.reads)
        if running.joined and home.gathers:  # the transaction around it holds the row as it was
            row = running.row
            home.run(lambda txn: txn.upsert("run", [row]))
        if self.is_flow:
            recorder.try_to_flush()
        else:
            recorder.now_and_then()

    def _transform(self, home: Instance) -> tuple[str, str | None]:
        if (known := self._transforms.get(home)) is not None:
            return known
        source = of_function(self.function, kind="pipeline" if self.is_flow else "function")
        found = home.tracking.ensure(Wanted(source, self._pin, None, _summary(self.function), self._name))
        watch(home.tracking)
        if not home.gathers:  # else it may still be rolled back
            self._transforms[home] = found, source.hash
        return found, source.hash

    def _parameters(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Parameter]:
        if self._signature is None:
            try:
                self._signature = inspect.signature(self.function)
            except (TypeError, ValueError):  # built in
                self._signature = inspect.Signature([_ANY_ARGS, _ANY_KWARGS])
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:  # the call itself will say what is wrong with it
            return {}
        bound.apply_defaults()
        found: dict[str, Parameter] = {}
        for position, (name, value) in enumerate(bound.arguments.items()):
            if len(found) >= _MOST or (position == 0 and name in ("self", "cls")):
                continue
            if self._signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                found |= {key: parameter(key, one) for key, one in list(value.items())[:_MOST]}
            else:
                found[name] = parameter(name, value)
        return found

    def _say_unrecorded(self, home: Instance | None) -> None:
        if not self._told:
            self._told = True
            why = "no instance is connected" if home is None else "the instance is open for reading only"
            _log.warning("calls of %s are not recorded: %s", getattr(self.function, "__qualname__", "a function"), why)


_ANY_ARGS = inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)
_ANY_KWARGS = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)


def _summary(function: Callable[..., Any]) -> str | None:
    text = (inspect.getdoc(function) or "").strip().partition("\n")[0]
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:500] or None
