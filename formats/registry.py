"""Which format handles an object, a suffix, a file or a folder.

Built-in formats come first, then those registered by hand, then plug-ins of the entry-point group
``lakehouse.formats``, which are loaded only when nothing else fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from formats.base import Format, is_instance_of
from formats.keys import check_suffix, suffix_of
from lakehouse import plugins
from lakehouse.errors import ConfigurationError, UnknownFormat, did_you_mean, shown

__all__ = [
    "by_name",
    "folder_suffixes",
    "format_for",
    "format_in_store",
    "format_of",
    "format_of_nothing",
    "names",
    "register",
]

_BUILT_IN = {
    "parquet": "formats.parquet:ParquetFormat",
    "csv": "formats.csv:CsvFormat",
    "arrow": "formats.arrow:ArrowFormat",
    "jsonl": "formats.jsonlines:JsonLinesFormat",
    "json": "formats.json:JsonFormat",
    "h5ad": "formats.anndata:H5adFormat",
    "h5mu": "formats.mudata:H5muFormat",
    "zarr-mudata": "formats.mudata:MuDataZarrFormat",
    "zarr-anndata": "formats.anndatazarr:AnnDataZarrFormat",
    "zarr": "formats.zarr:ZarrFormat",
    "10x-h5": "formats.tenx:TenxFormat",
    "mtx": "formats.tenx:MtxFormat",
    "hdf5": "formats.hdf5plain:Hdf5Format",
    "npy": "formats.numpyfile:NpyFormat",
    "npz": "formats.numpyfile:NpzFormat",
    "tiledb": "formats.tiledb:TileDBFormat",
    "soma": "formats.soma:SomaFormat",
    "delta": "formats.delta:DeltaFormat",
    "blob": "formats.blob:BlobFormat",
    "folder": "formats.folder:FolderFormat",
}
_FOLDERS: tuple[str, ...] = ("zarr-mudata", "zarr-anndata", "zarr", "soma", "tiledb", "delta", "mtx")
"""What a folder may be, in the order of asking; any other is a ``folder``."""

_NEAR = ("delta", "mtx")
"""Folders that are looked at in a copy only."""

_SUFFIXES = {
    ".parquet": ("parquet",),
    ".pq": ("parquet",),
    ".csv": ("csv",),
    ".tsv": ("csv",),
    ".csv.gz": ("csv",),
    ".tsv.gz": ("csv",),
    ".csv.zst": ("csv",),
    ".tsv.zst": ("csv",),
    ".arrow": ("arrow",),
    ".feather": ("arrow",),
    ".ipc": ("arrow",),
    ".jsonl": ("jsonl",),
    ".ndjson": ("jsonl",),
    ".jsonl.gz": ("jsonl",),
    ".ndjson.gz": ("jsonl",),
    ".jsonl.zst": ("jsonl",),
    ".ndjson.zst": ("jsonl",),
    ".json": ("json",),
    ".json.gz": ("json",),
    ".json.zst": ("json",),
    ".h5ad": ("h5ad",),
    ".h5mu": ("h5mu",),
    ".h5": ("10x-h5", "hdf5"),
    ".hdf5": ("hdf5",),
    ".hdf": ("hdf5",),
    ".npy": ("npy",),
    ".tiledb": ("tiledb",),
    ".tdb": ("tiledb",),
    ".soma": ("soma",),
    ".delta": ("delta",),
    ".npz": ("npz",),
    ".zarr": ("zarr-mudata", "zarr-anndata", "zarr"),
    ".zarr.zip": ("zarr-mudata", "zarr-anndata", "zarr"),
}
"""Where a suffix may mean several things, the first that recognizes the file; the last, if none does."""

_TYPES = {
    "pandas.DataFrame": "parquet",
    "polars.DataFrame": "parquet",
    "pyarrow.Table": "parquet",
    "polars.LazyFrame": "parquet",
    "pyarrow.dataset.Dataset": "parquet",
    "anndata.AnnData": "h5ad",
    "mudata.MuData": "h5mu",
    "numpy.ndarray": "npy",
    "scipy.sparse.spmatrix": "tiledb",
    "scipy.sparse.sparray": "tiledb",
    "zarr.Array": "zarr",
    "zarr.Group": "zarr",
    "formats.pixels.ImageFile": "zarr",
    "builtins.bytes": "blob",
}
_loaded: dict[str, Format] = {}
_registered: dict[str, Format] = {}
_plugged: dict[str, Format] = {}


def format_for(obj: object = None, *, suffix: str | None = None, path: str | os.PathLike[str] | None = None) -> Format:
    """Return the format for an object, for a suffix, for a file, or for an object under a suffix.

    Parameters
    ----------
    obj
        An object in memory. Alone, it gets its default format.
    suffix
        Such as ``.csv.gz``. With an object, the format of that suffix must be able to write it.
    path
        A file or key, of which only the suffix counts. Unknown suffixes are blobs.

    Raises
    ------
    UnknownFormat
        No format writes such an object, or not under this suffix.

    Examples
    --------
    >>> format_for(suffix=".parquet").name, format_for(path="reads.fastq.gz").name
    ('parquet', 'blob')
    """
    if suffix is None and path is not None:
        suffix = suffix_of(path)
    if obj is None:
        return _by_suffix(check_suffix(suffix or "")) or by_name("blob")
    if not suffix:
        return _by_object(obj)
    return _by_both(obj, check_suffix(suffix))


def format_of(path: Path, suffix: str) -> Format:
    """Return the format of a file or folder that exists, by its suffix and, where that is not enough, a look at it.

    Parameters
    ----------
    path
        Where it lies.
    suffix
        What counts as its suffix; may be empty.

    Examples
    --------
    >>> import tempfile
    >>> format_of(Path(tempfile.mkdtemp()), "").name
    'folder'
    """
    if path.is_dir():
        found = (fmt for fmt in _for_folders() if fmt.recognizes(path))
        return next(found, by_name("folder"))
    candidates = [_built_in(name) for name in _SUFFIXES.get(suffix, ())]
    if len(candidates) > 1:
        return next((fmt for fmt in candidates if fmt.recognizes(path)), candidates[-1])
    return candidates[0] if candidates else format_for(suffix=suffix)


def format_in_store(path: Path, suffix: str) -> Format | None:
    """Return the format of what lies in a bucket, if it can be told and read there without a copy.

    Parameters
    ----------
    path
        A :class:`formats.remotepath.RemotePath`.
    suffix
        What counts as its suffix; may be empty.
    """
    if path.is_dir():
        found = next((fmt for fmt in map(_built_in, _FOLDERS) if fmt.name not in _NEAR and fmt.recognizes(path)), None)
    else:
        found = format_for(suffix=suffix) if len(_SUFFIXES.get(suffix, ())) < 2 else None
    return found if found is not None and found.reads_remote(path) else None


def _for_folders() -> Iterator[Format]:
    yield from map(_built_in, _FOLDERS)
    yield from _others()


def folder_suffixes() -> frozenset[str]:
    """Return the suffixes by which folders that are one thing are called.

    Examples
    --------
    >>> sorted(folder_suffixes())
    ['.delta', '.soma', '.tdb', '.tiledb', '.zarr']
    """
    found = {suffix for suffix, names in _SUFFIXES.items() if set(names) <= set(_FOLDERS)}
    return frozenset(found - {".zarr.zip"})


def by_name(name: str) -> Format:
    """Return a format by its name.

    Raises
    ------
    UnknownFormat
        There is no such format.
    """
    if name in _BUILT_IN:
        return _built_in(name)
    found = _registered.get(name) or next((plugin for plugin in _plugins() if plugin.name == name), None)
    if found is None:
        raise UnknownFormat(f"no format is called {shown(name)}{did_you_mean(name, names())}")
    return found


def format_of_nothing(suffix: str) -> Format:
    """Return the format of a file without bytes: text of no lines is a table, where tables of that suffix are text.

    Examples
    --------
    >>> format_of_nothing(".csv").name, format_of_nothing(".parquet").name
    ('csv', 'blob')
    """
    found = _by_suffix(suffix)
    return found if found is not None and suffix in found.empty_suffixes else by_name("blob")


def register(fmt: Format) -> None:
    """Add a format for this process; its name and suffixes must be free.

    Raises
    ------
    ConfigurationError
        The name or a suffix belongs to another format.
    """
    if not isinstance(fmt, Format):
        raise ConfigurationError(f"{shown(fmt)} is no format: pass an instance of a subclass of formats.base.Format")
    others = [other for other in _registered.values() if other.name != fmt.name]
    taken = set(_SUFFIXES).union(*(other.suffixes for other in others))
    clash = taken.intersection(fmt.suffixes)
    if clash or fmt.name in _BUILT_IN:
        what = f"the suffix {min(clash)!r}" if clash else f"the name {fmt.name!r}"
        raise ConfigurationError(f"{what} belongs to another format: choose another for {fmt!r}")
    _registered[fmt.name] = fmt


def names() -> tuple[str, ...]:
    """Return the names of all formats, sorted; plug-ins are listed without being loaded.

    Examples
    --------
    >>> {"blob", "csv", "h5ad", "parquet"} <= set(names())
    True
    """
    return tuple(sorted({*_BUILT_IN, *_registered, *plugins.names(plugins.FORMATS)}))


def _by_suffix(suffix: str) -> Format | None:
    if suffix in _SUFFIXES:
        return _built_in(_SUFFIXES[suffix][-1])
    if not suffix:
        return None
    return next((other for other in _others() if suffix in other.suffixes), None)


def _by_object(obj: object) -> Format:
    for dotted, name in _TYPES.items():
        if is_instance_of(obj, dotted):
            return _built_in(name)
    for other in _others():
        if other.accepts(obj):
            return other
    raise UnknownFormat(
        f"no format writes {type(obj).__module__}.{type(obj).__qualname__}; "
        f"pass one of {', '.join(_TYPES)}, or the path of a file"
    )


def _by_both(obj: object, suffix: str) -> Format:
    known = [_built_in(name) for name in _SUFFIXES.get(suffix, ())] or [fmt for fmt in [_by_suffix(suffix)] if fmt]
    candidates = [fmt for fmt in known if suffix in fmt.suffixes]  # some suffixes are read and not written
    if not candidates:
        default = _by_object(obj)
        if default.name == "blob":
            return default  # bytes go under any suffix that nobody else claims
        what = (
            f"files called {suffix} are read, and not written"
            if known
            else f"no format is known for the suffix {suffix!r}"
        )
        raise UnknownFormat(
            f"{what}; data of type {type(obj).__qualname__} is written as {' or '.join(_suffixes_for(obj))}"
        )
    if (fmt := next((one for one in candidates if one.accepts(obj)), None)) is not None:
        return fmt
    hint = " or ".join(_suffixes_for(obj)) or "nothing"
    takes = " or ".join(sorted({name.rpartition(".")[2] for fmt in candidates for name in fmt.types}))
    raise UnknownFormat(
        f"{suffix!r} holds no {type(obj).__qualname__}, which is written as {hint}{takes and f'; {suffix} takes {takes}'}"
    )


def _suffixes_for(obj: object) -> list[str]:
    formats = [*map(_built_in, _BUILT_IN), *_others()]
    return [suffix for fmt in formats if fmt.accepts(obj) for suffix in fmt.suffixes]


def _others() -> list[Format]:
    return [*_registered.values(), *_plugins()]


def _built_in(name: str) -> Format:
    if name not in _loaded:
        module, _, cls = _BUILT_IN[name].partition(":")
        _loaded[name] = getattr(import_module(module), cls)()
    return _loaded[name]


def _plugins() -> list[Format]:
    for name in plugins.names(plugins.FORMATS):
        if name not in _plugged:
            offered = plugins.load(plugins.FORMATS, name)
            fmt = offered() if isinstance(offered, type) else offered
            if not isinstance(fmt, Format):
                raise ConfigurationError(
                    f"the plug-in {name!r} offers {shown(offered)}, which is no subclass of formats.base.Format"
                )
            _plugged[name] = fmt
    return list(_plugged.values())
