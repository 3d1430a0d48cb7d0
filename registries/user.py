"""Who saves records."""

from __future__ import annotations

from lakehouse.identity import checked_user
from registries.column import Column, column
from registries.names import check_name
from registries.record import Record

__all__ = ["User"]


class User(Record, natural=("handle",)):
    """A person or service that saves records.

    The row of the one who works is made with the first record that needs it; its uid is computed from the handle, so
    that the same handle is the same user in every instance.
    """

    handle: Column[str] = column(doc="Short unique name, such as a login.", unique=True)
    name: Column[str | None] = column(doc="Full name.", default=None)

    def check(self) -> None:
        """Check handle and name."""
        super().check()
        self._values["handle"] = checked_user(self.handle, "User.handle")
        if self.name is not None:
            self._values["name"] = check_name(self.name, "User.name")
