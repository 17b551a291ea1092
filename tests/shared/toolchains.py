"""What the tests of emulated boards need beside Python."""

import shutil
from importlib.util import find_spec

import pytest

from spquant_snn.export import qemu


def needs(board, compiler="gcc", emulator="qemu"):
    """Skip unless the tools are there."""
    if compiler == "gcc" and shutil.which(board.compilers[0]) is None:
        pytest.skip(f"{board.compilers[0]} is not installed")
    if emulator == "qemu" and not qemu.installed(board):
        pytest.skip(f"{board.qemu} is not installed")
    if (compiler == "zig" and find_spec("ziglang") is None) or (emulator == "unicorn" and find_spec("unicorn") is None):
        pytest.skip("the extra mcu is not installed")
