"""What layers of the compact form are planned as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ...dtypes import Array
from ...io.fields import Fields
from .code_rows import Load

UNIT = 16  # channels
LANE = (1 << 15) - 1  # the largest number in a lane
BYTE, HALF = (1 << 8) - 1, (1 << 16) - 1

Bodies = Literal["each", "planes", "one"]


class Unsuited(Exception):
    """The compact form does not take a network; it says why, of which layer."""


@dataclass(frozen=True)
class CompactForm:
    """How a network is laid out.

    Args:
        planes: ternary codes of more than 16 channels lie in planes of bits, where they can and no pool is folded.
        folded: pools over sums lie in the kernels where fields of 4 bits, or as many as without, hold them.
        load: how the codes of the readout lie.
        bodies: one of code for each layer; one for all on planes, and for each of the others; or one for all layers,
            none of which is on planes then: it would multiply, and be the largest.
        room: events that a list holds beyond those that it must.
        tight: to be compiled for few bytes.
    """

    planes: bool = True
    folded: bool = True
    load: Load = "bytes"
    bodies: Bodies = "each"
    room: int = 32
    tight: bool = False

    @classmethod
    def read(cls, fields: Fields) -> CompactForm:
        """From what ``asdict`` made of it.

        Raises:
            Flaw: it is none.
        """
        planes, folded, tight = map(fields.flag, ("planes", "folded", "tight"))
        load, bodies = fields.choice("load", get_args(Load)), fields.choice("bodies", get_args(Bodies))
        return cls(planes, folded, load, bodies, fields.integer("room", 0, BYTE), tight)


@dataclass(frozen=True, eq=False)
class PlannedRows:
    """One layer: a C struct, by its fields; and what its memory is.

    Args:
        kind: spq_pixels or spq_spiking.
        fields: of the struct; arrays are tables of their own.
        top, down: zeros above its image, rows from one of its windows to the next.
        window: rows that it looks at.
        came: rows that come in.
        ring: bytes of the rows that it keeps.
        kept: bytes of sums that outlive a row.
        scratch: bytes that it needs while it computes a row.
        unpooled: bytes of a row of spikes before they are pooled for it; 0 where they are not.
        said: what was chosen for it, in a few words.
    """

    name: str
    kind: str
    fields: dict[str, Any]
    top: int
    down: int
    window: int
    came: int
    ring: int
    kept: int
    scratch: int
    said: str
    unpooled: int = 0

    @property
    def shares(self) -> bool:
        """Whether windows share lists of what they see."""
        return bool(self.fields.get("planes")) and not self.fields["linear"]

    @property
    def tables(self) -> dict[str, Array]:
        return {name: value for name, value in self.fields.items() if isinstance(value, np.ndarray)}
