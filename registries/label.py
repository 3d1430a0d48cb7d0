"""Universal labels."""

from __future__ import annotations

from registries.column import Column, column
from registries.ontology.parents import Hierarchical

__all__ = ["ULabel"]


class ULabel(Hierarchical, natural=("name",), carried="ulabels"):
    """A label that anything may carry; labels may have parents.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> treated = lake.ULabel(name="treated").save()
    >>> lake.ULabel(name="treated").save() == treated
    True
    >>> lake.ULabel(name="treated with drug A", parents=[treated]).save().parents.one().name
    'treated'
    >>> lake.close()
    """

    name: Column[str] = column(doc="Unique, in Unicode normal form C.", unique=True)
    description: Column[str | None] = column(doc="What it means.", default=None)
    synonyms: Column[list[str]] = column(doc="Other names.", default=())
