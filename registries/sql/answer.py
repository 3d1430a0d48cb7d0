"""The answer of ``lh.sql``: DuckDB's relation, which can also become an artifact."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from formats.hashing import hash_bytes

if TYPE_CHECKING:
    import duckdb

    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Answer"]

_LONGEST = 2_000


class Answer:
    """What ``lh.sql`` returns: everything that a DuckDB relation has, and :meth:`save`.

    ``df()``, ``pl()``, ``arrow()``, ``fetchall()``, ``filter(...)``, ``columns`` and the others are the relation's.

    Examples
    --------
    >>> import tempfile
    >>> from registries import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> answer = lake.sql("select 1 as n")
    >>> answer.fetchall(), answer.save("one.parquet").key
    ([(1,)], 'one.parquet')
    >>> lake.close()
    """

    def __init__(
        self, relation: duckdb.DuckDBPyRelation, home: Instance, query: str, commit: int, read: Sequence[Artifact]
    ) -> None:
        self.relation = relation
        """DuckDB's own."""
        self._home, self._query, self._commit, self._read = home, query, commit, list(read)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.relation, name)

    def __getitem__(self, name: str) -> Any:
        return self.relation[name]

    def __len__(self) -> int:
        return len(self.relation)

    def __repr__(self) -> str:
        return repr(self.relation)

    def save(self, key: str, *, description: str | None = None) -> Artifact:
        """Save the answer as an artifact, and return it.

        It belongs to the run that is under way. Where there is none, one is made, of a transform that is this query; contents that the query names are its inputs.

        Parameters
        ----------
        key
            The artifact's; its suffix says the format: ``.parquet``, ``.csv``, ...
        description
            What it is; where none is given, the query and the commit that it was asked at.
        """
        home = self._home
        home.refuse_reading_only()
        table = self.relation.to_arrow_table()
        said = f"commit {self._commit}: {' '.join(self._query.split())}"
        with self._run(key):
            for artifact in self._read:
                home.note_read(artifact)
            made = home.Artifact.from_arrow(table, key=key, description=description or said[:_LONGEST])
            saved: Artifact = made.save()
        return saved

    def _run(self, key: str) -> AbstractContextManager[None]:
        """Return the run that the artifact is to belong to, as a context."""
        home = self._home
        if home.run_uid is not None:
            return nullcontext()
        digest = hash_bytes(self._query.encode())
        name = re.sub(r"\s+", " ", f"sql of {key}")[:200]
        transform = home.Transform(
            name=name, kind="query", version=digest[:12], source_hash=digest, description=self._query[:_LONGEST]
        )
        return home.use_run(home.Run(transform=transform.save()).save())
