"""What tests need beside Python: the tools of emulated boards, a browser."""

import shutil
from importlib.util import find_spec

import pytest

from chromium import BROWSER
from spquant_snn.export import qemu

NEEDS_A_BROWSER = [
    pytest.mark.web,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    pytest.mark.skipif(find_spec("ziglang") is None, reason="the extra web is not installed"),
]


def needs(board, compiler="gcc", emulator="qemu"):
    """Skip unless the tools are there."""
    if compiler == "gcc" and shutil.which(board.compilers[0]) is None:
        pytest.skip(f"{board.compilers[0]} is not installed")
    if emulator == "qemu" and not qemu.installed(board):
        pytest.skip(f"{board.qemu} is not installed")
    if (compiler == "zig" and find_spec("ziglang") is None) or (emulator == "unicorn" and find_spec("unicorn") is None):
        pytest.skip("the extra mcu is not installed")
