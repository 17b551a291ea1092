"""Other engines, as their users would use them: exported to ONNX, quantised to int8 by the engine's own tool, on one
thread.

The package does not need them. They are imported when they are asked for, and what stands in their way, be it that one
is not installed, is said in a sentence.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness.suppress_output import suppress_output
from benchmarks.harness.timing import Call
from spquant_snn.dtypes import Float32
from spquant_snn.errors import MissingDependencyError, RunError

Prepare = Callable[[nn.Module, Float32], Call]

_OPSET = 17
_INPUT, _OUTPUT = "images", "logits"


def torch_eager(module: nn.Module, images: Float32) -> Call:
    """Plain torch on the first image."""
    image = torch.from_numpy(images[:1])
    module.eval()

    def call(k: int) -> object:
        with torch.inference_mode():
            return module(image)

    return call


def onnxruntime_int8(module: nn.Module, images: Float32) -> Call:
    """ONNX Runtime: static quantisation, unsigned activations (its fast form), weights per channel.

    Args:
        images: float32 [N, C, H, W] to calibrate on; the call takes the first of them, bound once.

    Raises:
        MissingDependencyError: it is not installed.
        RunError: it failed.
    """
    return _prepared("onnxruntime", _onnxruntime, module, images)


def openvino_int8(module: nn.Module, images: Float32) -> Call:
    """OpenVINO: quantised by nncf, compiled for latency; as ``onnxruntime_int8``."""
    return _prepared("openvino", _openvino, module, images)


def _prepared(engine: str, prepare: Callable[[Path, Float32], Call], module: nn.Module, images: Float32) -> Call:
    try:
        with suppress_output(), tempfile.TemporaryDirectory(prefix="spquant_snn-") as folder:
            path = Path(folder) / "network.onnx"
            _export(module, images[:1], path)
            call = prepare(path, images)
            call(0)
            return call
    except ImportError as error:
        raise MissingDependencyError(
            f"{error.name or engine} is not installed: make a second environment with this package and the peers "
            "(pip install onnx onnxruntime openvino nncf) and run the command there"
        ) from None
    except Exception as error:  # whatever a peer raises is a result too
        reason = (str(error).strip().splitlines() or ["without a reason"])[0]
        raise RunError(f"{engine} failed ({type(error).__name__}: {reason[:120]})") from error


def _export(module: nn.Module, image: Float32, path: Path) -> None:
    import onnx  # noqa: F401  (torch would ask for it too, later and at length)

    with torch.no_grad():
        torch.onnx.export(
            module.eval(),
            (torch.from_numpy(image),),
            str(path),
            opset_version=_OPSET,
            dynamo=False,
            input_names=[_INPUT],
            output_names=[_OUTPUT],
        )


def _onnxruntime(path: Path, images: Float32) -> Call:
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds: Iterator[dict[str, Float32]] = ({_INPUT: image[None]} for image in images)

        def get_next(self) -> dict[str, Float32] | None:
            return next(self.feeds, None)

    simplified, quantised = path.with_suffix(".simple.onnx"), path.with_suffix(".int8.onnx")
    quant_pre_process(str(path), str(simplified), skip_symbolic_shape=True)
    quantize_static(
        str(simplified),
        str(quantised),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],  # all others too was slower on these networks
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(quantised), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input(_INPUT, onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(images[:1])))
    binding.bind_output(_OUTPUT)
    return lambda k: session.run_with_iobinding(binding)


def _openvino(path: Path, images: Float32) -> Call:
    import nncf
    import openvino

    nncf.set_log_level(logging.CRITICAL)
    core = openvino.Core()
    data = nncf.Dataset([image[None] for image in images])
    model = nncf.quantize(core.read_model(str(path)), data, subset_size=len(images))
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY"}
    request: Any = core.compile_model(model, "CPU", options).create_infer_request()
    image = openvino.Tensor(np.ascontiguousarray(images[:1]))
    request.set_input_tensor(image)
    return lambda k: request.infer()
