from __future__ import annotations

import inspect
import pickle
import re

import pytest

from lakehouse import errors
from lakehouse.errors import LakehouseError, NotFound, did_you_mean, shown

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, LakehouseError) and value.__module__ == errors.__name__
}


def drawn() -> dict[str, tuple[str, str | None]]:
    """The tree in the docstring: each class, with the parent it hangs from and the builtin in brackets."""
    path: list[str] = []
    found: dict[str, tuple[str, str | None]] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:│   |    )*(?:├── |└── )?)(\w+)(?: \((\w+)\))?", line)
        if match:
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            found[match[2]] = (path[depth - 1] if depth else "Exception", match[3])
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    real = {
        name: (
            cls.__bases__[0].__name__,
            next((base.__name__ for base in cls.__bases__[1:]), None),
        )
        for name, cls in CLASSES.items()
    }
    assert drawn() == real
    assert len(real) > 20


def test_every_error_is_exported():
    assert set(errors.__all__) == {*CLASSES, "did_you_mean", "shown"}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_crosses_processes_with_its_message(name: str):
    error = pickle.loads(pickle.dumps(CLASSES[name]("no 'x'; did you mean 'y'?")))
    assert type(error) is CLASSES[name]
    assert str(error) == "no 'x'; did you mean 'y'?"


def test_a_not_found_error_reads_as_its_message_and_is_a_key_error():
    with pytest.raises(KeyError) as caught:
        raise NotFound("no artifact 'x'")
    assert str(caught.value) == "no artifact 'x'"


def test_shown_values_are_cut_and_escape_what_would_disturb_a_terminal():
    assert len(shown("x" * 1_000_000)) == 120
    assert shown("/data/" + "x" * 1_000_000 + "/reads.csv").endswith("/reads.csv'")
    assert shown("a\x1b[31m\u202e\n") == r"'a\x1b[31m\u202e\n'"


def test_near_choices_are_offered_and_a_long_value_does_not_stall():
    assert did_you_mean("artefact", ["artifact", "run"]) == "; did you mean 'artifact'?"
    assert did_you_mean("x" * 1_000_000, ["artifact"]) == "; choose one of 'artifact'"
    assert did_you_mean("x", []) == ""
