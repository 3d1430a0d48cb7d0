"""Formats: how objects become files, and where files lie.

A *format* writes, loads, opens and describes one kind of file; a *storage* is a root that holds files under
their content hash. Nothing here knows of registries or commits, and importing this package loads no format.

- :mod:`formats.registry`: which format handles an object, a suffix or a file
- :mod:`formats.base`: what a format is, and :class:`~formats.base.Description`
- :mod:`formats.parquet`, :mod:`formats.csv`, :mod:`formats.arrow`, :mod:`formats.jsonlines`, :mod:`formats.json`: tables
- :mod:`formats.delta`: tables in folders of their own
- :mod:`formats.anndata`, :mod:`formats.anndatazarr`, :mod:`formats.mudata`, :mod:`formats.tenx`, :mod:`formats.soma`:
  annotated matrices
- :mod:`formats.zarr`, :mod:`formats.tiledb`, :mod:`formats.hdf5plain`, :mod:`formats.numpyfile`: arrays
- :mod:`formats.folder`, :mod:`formats.blob`: anything else
- :mod:`formats.storage`, :mod:`formats.hashing`, :mod:`formats.keys`, :mod:`formats.durable`: where bytes lie
- :mod:`formats.testing`: the suite that every format must pass, third-party ones included
"""
