"""Other engines: one sentence where they are missing or fail, suppress_output where they are not."""

import logging
import os
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.harness.float_baseline import AnnBaseline, SpikingBaseline
from benchmarks.harness.other_engines import onnxruntime_int8, openvino_int8, torch_eager
from benchmarks.harness.suppress_output import suppress_output
from spquant_snn.errors import MissingDependencyError, RunError

PREPARE = {"onnxruntime": onnxruntime_int8, "openvino": openvino_int8}


@pytest.mark.usefixtures("no_peers")
@pytest.mark.parametrize("engine", PREPARE)
def test_a_missing_engine_is_named_in_a_sentence(engine):
    with pytest.raises(MissingDependencyError, match="onnx is not installed: make a second environment"):
        PREPARE[engine](nn.Linear(2, 2), np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("engine", PREPARE)
def test_an_engine_that_fails_is_named_in_a_sentence(engine, monkeypatch):
    def fail(*args):
        print("noise")
        raise ValueError("this cannot be exported\nand more")

    monkeypatch.setattr("benchmarks.harness.other_engines._export", fail)
    with pytest.raises(RunError, match=rf"^{engine} failed \(ValueError: this cannot be exported\)$"):
        PREPARE[engine](nn.Linear(2, 2), np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("engine", PREPARE)
@pytest.mark.parametrize("kind", [SpikingBaseline, AnnBaseline])
def test_an_engine_that_is_there_runs_the_network(engine, kind, small, capfd):
    for name in ("onnx", engine, *(["nncf"] if engine == "openvino" else [])):
        pytest.importorskip(name)
    graph, images = small()
    call = PREPARE[engine](kind(graph), images.astype(np.float32) / 255)
    call(0)
    call(1)
    assert capfd.readouterr() == ("", "")


def test_torch_needs_nothing():
    layer = nn.Linear(2, 3)
    found = torch_eager(layer, np.ones((4, 2), np.float32))(7)
    assert torch.equal(found, layer(torch.ones(1, 2)))
    assert not found.requires_grad


def test_output_is_suppressed_and_gives_the_streams_back(capfd):
    log = logging.getLogger("noisy")
    with suppress_output():
        print("printed")
        print("printed", file=sys.stderr)
        os.write(1, b"written by C")
        os.write(2, b"written by C")
        log.error("logged")
        warnings.warn("warned", stacklevel=1)
    assert capfd.readouterr() == ("", "")
    assert log.isEnabledFor(logging.ERROR)
    os.write(1, b"back")
    assert capfd.readouterr().out == "back"
    with pytest.raises(KeyError), suppress_output():
        raise KeyError
