"""From C to a WebAssembly module, by the package ziglang."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import MissingDependencyError
from ..io.output import say_progress
from .toolchain import call_compiler, zig

_FLAGS = (
    "-target", "wasm32-freestanding", "-O2", "-std=c99", "-ffreestanding", "-fno-builtin", "-fno-sanitize=undefined",
    "-ffunction-sections", "-fdata-sections", "-nostdlib", "-Wl,--no-entry", "-Wl,--gc-sections", "-Wl,--strip-all",
)  # fmt: skip


def compile_module(files: Mapping[str, bytes], exports: Sequence[str], stack: int) -> bytes:
    """A module that imports nothing.

    Args:
        files: C sources and their headers, by name.
        exports: functions that can be called from outside; what they do not need is left out.
        stack: bytes of the module's memory for local variables, a multiple of 16.

    Raises:
        MissingDependencyError: ziglang is not installed, or does not run.
        RunError: the source does not compile.
    """
    compiler = zig()
    if compiler is None:
        raise MissingDependencyError(
            "there is no compiler for WebAssembly, the package ziglang: "
            "install it by 'pip install \"spquant-snn[web]\"'"
        )
    with TemporaryDirectory(prefix="spquant-web-") as temporary:
        work = Path(temporary)
        for name, data in files.items():
            (work / name).write_bytes(data)
        target = work / "model.wasm"
        sources = [str(work / name) for name in files if name.endswith(".c")]
        linked = [f"-Wl,-z,stack-size={stack}", *(f"-Wl,--export={name}" for name in exports)]
        call = [compiler, "cc", *_FLAGS, *linked, *sources, "-o", str(target)]
        say_progress("compiling C to WebAssembly")
        call_compiler(call, "the WebAssembly module")
        return target.read_bytes()
