"""Programs whose streams are tried: by the reference and by native code."""

import pytest

from spquant_snn.integer.program import Program
from spquant_snn.runtime.native import NativeProgram


@pytest.fixture(scope="module", params=["reference", "native"])
def program(request):
    """``program(graph)``: run by either."""
    return lambda graph: Program(graph, NativeProgram(graph) if request.param == "native" else None)
