"""The command ``lakehouse``: what people and scripts type in a shell.

``main`` is the console script. Results go to standard output, everything else to standard error. Exit codes: 0 done,
1 refused or failed, 2 wrong usage, 3 not found, 4 a conflict or busy, 130 interrupted, 141 the reader closed the pipe.
"""

from lakehouse.cli.queries import app
from lakehouse.cli.run import main

__all__ = ["app", "main"]
