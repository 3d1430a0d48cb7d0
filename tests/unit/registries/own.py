"""Registries of one's own, as a user's module declares them."""

from __future__ import annotations

import lakehouse as lh


class Assay(lh.Record, natural=("name",), carried="assays"):
    """A kind of measurement."""

    name: lh.Column[str] = lh.column(doc="What it is called.", unique=True)
    cells: lh.Column[int | None] = lh.column(doc="Cells that it takes at least.", default=None, ge=1)
    platform: lh.Column[str] = lh.column(doc="By which instrument.", default="10x", isin=("10x", "smart-seq"))
    organism: lh.Reference[str | None] = lh.reference("organism", doc="Of what.", default=None)
    aliases: lh.Column[list[str]] = lh.column(doc="Other names.", default=(), max_length=3)


class Protocol(lh.Term, natural=("name",), carried="protocols"):
    """A way of doing something; ways are kinds of others."""
