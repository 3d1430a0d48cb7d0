"""Settings: argument, then context, then environment, then file, then default.

Files are two: the *pointer* ``.lakehouse``, left by ``lh.init`` in the working folder, which names the instance that
sessions in that folder or below connect to; and the user's ``config.toml`` in ``$XDG_CONFIG_HOME/lakehouse``
(``~/.config/lakehouse``), which may set any of the settings. The pointer comes first, being nearer. Nothing is read
when this module is imported; callers resolve the settings once, when they connect.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from lakehouse.errors import ConfigurationError, did_you_mean, shown
from lakehouse.identity import checked_user, git_user, login
from lakehouse.pointer import find_pointer, read_pointer, write_pointer

__all__ = [
    "Settings",
    "current_user",
    "find_pointer",
    "read_pointer",
    "resolve",
    "user_config",
    "using",
    "write_pointer",
]
