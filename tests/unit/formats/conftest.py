"""What the tests of formats share."""

from __future__ import annotations

from pathlib import Path

import pytest

_DATA = Path(__file__).parents[4] / "shared" / "data" / "datasets"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real files, or skip."""
    if not _DATA.is_dir():
        pytest.skip("the folder of real files, ../shared/data beside the project, is absent")
    return _DATA
