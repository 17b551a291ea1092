"""What of the runtime's source a plan uses: the numbers of ``csrc/spq_config.h``."""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.plan import DENSE, PACKED, SLICED, NetworkPlan

SOURCES = (
    "run.c",
    "until.c",
    "events.c",
    "sums.c",
    "shortcut.c",
    "blocks.c",
    "packed.c",
    "neuron.c",
    "windows.c",
    "current.c",
    "term_rows.c",
    "terms.c",
    "general.c",
)  # of the runtime, for any exported network


WIDE_EVENT = 4  # bytes
WIDE_CONSTANT = 4


@dataclass(frozen=True)
class Used:
    """Bits as ``spq_config.h`` explains them."""

    forms: int
    pools: int
    fields: int
    half_fields: int
    settles: int
    half_settles: int
    decides: int
    fires: int
    codes: int
    sorted: int
    blocks: int
    shortcuts: int
    terms: int
    event: int  # bytes of an event
    constant: int  # of a neuron

    @classmethod
    def all(cls) -> Used:
        """Of any network: all that processors without vectors run."""
        forms = sum(1 << form for form in range(11) if form not in (DENSE, SLICED))
        return cls(
            forms, 3, 0x10114, 0x10116, 0xFF, 0xFF, 0x10101, 0xF, 0xFFFFFF, 0, 1, 1, 1, WIDE_EVENT, WIDE_CONSTANT
        )

    @classmethod
    def by(cls, plan: NetworkPlan, event: int, constant: int) -> Used:
        """Of a plan whose events and whose neurons' constants take so many bytes."""
        names = (
            "forms", "pools", "fields", "half_fields", "settles", "half_settles", "decides", "fires", "codes", "sorted",
            "blocks", "shortcuts", "terms",
        )  # fmt: skip
        found = dict.fromkeys(names, 0)
        found["sorted"] = 1
        found["terms"] = int(plan.general is not None)
        found["pools"] = 2 if plan.general is not None else 0  # terms may take numbers
        said = [term.connection for readout in plan.readouts for term in readout.terms.terms]
        for i, layer in enumerate(plan.layers):
            c, packed, neuron = layer.connection, layer.connection.packed, layer.neuron
            found["blocks"] |= int(layer.blocks is not None)
            found["shortcuts"] |= int(layer.shortcut is not None)
            counted = i == 0
            for pool in c.pools:
                counted = counted or not pool.largest
                found["pools"] |= 2 if counted else 1
            shortcut = () if layer.shortcut is None else (layer.shortcut.connection,)
            terms = () if layer.terms is None else layer.terms.terms
            for connection in (c, *shortcut, *(term.connection for term in terms), *said):
                found["forms"] |= 1 << connection.form
                if connection.form == PACKED and connection.packed is not None:
                    half, whole = connection.packed.units % 2, int(connection.packed.units > 1)
                    found["fields"] |= whole << connection.packed.bits
                    found["half_fields"] |= half << (connection.packed.bits if connection.packed.grain == 4 else 1)
            if packed is not None and packed.lanes:
                half, whole = packed.units % 2, int(packed.units > 1)
                sixteen = int(packed.lanes == 16)
                kind = 1 << (sixteen | (packed.bits >= 8) << 1 | (packed.fraction > 0) << 2)
                found["settles"] |= whole * kind
                found["half_settles"] |= half * kind
                found["decides"] |= 1 << packed.lanes
                found["fires"] |= 1 << (sixteen | (packed.levels == 4) << 1)
            elif neuron is not None:
                found["decides"] |= 1
                rises = neuron.edges is None or bool((neuron.edges[1:] >= neuron.edges[:-1]).all())
                found["sorted"] &= int(rises)
                found["codes"] |= 1 << (16 + neuron.bits % 8 if neuron.scaled else min(neuron.levels, 15))
        return cls(**found, event=event, constant=constant)
