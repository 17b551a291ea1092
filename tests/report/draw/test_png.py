"""PNG: what is written is read back, by a reader of its own that follows the standard."""

import base64
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.report.draw.png import colours, data_address, indexed


def read(png):
    """Header, palette, opacities and rows of bytes of a PNG without filters; every checksum is checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        chunks[body[:4]] = body[4:]
        at += 12 + length
    width, height, depth, kind, *methods = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert methods == [0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return (width, height, depth, kind), chunks, rows[:, 1:]


@given(st.integers(1, 256), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_every_pixel_has_its_colour(size, height, width, seed):
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, size, (height, width)).astype(np.uint8)
    palette = [tuple(int(x) for x in colour) for colour in draw.integers(0, 256, (size, 4))]
    (found_width, found_height, depth, kind), chunks, rows = read(indexed(pixels, palette))
    assert (found_width, found_height, kind) == (width, height, 3)
    assert depth == (1 if size <= 2 else 2 if size <= 4 else 4 if size <= 16 else 8)
    bits = np.unpackbits(rows, axis=1)[:, : width * depth].reshape(height, width, depth)
    assert (bits @ (1 << np.arange(depth)[::-1]) == pixels).all()
    assert chunks[b"PLTE"] == bytes(part for colour in palette for part in colour[:3])
    assert chunks[b"tRNS"] == bytes(colour[3] for colour in palette)
    assert chunks[b"IEND"] == b""


def test_colours_are_written_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    header, _, rows = read(colours(pixels))
    assert header == (5, 3, 8, 2)
    assert (rows.reshape(3, 5, 3) == pixels).all()


def test_a_pixel_without_a_colour_is_refused():
    with pytest.raises(ValueError, match="pixels up to 2 do not fit a palette of 2 colours"):
        indexed(np.array([[0, 2]], np.uint8), [(0, 0, 0, 0)] * 2)


def test_an_address_holds_the_whole_file():
    png = colours(np.zeros((1, 1, 3), np.uint8))
    kind, data = data_address(png).split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == png
