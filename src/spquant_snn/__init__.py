"""Spiking neural networks with membranes and weights of 1.58 to 8 bits, from training to bit-exact integer inference.

    from spquant_snn import SpQuantTrainer

    trainer = SpQuantTrainer("lenet-snn", "mnist", quantization_bits=2)
    trainer.train(epochs=20)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")

``load``, ``load_graph``, ``save``, ``Graph``, ``Program``, ``Stopped``, ``Stream`` and ``Verdict`` need NumPy only;
everything else imports torch when it is first used. Data sets, event recordings and augmentation are in
``spquant_snn.data``, pictures in ``spquant_snn.plot``. Every other module may change from version to version.
"""

from __future__ import annotations

from .errors import (
    ConfigError,
    DataError,
    DivergedError,
    FileFormatError,
    MissingDependencyError,
    ModelError,
    RunError,
    SpQuantError,
    UnequalError,
)
from .lazy import importer

TYPE_CHECKING = False  # as type checkers do not believe; typing takes longer to import than all of this

if TYPE_CHECKING:
    from typing import Any

    from . import data as data
    from . import plot as plot
    from .data import InputFormat
    from .exchange.from_nir import from_nir
    from .exchange.from_norse import from_norse
    from .exchange.from_sinabs import from_sinabs
    from .exchange.from_snntorch import from_snntorch
    from .exchange.from_spikingjelly import from_spikingjelly
    from .exchange.nir_file import graph_from_nir, to_nir
    from .exchange.onnx_model import run_onnx, to_onnx
    from .integer.compare import Verdict
    from .integer.early_stop import Stopped
    from .integer.file import load_graph, save
    from .integer.graph import Graph
    from .integer.program import Program
    from .integer.stream import Stream
    from .nn import LIF, VGGSNN, Feedback, LeakyIntegrator, LeNetSNN, OneToOne, ResNetSNN
    from .pretrained import from_pretrained, save_pretrained
    from .quant.bit_search import FoundBits, search_bits
    from .quant.calibration import Calibration, calibrate
    from .quant.frozen_trace import verify
    from .quant.lower import lower
    from .quant.network import SpikingNetwork
    from .quant.prepare import prepare
    from .quant.quant_config import QuantConfig
    from .report.ledger import Ledger, make_ledger
    from .runtime.native import load
    from .trainer import SpQuantTrainer

__version__ = "2.0.0"

__all__ = [
    "LIF",
    "VGGSNN",
    "Calibration",
    "ConfigError",
    "DataError",
    "DivergedError",
    "Feedback",
    "FileFormatError",
    "FoundBits",
    "Graph",
    "InputFormat",
    "LeNetSNN",
    "LeakyIntegrator",
    "Ledger",
    "MissingDependencyError",
    "ModelError",
    "OneToOne",
    "Program",
    "QuantConfig",
    "ResNetSNN",
    "RunError",
    "SpQuantError",
    "SpQuantTrainer",
    "SpikingNetwork",
    "Stopped",
    "Stream",
    "UnequalError",
    "Verdict",
    "calibrate",
    "from_nir",
    "from_norse",
    "from_pretrained",
    "from_sinabs",
    "from_snntorch",
    "from_spikingjelly",
    "graph_from_nir",
    "load",
    "load_graph",
    "lower",
    "make_ledger",
    "prepare",
    "run_onnx",
    "save",
    "save_pretrained",
    "search_bits",
    "to_nir",
    "to_onnx",
    "verify",
]

# Where each name lives: it is imported when it is first used, so that a machine without torch can run networks.
_HOMES = {
    "Calibration": ".quant.calibration",
    "FoundBits": ".quant.bit_search",
    "calibrate": ".quant.calibration",
    "search_bits": ".quant.bit_search",
    "Feedback": ".nn",
    "Graph": ".integer.graph",
    "InputFormat": ".data",
    "LIF": ".nn",
    "LeNetSNN": ".nn",
    "LeakyIntegrator": ".nn",
    "Ledger": ".report.ledger",
    "OneToOne": ".nn",
    "Program": ".integer.program",
    "QuantConfig": ".quant.quant_config",
    "ResNetSNN": ".nn",
    "SpQuantTrainer": ".trainer",
    "SpikingNetwork": ".quant.network",
    "Stopped": ".integer.early_stop",
    "Stream": ".integer.stream",
    "VGGSNN": ".nn",
    "Verdict": ".integer.compare",
    "from_nir": ".exchange.from_nir",
    "from_norse": ".exchange.from_norse",
    "from_sinabs": ".exchange.from_sinabs",
    "from_snntorch": ".exchange.from_snntorch",
    "from_spikingjelly": ".exchange.from_spikingjelly",
    "graph_from_nir": ".exchange.nir_file",
    "load": ".runtime.native",
    "load_graph": ".integer.file",
    "lower": ".quant.lower",
    "make_ledger": ".report.ledger",
    "prepare": ".quant.prepare",
    "run_onnx": ".exchange.onnx_model",
    "save": ".integer.file",
    "from_pretrained": ".pretrained",
    "save_pretrained": ".pretrained",
    "to_nir": ".exchange.nir_file",
    "to_onnx": ".exchange.onnx_model",
    "verify": ".quant.frozen_trace",
}
_MODULES = ("data", "plot")  # public ones, to be had without an import of their own
_find = importer(__name__, _HOMES, _MODULES)


def __getattr__(name: str) -> Any:
    return _find(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
