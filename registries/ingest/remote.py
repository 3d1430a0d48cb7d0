"""Objects of a bucket, registered where they lie by the hashes that the bucket has of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InvalidFile, LakehouseError, NotFound
from registries.ingest.manifest import Entry
from registries.ingest.report import Outcome

if TYPE_CHECKING:
    from registries.ingest.registering import Registering
    from registries.instance import Instance

__all__ = ["ingested"]

_THREADS = 8
_BATCH = 2_000


def ingested(
    home: Instance, entries: Sequence[Entry], registering: Registering, *, dry_run: bool
) -> Iterator[list[Outcome]]:
    """Yield the outcomes of so many objects at a time, each time after they were saved in one commit."""
    del registering
    for start in range(0, len(entries), _BATCH):
        part = entries[start : start + _BATCH]
        with ThreadPoolExecutor(_THREADS) as pool:
            made = list(pool.map(lambda entry: _prepared(home, entry), part))
        before = home.snapshot()
        good = [one for one in made if not isinstance(one, Outcome)]
        if not dry_run:
            home.save(good)
        outcomes = []
        for entry, one in zip(part, made, strict=True):
            if isinstance(one, Outcome):
                outcomes.append(one)
            elif dry_run:
                known = len(before.lookup("artifact", "key", [entry.key]))
                outcomes.append(Outcome(entry.path, entry.key, "new version" if known else "new"))
            else:
                known = before.get("artifact", one.uid) is not None
                outcome = "unchanged" if known else "new version" if one.version else "new"
                outcomes.append(Outcome(entry.path, entry.key, outcome, one.uid, one.hash, one.size))
        yield outcomes


def _prepared(home: Instance, entry: Entry) -> Any:
    artifact = home.Artifact(entry.path, key=entry.key, description=entry.description)
    try:
        artifact.prepare(home)
    except NotFound as error:
        return Outcome(entry.path, entry.key, "failed", reason="vanished", message=str(error))
    except InvalidFile as error:
        return Outcome(entry.path, entry.key, "failed", reason="unreadable", message=str(error))
    except LakehouseError as error:
        return Outcome(entry.path, entry.key, "failed", reason="refused", message=str(error))
    return artifact
