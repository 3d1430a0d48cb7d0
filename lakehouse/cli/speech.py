"""Messages of the library as a shell says them: its advice is Python, and a command is what is typed here."""

from __future__ import annotations

import re

__all__ = ["spoken"]

_SPOKEN = (
    (r"(?:lh|lakehouse)\.(init|connect)\('([^']*)'\)", r"`lakehouse \1 \2`"),
    (r"pass create=True or save ULabel\(name=\.\.\.\)", "pass --create-labels"),
    (r"pass format='(\w+)'", r"pass --format \1"),
    (r", or pass suffix='[^']*' if that is what the bytes are", ""),
    (r"\w+\.get\(('[^']*')\) may mean", r"\1 may mean"),
    (
        r"hand other data in with tables=\{'name': frame\}, or register the file as an artifact",
        '`lakehouse save FILE` registers a file, then content."KEY" reads it',
    ),
    (r"registries change through save\(\), and a SELECT's result is exported with .*", "--format csv exports its rows"),
    (r"(\w+)\.filter\(\)\.df\(\) lists them all", r"`lakehouse ls --registry \1` lists them all"),
    (r"restore with discard_newer=True", "add --discard-newer"),
    (r"move the tag with move=True", "move it with --move"),
    (r"lh\.add_registry\(\w+\) or (`lakehouse registry add [^`]*`)", r"\1"),
    (r"lh\.migrate\(\)", "`lakehouse migrate apply`"),
    (r"pass allow_loss=True if that is meant \(at= still", "pass --allow-loss if that is meant (--at still"),
    (r"import_source\(path=\.\.\.\)", "`lakehouse source import ENTITY --path FILE`"),
    (r"import_source\(path=\.\.\., version=\.\.\.\)", "`lakehouse source import ENTITY --path FILE --version VERSION`"),
    (r"import_source\('([^']*)'\)", r"`lakehouse source import ENTITY --version \1`"),
    (r"Source\(\.\.\.\)\.save\(\)", "`lakehouse source add`"),
    (r"name it with format=, one of", "name it with --format, one of"),
    (r"pass most_vanished=1\.0", "pass --most-vanished 1"),
    (r"pass on_error='skip' or 'quarantine'", "pass --on-error skip or --on-error quarantine"),
    (r"pass create_labels=True", "pass --create-labels"),
    (r"create_labels=True makes it", "--create-labels makes it"),
    (r"sync=True follows", "--sync follows"),
    (r"lh\.validate\(path, schema\) lists", "`lakehouse validate FILE --schema NAME` lists"),
    (r"save them with format='blob'", "save them with --format blob"),
    (r"pass user= or set LAKEHOUSE_USER", "set LAKEHOUSE_USER"),
)


def spoken(message: str) -> str:
    """Return a message of the library with the commands in place of the calls that it recommends.

    Examples
    --------
    >>> spoken("no instance: lh.init('./mylake') makes one")
    'no instance: `lakehouse init ./mylake` makes one'
    """
    for pattern, words in _SPOKEN:
        message = re.sub(pattern, words, message)
    return message
