"""Images as arrays, in memory and in zarr."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from lakehouse.errors import InvalidFile, MissingExtra, Unsupported


def _image(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


RANDOM = np.random.default_rng(0)
KINDS = [
    ("x.png", RANDOM.integers(0, 255, (20, 30, 3), dtype="u1"), ("y", "x", "c")),
    ("x.tif", RANDOM.integers(0, 65535, (20, 30), dtype="u2"), ("y", "x")),
    ("x.bmp", RANDOM.integers(0, 255, (20, 30), dtype="u1"), ("y", "x")),
]


@pytest.mark.parametrize(("name", "pixels", "axes"), KINDS, ids=[kind[0] for kind in KINDS])
def test_an_image_is_loaded_as_an_array_and_becomes_an_array_store(lake, tmp_path, name, pixels, axes):
    path = _image(tmp_path / name, pixels)
    saved = lake.Artifact(path, key=name).save()
    assert saved.load() == path.read_bytes()
    assert saved.load(as_="numpy").tolist() == pixels.tolist()
    store = lake.Artifact.from_image(path, key="stores/x.zarr").save()
    assert (store.format, store.kind, store.describe().content.shape) == ("zarr", "array", pixels.shape)
    with store.open() as array:
        assert array[:5, :7].tolist() == pixels[:5, :7].tolist()
        assert array.metadata.dimension_names == axes
        assert array.dtype == pixels.dtype
    assert zarr.open_array(store.path, mode="r")[:].tolist() == pixels.tolist(), "zarr reads it by itself"


def test_the_layers_of_a_tiff_are_the_first_axis(lake, tmp_path):
    layers = [Image.fromarray(np.full((600, 700), n, dtype="u1")) for n in range(3)]
    layers[0].save(tmp_path / "stack.tif", save_all=True, append_images=layers[1:])
    store = lake.Artifact.from_image(tmp_path / "stack.tif", key="stack.zarr").save()
    with store.open() as array:
        assert (array.shape, array.chunks) == ((3, 600, 700), (1, 512, 512))
        assert array[:, 599, 699].tolist() == [0, 1, 2]


def test_colours_of_a_palette_are_colours_of_the_array(lake, tmp_path):
    image = Image.new("P", (4, 3))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "x.gif")
    saved = lake.Artifact(tmp_path / "x.gif", key="x.gif").save()
    assert saved.load(as_="numpy")[0, 0].tolist() == [10, 20, 30]


def test_what_is_no_image_or_a_damaged_one_is_said(lake, tmp_path, monkeypatch):
    whole = _image(tmp_path / "x.png", KINDS[0][1]).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:200])
    with pytest.raises(InvalidFile, match="cannot be read as an image"):
        lake.Artifact.from_image(tmp_path / "cut.png", key="x.zarr").save()
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InvalidFile):
        lake.Artifact.from_image(tmp_path / "text.png", key="x.zarr").save()
    with pytest.raises(Unsupported):
        lake.Artifact(b"no image", key="a.bin").save().load(as_="numpy")
    assert lake.Artifact.filter(suffix=".zarr").count() == 0
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match="pip install pillow"):
        lake.Artifact.from_image(tmp_path / "x.png", key="x.zarr").save()
