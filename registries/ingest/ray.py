"""Ray as an executor of ``concurrent.futures``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from importlib import import_module
from typing import Any

from lakehouse.errors import MissingExtra

__all__ = ["RayExecutor"]


class RayExecutor(Executor):
    """Runs what is submitted as tasks of Ray, which is initialised where it is not; needs ``pip install ray``.

    Parameters
    ----------
    num_cpus
        That each task takes.

    Notes
    -----
    Workers need this package, and the files under the same paths.
    """

    def __init__(self, *, num_cpus: float = 1.0) -> None:
        try:
            self._ray: Any = import_module("ray")
        except ModuleNotFoundError as error:
            raise MissingExtra("'ray' is not installed: pip install ray") from error
        if not self._ray.is_initialized():
            self._ray.init(log_to_driver=False)
        self._task = self._ray.remote(num_cpus=num_cpus)(_called)

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Start a task, and return the future of its result; arguments go by their place."""
        found: Future[Any] = self._task.remote(fn, *args).future()
        return found


def _called(fn: Callable[..., Any], *args: Any) -> Any:
    return fn(*args)
