"""Event recordings as the published formats say them, written event by event, without the package's readers."""

import struct
from itertools import pairwise


def aedat3_packet(kind, events, size=8, overflow=0, number=None, capacity=None):
    """One packet: 28 bytes of header and the events, each given as its bytes."""
    count = len(events) if number is None else number
    header = struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, count if capacity is None else capacity, count, count)
    return header + b"".join(events)


def polarity(t, x, y, p, valid=1):
    """An event of type 1: valid in bit 0, polarity in bit 1, y from bit 2, x from bit 17."""
    return struct.pack("<Ii", valid | p << 1 | y << 2 | x << 17, t)


def special(t, kind, valid=1):
    """An event of type 0: valid in bit 0, its kind in bits 1 to 7. 0: the clock ran over, 1: it was set back."""
    return struct.pack("<Ii", valid | kind << 1, t)


AEDAT3_TEXT = (
    b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2015-01-01 00:00:00\r\n#!END-HEADER\r\n"
)
AEDAT2_TEXT = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"


def aedat3(*packets, text=AEDAT3_TEXT):
    return text + b"".join(packets)


def aedat2(events, text=AEDAT2_TEXT):
    """Address and time of each event (t, x, y, p), big-endian; columns count from the right, a bit of 0 is brighter."""
    return text + b"".join(struct.pack(">II", (1 - p) | 127 - x << 1 | y << 8, t) for t, x, y, p in events)


def nmnist(events):
    """Five bytes an event (t, x, y, p): x, y, then p and 23 bits of the time, the highest first."""
    return b"".join(
        bytes([x, y, p << 7 | t >> 16 & 127, t >> 8 & 255, t & 255]) for t, x, y, p in events
    )  # t below 2^23


def rows(events):
    """Events as a list of (t, x, y, p)."""
    return [tuple(map(int, row)) for row in zip(events.t, events.x, events.y, events.p, strict=True)]


def in_packets(events, sizes):
    """Events (t, x, y, p) as packets of the sizes that are given, the last with what is left."""
    bounds = [0]
    for size in sizes:
        bounds.append(min(len(events), bounds[-1] + size))
    bounds.append(len(events))
    return [aedat3_packet(1, [polarity(*event) for event in events[a:b]]) for a, b in pairwise(bounds)]
