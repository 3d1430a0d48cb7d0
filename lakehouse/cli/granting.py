"""``grant``."""

from __future__ import annotations

from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import InputError

__all__ = ["grant"]


def grant(screen: Screen, role: str, *, rights: dict[str, bool], create: bool) -> None:
    """Set what a role of the catalog's database may do."""
    wanted = [right for right, given in rights.items() if given]
    if len(wanted) != 1:
        raise InputError("name one right: --read, --write, --admin or --none")
    with opened(screen) as instance:
        instance.grant(role, wanted[0], create=create)
        name = instance.lake.catalog.name
    if screen.options.json:
        screen.document({"role": role, "right": wanted[0]})
        return
    screen.line(f"{role} now has the right {wanted[0]!r} in {name}")
    screen.note("The files of the instance have rights of their own: give its people those of the folder, too.")
