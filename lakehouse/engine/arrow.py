"""Arrow's compute functions: pyarrow makes them at import, so type checkers cannot see them one by one."""

from __future__ import annotations

from typing import Any

import pyarrow.compute

__all__ = ["pc"]

pc: Any = pyarrow.compute
