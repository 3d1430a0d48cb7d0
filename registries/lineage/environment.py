"""What programs run in: Python, the machine's system, and the packages that are installed; stored once per combination."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final

from lakehouse.ids import derived_uid
from registries.column import Column, column
from registries.record import Record

__all__ = ["TABLE", "Environment", "collected", "installed"]

TABLE: Final = "environment"
_METADATA = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._]*?)-(?P<version>[^-]+?)(-py\d[\d.]*)?\.(dist|egg)-info$")


class Environment(Record, table=TABLE):
    """A combination of Python, system and packages that runs took place in.

    Examples
    --------
    >>> Environment(python="3.11.2", system="Linux", packages=["polars==2.1.0"]).packages
    ['polars==2.1.0']
    """

    python: Column[str] = column(doc="Version of Python, with its implementation where that is not CPython.")
    system: Column[str] = column(doc="Operating system and processor.")
    packages: Column[list[str]] = column(doc="What is installed, as name==version, sorted.", default=())

    @property
    def requirements(self) -> str:
        """The packages as the text of a requirements file."""
        return "".join(f"{package}\n" for package in self.packages)


@cache
def collected() -> tuple[str, dict[str, object]]:
    """Return uid and values of the environment of this process; looked at once."""
    implementation = platform.python_implementation()
    python = platform.python_version() + ("" if implementation == "CPython" else f" {implementation}")
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    packages = installed(sys.path)
    uid = derived_uid(TABLE, python, system, *packages)
    return uid, {"uid": uid, "python": python, "system": system, "packages": packages}


def installed(folders: list[str]) -> list[str]:
    """Return the packages that lie in folders, as name==version.

    They are read off the names of folders of metadata, which takes a few milliseconds where reading the metadata
    itself takes a few hundred.

    Examples
    --------
    >>> any(package.startswith("pyarrow==") for package in installed(sys.path))
    True
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        try:
            names = os.listdir(Path(folder or "."))  # noqa: PTH208  a Path per entry takes as long again
        except OSError:  # an archive, or a folder that is not there
            continue
        for name in names:
            if name.endswith("-info") and (parts := _METADATA.match(name)):
                found.setdefault(
                    re.sub(r"[-_.]+", "-", parts["name"]).lower(), parts["version"]
                )  # the first is imported
    return sorted(f"{name}=={version}" for name, version in found.items())
