"""Maps: every neuron has a pixel, and the pixel says what the neuron does."""

import base64
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.data import Task
from spquant_snn.report.maps import sheet
from spquant_snn.report.raster import LayerRaster, Raster, mosaic


def pixels(picture):
    """The places in the palette [H, W] that a map holds, and the palette with its opacities."""
    png, at, parts = base64.b64decode(picture.address.split(",")[1]), 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        parts[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, depth = struct.unpack(">IIB", parts[b"IHDR"][:9])
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, -1)[:, 1:]
    bits = np.unpackbits(rows, axis=1)[:, : width * depth].reshape(height, width, depth)
    colours = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)
    return bits @ (1 << np.arange(depth)[::-1]), colours, np.frombuffer(parts[b"tRNS"], np.uint8)


def raster(shape, steps=2, bits=3, classes=5, seed=0):
    draw = np.random.default_rng(seed)
    spikes = draw.random((steps, *shape)) < 0.3
    codes = draw.integers(-4, 4, (steps, *shape))
    logits = np.cumsum(np.vstack([np.zeros(classes, np.int64), draw.integers(-9, 9, (steps, classes))]), 0)
    image = draw.integers(0, 256, (1, 8, 8)).astype(np.uint8)
    values = logits[-1].astype(float)
    layers = (LayerRaster("a", bits, spikes, codes),)
    return Raster(7, np.array(2), image, layers, logits, Task("classification", classes), values)


@pytest.mark.parametrize("shape", [(5, 3, 4), (17,)])
def test_what_fires_is_drawn_in_full(shape):
    held = raster(shape)
    (maps,) = sheet(held).layers
    for step, picture in enumerate(maps.spikes):
        found, _, opacity = pixels(picture)
        assert (found == mosaic(1 + held.layers[0].spikes[step].astype(np.int64), 0)).all()
        assert opacity.tolist()[0] == 0
        assert opacity[1] < opacity[2] == 255
        assert (picture.width % found.shape[1], picture.height % found.shape[0]) == (0, 0)
        assert picture.width // found.shape[1] == picture.height // found.shape[0]
        fired = int(held.layers[0].spikes[step].sum())
        assert f"step {step + 1}: {fired} of {np.prod(shape)}" in picture.says


def test_codes_are_told_by_side_and_by_size():
    held = raster((40,), steps=1)
    codes = held.layers[0].codes[0]
    found, colours, opacity = pixels(sheet(held).layers[0].codes[0])
    seen = {int(code): int(place) for code, place in zip(codes, found.reshape(-1), strict=False)}
    assert sorted(seen) == list(range(-4, 4))
    assert sorted(seen.values()) == [seen[code] for code in sorted(seen)]
    strength = {code: int(opacity[place]) for code, place in seen.items()}
    assert strength[-4] == 255
    assert strength[-4] > strength[-2] > strength[-1]
    assert strength[3] > strength[2] > strength[1]
    assert len({tuple(colours[seen[code]]) for code in (-4, -1)}) == 1
    assert len({tuple(colours[seen[code]]) for code in (-1, 0, 1)}) == 3


@pytest.mark.parametrize("bits", [1.58, 2, 8])
def test_codes_of_every_width_have_a_colour(bits):
    held = raster((9,), steps=1)
    ends = {1.58: (-1, 1), 2: (-2, 1), 8: (-128, 127)}[bits]
    layer = LayerRaster("a", bits, held.layers[0].spikes, np.resize(np.array(ends), (1, 9)))
    found, _, opacity = pixels(sheet(replace(held, wanted=None, layers=(layer,))).layers[0].codes[0])
    assert opacity[int(found.reshape(-1)[0])] == 255


def test_what_is_left_out_is_said():
    (maps,) = sheet(raster((64, 32, 32), steps=10)).layers
    assert maps.note == "the first 16 of 64 channels, the first 8 of 10 steps"
    assert len(maps.spikes) == len(maps.codes) == 8
    assert sheet(raster((5, 3, 4))).layers[0].note == ""


def test_the_answer_and_the_right_class_are_named():
    held = raster((4,))
    logits = np.array([[0, 0, 0, 0, 0], [1, 5, -3, 4, 2], [2, 9, -9, 8, 3]])
    chart = sheet(replace(held, logits=logits)).logits
    assert chart.table.numbers == ("class 1, answer", "class 3", "class 4", "class 2, right", "class 0")
    assert chart.table.rows[-1] == ("2", "9", "8", "3", "-9", "2")


@pytest.mark.parametrize(("channels", "shape"), [(1, (8, 8)), (2, (8, 17)), (3, (8, 8)), (4, (17, 17))])
def test_an_image_of_any_number_of_channels_is_shown(channels, shape):
    held = raster((4,))
    image = np.zeros((channels, 8, 8), np.uint8)
    picture = sheet(replace(held, image=image)).image
    png = base64.b64decode(picture.address.split(",")[1])
    assert struct.unpack(">II", png[16:24]) == (shape[1], shape[0])


def test_answers_that_are_maps_are_shown_beside_the_right_ones():
    held, values = raster((4,), classes=8), np.zeros((2, 2, 2))
    values[1] = [[1, -1], [1, -1]]  # classes 1 0 1 0
    found = sheet(replace(held, task=Task("segmentation", 2), values=values, wanted=np.array([[1, 0], [0, -1]])))
    assert found.says == "66.7% of its pixels right"
    assert found.logits is None
    assert [picture.caption for picture in found.answers] == ["answered", "right"]
    task, values = Task("regression", 2, ("x", "y"), "m"), np.array([1.5, 2])
    numbers = sheet(replace(held, task=task, values=values, wanted=None, logits=held.logits[:, :2]))
    assert (numbers.says, numbers.answers) == ("1.5, 2 m answered", ())
    assert sorted(numbers.logits.table.numbers) == ["x", "y"]
