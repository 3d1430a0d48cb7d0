"""A vocabulary with another one beside it, as a registry with its public source has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from validation import Vocabulary

CONTAINERS = [list, tuple, np.array, pd.Series, pl.Series, pa.array]


@pytest.fixture
def both() -> Vocabulary:
    """Return terms some of which lack the id that the other vocabulary has for them."""
    own = Vocabulary(
        ["T cell", "neuron", *(f"term {n}" for n in range(40))], fields={"id": [None, "N:2"] + [None] * 40}
    )
    return own.beside(Vocabulary(["T cell", "B cell"], fields={"id": ["P:1", "P:2"]}))


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize("container", CONTAINERS)
def test_an_id_of_either_is_valid_in_every_container_and_number(both: Vocabulary, container: Any, times: int) -> None:
    values = ["P:1", "P:2", "N:2", "X:3"]
    found = both.validate(container(values * times), field="id")
    flags = found.to_pylist() if isinstance(found, pa.Array) else list(found)
    assert flags == [True, True, True, False] * times
    inspected = both.inspect(container(values * times), field="id")
    assert sorted(inspected.validated) == ["N:2", "P:1", "P:2"]


@pytest.mark.parametrize("times", [1, 100])
def test_names_of_either_are_valid(both: Vocabulary, times: int) -> None:
    values = ["T cell", "B cell", "term 7", "t cell", "", None]
    assert both.validate(values * times) == [True, True, True, False, False, False] * times
