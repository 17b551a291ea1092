"""A user's file, for type checkers: they see the package's own types, and none of these is Any."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from spquant_snn import (
    Graph,
    LeNetSNN,
    Program,
    QuantConfig,
    SpikingNetwork,
    SpQuantTrainer,
    Verdict,
    load,
    lower,
    prepare,
    verify,
)

if TYPE_CHECKING:
    from typing import assert_type

    trainer = SpQuantTrainer("lenet-snn", "digits", quantization_bits=2)
    assert_type(trainer.evaluate(), float)
    assert_type(trainer.export("model.spq"), Path)
    network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(weight_bits=2, state_bits=2), (1, 8, 8))
    assert_type(network, SpikingNetwork)
    graph = lower(network.eval().freeze())
    assert_type(graph, Graph)
    assert_type(verify(network, graph, torch.zeros(1, 1, 8, 8, dtype=torch.uint8)), Verdict)
    program = load("model.spq")
    assert_type(program, Program)
    assert_type(program.classes, int)
    assert_type(program.logits(np.zeros((1, 1, 8, 8), np.uint8)), NDArray[np.int32])
    print(trainer.nothing_of_this_name)  # type: ignore[attr-defined]
