"""Codes of the compact form: rows of fields, five codes a byte, and for pixels lists of places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...dtypes import Int32, Int64, UInt8

Load = Literal["words", "bytes", "fives"]  # of a row of codes
_PLACES = {  # which field holds the code of a lane, for lanes in the order in which sums lie
    2: (0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15),
    4: (0, 4, 2, 6, 1, 5, 3, 7),
    8: (0, 2, 1, 3),
}
FIELDS = tuple(_PLACES)


@dataclass(frozen=True, eq=False)
class CodeRows:
    """Rows of codes.

    Args:
        rows: [kh, kw, I, bytes].
        bits: of a field.
        lift: codes are ``1 << lift`` too high.
        most: the largest field.
    """

    rows: UInt8
    bits: int
    lift: int
    most: int
    load: Load

    @property
    def words(self) -> int:
        """Words of a row when it has been read."""
        return -(-self.rows.shape[-1] // 4) if self.load != "fives" else 1


def code_rows(codes: Int32, load: Load = "words") -> CodeRows | None:
    """The codes [O, I, kh, kw] in the narrowest fields that hold them; None where 8 bits do not, or where a row of
    bytes would not fit a word."""
    low, high = int(codes.min()), int(codes.max())
    lift = max(0, -low - 1).bit_length()
    bits = next((b for b in FIELDS if high + (1 << lift) < 1 << b), None)
    outputs = len(codes)
    if bits is None or (load != "words" and (bits != 2 or outputs > (16 if load == "bytes" else 15))):
        return None
    raised = codes.transpose(2, 3, 1, 0).astype(np.int64) + (1 << lift)
    if load == "fives":
        if high + (1 << lift) > 2:
            return None
        return CodeRows(_fives(raised), bits, lift, 2, load)
    padded = np.pad(raised, ((0, 0), (0, 0), (0, 0), (0, -outputs % (32 // bits))), constant_values=1 << lift)
    if load == "bytes":  # in their order, so that the last bytes of the word are free
        rows = _fields(padded, 2, tuple(range(16)))[..., : -(-outputs // 4)]
    else:
        rows = _fields(padded, bits, _PLACES[bits])
    return CodeRows(np.ascontiguousarray(rows), bits, lift, high + (1 << lift), load)


def _fields(raised: Int64, bits: int, places: tuple[int, ...]) -> UInt8:
    """[..., O] -> bytes [..., words * 4], with the codes of a word in these fields."""
    lanes = raised.reshape(*raised.shape[:3], -1, 32 // bits)
    shifts = bits * np.array(places, np.int64)
    words = (lanes << shifts).sum(-1).astype("<u4")
    return np.ascontiguousarray(words).view(np.uint8)


def _fives(raised: Int64) -> UInt8:
    """[..., O] codes of 0, 1 and 2 -> bytes of five each: the fraction of 243 of their number to the base of three,
    rounded up, which gives them back one by one when it is multiplied by three."""
    padded = np.pad(raised, ((0, 0), (0, 0), (0, 0), (0, -raised.shape[-1] % 5)))
    digits = padded.reshape(*raised.shape[:3], -1, 5)
    number = (digits * 3 ** np.arange(4, -1, -1)).sum(-1)
    found: UInt8 = (-(-number * 256 // 243)).astype(np.uint8)
    return found


def tap_lists(codes: Int32, place: Int32) -> tuple[Int32, int]:
    """The codes [O, K] as lists of places.

    Args:
        place: [K] of each input.

    Returns:
        For each output and each bit of the largest code, from the highest on: how many inputs it takes off and their
        places, how many it adds and theirs; and the number of bits.
    """
    planes = max(1, int(np.abs(codes.astype(np.int64)).max()).bit_length())
    found: list[int] = []
    for row in codes:
        for plane in reversed(range(planes)):
            held = np.abs(row.astype(np.int64)) >> plane & 1
            for side in (row < 0, row > 0):
                places = np.sort(place[(held == 1) & side]).tolist()
                found += [len(places), *places]
    return np.array(found, np.int32), planes
