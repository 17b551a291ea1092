"""Families of microcontrollers as libraries name them, with the memory that their usual boards have."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelError
from .boards import KIB

_CODE = 16 * KIB  # of the runtime, at most
_REST = 2 * KIB  # of a program beside the network: its stack and what its libraries keep


@dataclass(frozen=True)
class Family:
    """Processors of 32 bits that are little-endian.

    Args:
        arduino: what the Arduino IDE calls them; empty where it has none.
        platformio: what PlatformIO does.
        flash, ram: bytes.
    """

    arduino: str
    platformio: str
    flash: int
    ram: int


FAMILIES = (
    Family("samd", "atmelsam", 256 * KIB, 32 * KIB),
    Family("sam", "atmelsam", 512 * KIB, 96 * KIB),
    Family("renesas_uno", "renesas-ra", 256 * KIB, 32 * KIB),
    Family("nrf52", "nordicnrf52", 1024 * KIB, 256 * KIB),
    Family("mbed_nano", "nordicnrf52", 1024 * KIB, 256 * KIB),
    Family("rp2040", "raspberrypi", 2048 * KIB, 264 * KIB),
    Family("mbed_rp2040", "raspberrypi", 2048 * KIB, 264 * KIB),
    Family("esp32", "espressif32", 4096 * KIB, 320 * KIB),
    Family("stm32", "ststm32", 512 * KIB, 128 * KIB),
    Family("mbed_portenta", "ststm32", 2048 * KIB, 512 * KIB),
    Family("teensy", "teensy", 2048 * KIB, 512 * KIB),
)


def families_for(tables: int, memory: int) -> tuple[Family, ...]:
    """Those that hold a network.

    Args:
        tables: bytes of its constants.
        memory: bytes of its arena, an input and its outputs.

    Raises:
        ModelError: none does.
    """
    flash, ram = tables + _CODE, memory + _REST
    found = tuple(family for family in FAMILIES if flash <= family.flash and ram <= family.ram)
    if not found:
        raise ModelError(
            f"no board of such a library holds the network, it needs {flash:,} bytes of flash and {ram:,} of RAM: "
            "export it with --prefer flash, or train one with fewer bits of weights or a smaller last hidden layer"
        )
    return found
