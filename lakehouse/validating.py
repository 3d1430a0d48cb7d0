"""What stands behind ``lh.curate`` and ``lh.validate``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from registries import binding
from registries.checking import Checked, check_files
from registries.curate import Curator
from registries.schema import Schema

__all__ = ["curate", "validate"]


def curate(data: Any, schema: Any) -> Curator:
    """Return a curator, which validates, standardizes, adds new terms and saves an annotated artifact.

    Parameters
    ----------
    data
        A pandas, Polars or Arrow table, an AnnData, a MuData, a SOMA experiment, a saved artifact, or the path of a
        file; tables on disk are read in batches.
    schema
        A schema, its name, a list of rules, or a schema or model of pandera.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> import polars as pl
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> curator = lh.curate(pl.DataFrame({"age": [31, -1]}), [lh.Rule("age", "int", ge=0)])
    >>> print(curator.validate())
    does not conform to schema: 1 fault
      columns.age: -1 is not at least 0 [out_of_range] at row 1
    >>> lh.disconnect()
    """
    return Curator(data, schema, binding.current())


def validate(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    schema: Schema | str,
    *,
    save: bool = False,
    on_invalid: str = "refuse",
    quarantine: str | os.PathLike[str] | None = None,
) -> list[Checked]:
    r"""Validate files and folders, and save those that conform where that is asked for.

    Parameters
    ----------
    paths
        Files, or folders of files.
    schema
        A schema or its name.
    save
        Whether to save files that conform as annotated artifacts, all in one commit, each under its name as the key,
        or its path within the folder that was given.
    on_invalid
        With ``save``: ``refuse`` saves nothing at all, ``register`` saves files that do not conform as invalid. With or
        without: ``quarantine`` moves them to a folder, with a report beside each.
    quarantine
        That folder.

    Raises
    ------
    InvalidData
        When a file does not conform and nothing is to be saved for that.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> file = Path(tempfile.mkdtemp(), "donors.csv")
    >>> _ = file.write_text("age\n31\n")
    >>> _ = lh.Schema([lh.Rule("age", "int", ge=0)], name="donors").save()
    >>> [one.outcome for one in lh.validate(file, "donors", save=True)]
    ['saved']
    >>> lh.disconnect()
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    home = binding.current()
    return check_files(home, given, schema, save=save, on_invalid=on_invalid, quarantine=quarantine)
