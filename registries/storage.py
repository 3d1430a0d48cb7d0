"""Where bytes lie."""

from __future__ import annotations

import re

from lakehouse.errors import InputError, shown
from registries.column import Column, column
from registries.names import check_name
from registries.record import Record

# A user's part before @, or a query such as that of a presigned URL.
_SECRET = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/+([^/]*@|.*\?.)", re.DOTALL)

__all__ = ["Storage"]


class Storage(Record, natural=("root",)):
    """A root under which artifacts lie."""

    root: Column[str] = column(
        doc="Folder or URL; relative to the instance where it lies inside, so that a moved instance stays whole.",
        unique=True,
    )
    kind: Column[str] = column(doc="Protocol: file, memory, s3, ...", default="file")
    description: Column[str | None] = column(doc="What is kept there.", default=None)

    def check(self) -> None:
        """Check the root: everyone who reads the instance reads it, so it may hold no secret."""
        super().check()
        if _SECRET.search(self.root):
            scheme = self.root.partition(":")[0]
            raise InputError(
                f"Storage.root {shown(scheme + '://')}… holds a key, a password or a signature, which everyone who "
                "reads the instance would see: leave it out, and give it to the machine's environment"
            )
        self._values["root"] = check_name(self.root, "Storage.root")
