"""``@lh.flow`` and ``@lh.step``: functions, coroutines and generators whose calls are runs."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from importlib import import_module
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from lakehouse.errors import InputError, shown
from registries import binding
from registries.lineage import active
from registries.lineage.active import Active, inside
from registries.lineage.calls import Call, Recorded

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Step", "decorated"]

P = ParamSpec("P")
R = TypeVar("R")
_Context = tuple[str, str]


class Step(Generic[P, R]):
    """A function whose calls are recorded as runs; it is called like the function itself.

    Where no instance is connected, or one for reading only, calls are not recorded, and the log says so once. Sent to
    another process, as by ``concurrent.futures``, it takes along which run it is a part of.
    """

    def __init__(
        self, function: Callable[P, R], *, is_flow: bool, name: str | None = None, uid: str | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._recorded = Recorded(function, is_flow=is_flow, name=name, uid=uid)
        self._kind = _kind_of(function)
        if self._kind == "coroutine":
            _mark_coroutine(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        found: Any
        if self._kind == "plain":
            found = self._call(*args, **kwargs)
        elif self._kind == "coroutine":
            found = self._await(*args, **kwargs)
        elif self._kind == "generator":
            found = self._generate(*args, **kwargs)
        else:
            found = self._generate_async(*args, **kwargs)
        return found  # type: ignore[no-any-return]

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        call = self._recorded.begin(binding.current_or_none(), args, kwargs)
        if call is None:
            return self._function(*args, **kwargs)
        error: BaseException | None = None
        try:
            with inside(call.active):
                return self._function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._recorded.end(call, error)

    async def _await(self, *args: Any, **kwargs: Any) -> Any:
        function: Any = self._function
        call = self._recorded.begin(binding.current_or_none(), args, kwargs)
        if call is None:
            return await function(*args, **kwargs)
        error: BaseException | None = None
        try:
            with inside(call.active):
                return await function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._recorded.end(call, error)

    def _generate(self, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        """Go through a generator; between its values, what the caller does is the caller's."""
        call = self._recorded.begin(binding.current_or_none(), args, kwargs)
        inner: Any = self._function(*args, **kwargs)
        error: BaseException | None = None
        act: Callable[[], Any] = partial(next, inner)
        try:
            while True:
                try:
                    item = _within(call, act)
                except StopIteration as stop:
                    return stop.value
                try:
                    act = partial(inner.send, (yield item))
                except GeneratorExit:  # whoever asked has had enough
                    _within(call, inner.close)
                    raise
                except Exception as thrown:  # noqa: BLE001  it goes into the generator
                    act = partial(inner.throw, thrown)
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._recorded.end(call, error)

    async def _generate_async(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = self._recorded.begin(binding.current_or_none(), args, kwargs)
        inner: Any = self._function(*args, **kwargs)
        error: BaseException | None = None
        act: Callable[[], Any] = inner.__anext__
        try:
            while True:
                try:
                    item = await _within_async(call, act)
                except StopAsyncIteration:
                    return
                try:
                    act = partial(inner.asend, (yield item))
                except GeneratorExit:
                    await _within_async(call, inner.aclose)
                    raise
                except Exception as thrown:  # noqa: BLE001  it goes into the generator
                    act = partial(inner.athrow, thrown)
        except GeneratorExit:
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._recorded.end(call, error)

    def __get__(self, owner: object | None, kind: type | None = None) -> Any:
        """Return it as a method."""
        return self if owner is None else MethodType(self, owner)

    def __repr__(self) -> str:
        return f"<{'flow' if self._recorded.is_flow else 'step'} {self._function.__qualname__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self._function.__module__, self._function.__qualname__, _context())


class _Arrived:
    """A step in the process that it was sent to."""

    def __init__(self, step: Step[..., Any], context: _Context, process: int) -> None:
        self._step, self._context, self._process = step, context, process
        functools.update_wrapper(self, step)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        home = _connected(self._context[0])
        with inside(Active(home, self._context[1])):
            try:
                return self._step(*args, **kwargs)
            finally:
                home.tracking.recorder.try_to_flush()  # the pool may end this process at any moment

    def __reduce__(self) -> tuple[Any, ...]:
        return self._step.__reduce__()


def _context() -> _Context | None:
    home = binding.current_or_none()
    # Pools pickle in a thread of their own, which has no context.
    running = active.around(home)[0] if home is not None else None
    if running is None or home is None:
        return None
    if running.loose:
        home.tracking.recorder.try_to_flush()  # what it is a part of has to be there before it
    return str(home.root), running.uid


def _arrived(module: str, name: str, context: _Context | None) -> Any:
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found if context is None or not isinstance(found, Step) else _Arrived(found, context, os.getpid())


def _connected(root: str) -> Instance:
    home = binding.current_or_none()
    if home is None or str(home.root) != root:
        if home is not None:
            home.close()
        home = sys.modules["registries.instance"].Instance.open(root)
        binding.set_current(home)
    return home


def _within(call: Call | None, act: Callable[[], Any]) -> Any:
    if call is None:
        return act()
    with inside(call.active):
        return act()


async def _within_async(call: Call | None, act: Callable[[], Any]) -> Any:
    if call is None:
        return await act()
    with inside(call.active):
        return await act()


def _kind_of(function: Callable[..., Any]) -> str:
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    if inspect.isasyncgenfunction(function):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(function) else "plain"


def _mark_coroutine(step: Any) -> None:
    """Let ``inspect.iscoroutinefunction`` (before Python 3.12: asyncio's) know what calling it returns."""
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(step)
    else:
        step._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)


def decorated(function: Any, *, is_flow: bool, name: str | None, uid: str | None) -> Any:
    """Return the step of a function, or what makes one where only options are given.

    Raises
    ------
    InputError
        When what is decorated cannot be called.
    """
    if function is None:
        return partial(decorated, is_flow=is_flow, name=name, uid=uid)
    if isinstance(function, Step):
        raise InputError(f"{function!r} is recorded already: decorate it once")
    if isinstance(function, type) or not callable(function):
        raise InputError(f"{shown(function)} is decorated as a {'flow' if is_flow else 'step'}: a function is accepted")
    return Step(function, is_flow=is_flow, name=name, uid=uid)
