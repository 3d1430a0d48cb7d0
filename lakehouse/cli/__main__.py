"""``python -m lakehouse.cli``."""

from __future__ import annotations

import sys

from lakehouse.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
