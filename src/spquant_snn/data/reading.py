"""Reading that never takes more memory than a file has content, whatever a header says."""

from __future__ import annotations

from typing import Protocol

CHUNK = 1 << 20


class Readable(Protocol):
    """An open file, or a stream that unpacks one."""

    def read(self, size: int, /) -> bytes: ...


def read_up_to(stream: Readable, most: int) -> bytearray:
    """The next ``most`` bytes, or all that are left where those are fewer."""
    content = bytearray()
    while len(content) < most and (chunk := stream.read(min(most - len(content), CHUNK))):
        content += chunk
    return content
