"""Packed codes: what goes in comes out, at the width it should have, and nothing else is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.errors import FileFormatError, ModelError
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.pack import pack, packed_size, unpack

WIDTHS = sorted(WEIGHT_GRIDS)


def written_out(codes, bits):
    """The definition, a field at a time, on one large number."""
    fields = [int(code) - WEIGHT_GRIDS[bits].low for code in codes]
    if bits == 1.58:
        groups = [fields[i : i + 5] for i in range(0, len(fields), 5)]
        return bytes(sum(digit * 3**i for i, digit in enumerate(group)) for group in groups)
    return sum(field << i * bits for i, field in enumerate(fields)).to_bytes(-(-len(fields) * bits // 8), "little")


@given(bits=st.sampled_from(WIDTHS), data=st.data())
@settings(deadline=None, derandomize=True)
def test_codes_of_any_number_come_back_and_lie_as_defined(bits, data):
    grid = WEIGHT_GRIDS[bits]
    codes = np.array(data.draw(st.lists(st.integers(grid.low, grid.high), max_size=70)), np.int8)
    packed = pack(codes, bits)
    assert packed == written_out(codes, bits)
    assert len(packed) == packed_size(len(codes), bits)
    back = unpack(packed, bits, len(codes))
    assert back.dtype == np.int8
    np.testing.assert_array_equal(back, codes)


@pytest.mark.parametrize("bits", WIDTHS)
def test_every_length_up_to_two_rounds_of_the_stream_comes_back(bits):
    rng = np.random.default_rng(0)
    grid = WEIGHT_GRIDS[bits]
    for count in range(33):
        codes = rng.integers(grid.low, grid.high + 1, count).astype(np.int8)
        np.testing.assert_array_equal(unpack(pack(codes, bits), bits, count), codes)


@pytest.mark.parametrize(
    ("bits", "size"), [(1.58, 200), (2, 250), (3, 375), (4, 500), (5, 625), (6, 750), (7, 875), (8, 1000)]
)
def test_a_thousand_codes_take_their_width(bits, size):
    assert len(pack(np.zeros(1000, np.int8), bits)) == size


def test_arrays_are_read_row_by_row_whatever_their_memory_layout():
    codes = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
    assert pack(codes.transpose(2, 0, 1), 8) == pack(codes.transpose(2, 0, 1).copy(), 8) != pack(codes, 8)


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_code_off_the_grid_is_not_packed(bits):
    grid = WEIGHT_GRIDS[bits]
    for code in {max(grid.low - 1, -128), min(grid.high + 1, 127)} - {grid.low, grid.high}:
        with pytest.raises(ModelError, match=r"do not fit .* bits"):
            pack(np.array([0, code], np.int8), bits)


def test_wider_integers_are_checked_before_they_are_narrowed():
    assert pack(np.array([-2, 1], np.int64), 2) == pack(np.array([-2, 1], np.int8), 2)
    with pytest.raises(ModelError, match=r"codes 0\.\.257 do not fit 2 bits"):
        pack(np.array([0, 257], np.int64), 2)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("change", [-1, 1])
def test_another_number_of_bytes_is_refused(bits, change):
    packed = pack(np.zeros(13, np.int8), bits)
    with pytest.raises(FileFormatError, match=r"13 codes of .* take"):
        unpack(packed[:-1] if change < 0 else packed + b"\0", bits, 13)


@pytest.mark.parametrize("byte", [243, 255])
def test_a_ternary_byte_beyond_five_digits_is_refused(byte):
    with pytest.raises(FileFormatError, match=str(byte)):
        unpack(bytes([0, byte, 0]), 1.58, 15)


@pytest.mark.parametrize(
    ("bits", "packed", "count"), [(1.58, [0, 9], 7), (2, [0, 0x40], 7), (3, [0x80], 2), (7, [0x80], 1)]
)
def test_padding_that_is_not_zero_is_refused(bits, packed, count):
    with pytest.raises(FileFormatError, match="padding"):
        unpack(bytes(packed), bits, count)
