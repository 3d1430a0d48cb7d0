"""What stands behind ``lh.ingest``."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Any

from lakehouse.types import Progress
from registries import binding
from registries.ingest import Ingest, IngestReport, Options

__all__ = ["ingest"]


def ingest(
    source: Any,
    *,
    schema: Any = None,
    on_error: str = "stop",
    dry_run: bool = False,
    resume: bool = True,
    sync: bool = False,
    executor: Executor | None = None,
    workers: int | None = None,
    prefix: str | None = None,
    storage: Any = None,
    labels: Iterable[str] = (),
    create_labels: bool = False,
    settle: float = 2.0,
    most_vanished: float = 0.5,
    progress: Progress | None = None,
) -> IngestReport:
    r"""Register the files of a manifest, a folder or a pattern, in parallel and in large transactions.

    Killed at any moment and run again, it changes nothing twice. A file that an earlier run saw, with the same size
    and times, is not read again; nor is an object of which a bucket tells the tag, size and time that it told then.

    Parameters
    ----------
    source
        A manifest (csv, parquet or a frame) with the columns path, key, description, features and labels, of which
        only path is needed, a path or a URL; a folder; a pattern such as ``"runs/**/*.h5ad"``; or the URL of an object
        or of a folder of them in a bucket, or a pattern there. What lies in a registered storage stays there, the rest
        is copied, from buckets through the cache.
    schema
        What each file must conform to: a schema or its name; files that do are saved with features and labels.
    on_error
        ``stop`` raises at the first file that fails, ``skip`` goes on, ``quarantine`` goes on and keeps the bytes of
        such files under ``quarantine/...`` with the label ``quarantined``.
    dry_run
        Read and validate everything, and save nothing.
    resume
        Whether to pass over files as earlier runs saw them; False reads all of them.
    sync
        Follow a folder: leave files that were written a moment ago to the next run, and move artifacts to the trash
        whose files vanished. Made for cron: a second run of the same folder at the same time is refused.
    executor
        Of ``concurrent.futures``; default: processes of this machine. ``client.get_executor()`` of Dask and
        ``registries.ingest.RayExecutor()`` work on a cluster that sees the files under the same paths.
    workers
        Processes, where no executor is given; default: one for each processor. Threads, for what lies in a bucket.
    prefix
        What keys of a folder or pattern begin with; default: its place in its storage, or the name of the folder.
    storage
        Where bytes are copied to; default: the default storage.
    labels
        Of all files.
    create_labels
        Whether to make labels that are not known.
    settle
        Seconds for which a file must not have been written to, with ``sync``.
    most_vanished
        Share of the files up to which ``sync`` believes that they vanished; beyond, it refuses.
    progress
        Is told of the files that are done, and of how many there are.

    Raises
    ------
    InvalidData
        With ``on_error="stop"``, when a file fails; ``report`` has the outcomes.
    Busy
        When another run of the same source is under way on this machine.
    Unavailable
        When the disk is full, or workers of a given executor die; what is registered stays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> folder = Path(tempfile.mkdtemp(), "run1")
    >>> folder.mkdir()
    >>> _ = (folder / "a.txt").write_text("1"), (folder / "b.txt").write_text("2")
    >>> lh.ingest(folder, workers=1).counts
    {'new': 2}
    >>> lh.ingest(folder, workers=1).counts
    {'unchanged': 2}
    >>> lh.Artifact.get(key="run1/b.txt").load()
    b'2'
    >>> lh.disconnect()
    """
    options = Options(
        schema=schema,
        on_error=on_error,
        dry_run=dry_run,
        resume=resume,
        sync=sync,
        executor=executor,
        workers=workers,
        prefix=prefix,
        storage=storage,
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
        create_labels=create_labels,
        settle=settle,
        most_vanished=most_vanished,
        progress=progress,
    )
    return Ingest(binding.current(), source, options).run()
