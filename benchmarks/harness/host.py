"""What a time was measured on."""

from __future__ import annotations

import os
import platform
from ctypes import CDLL
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spquant_snn.build import compiler
from spquant_snn.runtime.library import library
from spquant_snn.runtime.native import body_of

_PACKAGES = ("spquant-snn", "torch", "numpy", "onnx", "onnxruntime", "openvino", "nncf", "snntorch", "spikingjelly")
_INSTRUCTIONS = (
    "sse4_2",
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_bitalg",
    "avx512_vpopcntdq",
    "avx_vnni",
    "asimd",
    "asimddp",
    "sve",
)


def host(built: CDLL | None = None) -> dict[str, Any]:
    """Processor, compiler and versions, as plain data.

    Args:
        built: the runtime that is measured; None: that for this CPU.

    Raises:
        MissingDependencyError: there is no compiler.
    """
    facts = _cpuinfo()
    known = facts.get("flags", facts.get("Features", "")).split()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "instructions": [name for name in _INSTRUCTIONS if name in known],
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "compiler": os.path.realpath(compiler()),
        "body": body_of(built or library()).description,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor of Linux's list; elsewhere nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            pairs = [line.split(":", 1) for line in file if ":" in line]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, value in reversed(pairs)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
