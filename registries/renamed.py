"""What LaminDB calls some things, and what they are called here, for messages."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.errors import did_you_mean

__all__ = ["no_such"]

_OURS = {
    "cache": "stage()",
    "create": "save()",
    "from_dataframe": "from_df()",
    "from_lazy": "from_df()",
    "from_source": "import_source()",
    "df": "filter().df()",
    "get_or_none": "filter(...).one_or_none()",
    "all_versions": "versions",
    "search_names": "search()",
    "set_values": "add_values()",
    "to_dataframe": "df()",
    "to_df": "df()",
    "to_pandas": "df()",
    "to_arrow": "arrow()",
    "to_list": "all()",
    "to_polars": "pl()",
    "values_list": "df()",
    "objects": "filter()",
    "using": "lh.open(...).Artifact",
    "add_ontology_source": "Source(...).save()",
    "view_tree": "describe()",
    "params": "features",
}


def no_such(owner: str, name: str, known: Iterable[str]) -> str:
    """Return the message of the AttributeError for a name that there is not.

    Examples
    --------
    >>> no_such("Artifact", "to_dataframe", ["df"])
    "Artifact has no attribute 'to_dataframe': it is called df() here"
    """
    text = f"{owner} has no attribute {name!r}"
    if name.startswith("_"):  # asked for by tools that expect no more than this
        return text
    if ours := _OURS.get(name):
        return f"{text}: it is called {ours} here"
    return text + did_you_mean(name, [one for one in known if not one.startswith("_")])
