"""ONNX files compute the reference's integers under ONNX Runtime."""

import json

import numpy as np
import pytest
import torch

import spquant_snn.exchange.onnx_model as onnx_model
from cases import case
from general_graphs import general_graph, general_inputs
from random_graphs import RARE, random_graph, random_images, with_gates
from spquant_snn import ConfigError, ModelError, QuantConfig, lower, prepare, run_onnx, to_onnx
from spquant_snn.integer import reference
from spquant_snn.nn.models import build_model

onnx = pytest.importorskip("onnx", reason="needs onnx, see `make test-exchange`")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime, see `make test-exchange`")


def session(graph, kind, opset=25):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        onnx_model.onnx_bytes(graph, kind, opset), options, providers=["CPUExecutionProvider"]
    )


def run(graph, given, kind, opset=25):
    opened = session(graph, kind, opset)
    return opened.run(None, {x.name: array for x, array in zip(opened.get_inputs(), given, strict=True)})


def assert_same(found, expected):
    assert [(x.dtype, x.shape) for x in found] == [(x.dtype, x.shape) for x in expected]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def assert_steps_are_the_reference(graph, given, opset=25):
    """A step network agrees in every answer and every stored code of every step."""
    opened, count = session(graph, "step", opset), given[0].shape[-4]
    wanted, state = opened.get_inputs(), reference.State(graph, count)
    stored = {
        x.name: np.zeros((count, *x.shape[1:]), x.type.removeprefix("tensor(").removesuffix(")"))
        for x in wanted[len(given) :]
    }
    said = []
    for t in range(next((len(x) for x in given if x.ndim == 5), graph.timesteps)):
        frames = [x if x.ndim == 4 else x[t] for x in given]
        state.step(frames, set())
        found = opened.run(None, stored | {x.name: frame for x, frame in zip(wanted, frames, strict=False)})
        said.append(found[: len(graph.readouts)])
        stored = dict(zip(stored, found[len(graph.readouts) :], strict=True))
        rest = iter(stored.values())
        for codes, layer in zip(state.codes, graph.layers, strict=True):
            for part in [codes] if layer.neuron.current is None else [codes[:, 0], codes[:, 1]]:
                code = next(rest)
                assert np.array_equal(part.reshape(code.shape), code)
    expected = reference.answers(graph, *given)
    answers = [
        np.stack(row) if readout.over_time == "all" else row[-1]
        for readout, row in zip(graph.readouts, zip(*said, strict=True), strict=True)
    ]
    assert_same(answers, expected)


@pytest.mark.parametrize("seed", range(14))
def test_graphs_of_terms_are_the_reference(seed):
    graph = general_graph(seed)
    opset = onnx_model.OPSETS[seed % 2]
    frames = general_inputs(graph, 2, seed, steps=3)
    frames = [x if x.ndim == 5 else np.stack([x] * 3) for x in frames]
    images = general_inputs(graph, 2, seed)
    assert_same(run(graph, frames, "sequence", opset), reference.answers(graph, *frames))
    assert_same(run(graph, images, "images", opset), reference.answers(graph, *images))
    assert_steps_are_the_reference(graph, frames, opset)


@pytest.mark.parametrize("seed", [*range(6), *range(RARE, RARE + 24, 3)])
def test_rows_with_gates_and_rare_ones_are_the_reference(seed):
    graph = with_gates(random_graph(seed), seed)
    images = random_images(graph, 2)
    assert_same(run(graph, [images], "images"), [reference.run(graph, images)])
    assert_steps_are_the_reference(graph, [images])


def test_weights_of_bytes_meet_pixels_as_unsigned_ones():
    graph = random_graph(3, 8, 4)
    model = onnx.load_model_from_string(onnx_model.onnx_bytes(graph))
    kinds = {x.data_type for x in model.graph.initializer if x.name.endswith(".codes")}
    assert onnx.TensorProto.UINT8 in kinds  # 255 * 128, twice, leaves 16 bits
    white = np.full((2, *graph.input_shape), 255, np.uint8)
    assert_same(run(graph, [white], "images"), [reference.run(graph, white)])


@pytest.mark.parametrize(
    ("bits", "opset", "kind"), [(2, 25, "INT2"), (1.58, 25, "INT2"), (2, 21, "INT4"), (4, 21, "INT4"), (8, 25, "INT8")]
)
def test_weights_are_stored_at_their_bits(bits, opset, kind):
    model = onnx.load_model_from_string(onnx_model.onnx_bytes(random_graph(5, bits, 2), opset=opset))
    onnx.checker.check_model(model, full_check=True)
    kinds = {x.data_type for x in model.graph.initializer if x.name.endswith(".codes")}
    assert getattr(onnx.TensorProto, kind) in kinds


@pytest.mark.parametrize("name", ["lenet-snn:0.2", "resnet11-snn:0.1", "recurrent-snn:0.1"])
def test_models_by_name_are_the_reference(name):
    torch.manual_seed(0)
    shape = (1, 12, 12)
    graph = lower(prepare(build_model(name, shape, 10), QuantConfig(), shape).eval().freeze())
    images = random_images(graph, 8)
    assert_same(run(graph, [images], "images"), [reference.run(graph, images)])
    assert_steps_are_the_reference(graph, [images])


def test_what_a_file_says_of_itself():
    graph = general_graph(2)
    said = {x.key: x.value for x in onnx.load_model_from_string(onnx_model.onnx_bytes(graph, "step")).metadata_props}
    assert said["spquant.kind"] == "step"
    assert [x["scale"] for x in json.loads(said["spquant.inputs"]).values()] == [x.scale for x in graph.inputs]
    assert [x["scale"] for x in json.loads(said["spquant.outputs"]).values()] == [x.scale for x in graph.readouts]
    assert len(said["spquant.sha256"]) == 64


def test_the_same_graph_is_the_same_file(tmp_path):
    to_onnx(general_graph(1), tmp_path / "a.onnx")
    to_onnx(general_graph(1), tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_file_is_run_to_check_it(tmp_path):
    graph = random_graph(0)
    images = random_images(graph, 3)
    to_onnx(graph, tmp_path / "model.onnx")
    assert_same(run_onnx(tmp_path / "model.onnx", images), [reference.run(graph, images)])
    to_onnx(graph, tmp_path / "step.onnx", "step")
    assert len(run_onnx(tmp_path / "step.onnx", images)) == 1 + len(graph.layers) + 1  # and the sums of the readout
    with pytest.raises(ConfigError, match=r"does not take what is given"):
        run_onnx(tmp_path / "model.onnx", images.astype(np.int8))


def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, monkeypatch):
    graph = random_graph(0)
    for wrong, said in (
        ({"kind": "video"}, "kind must be one of images, sequence, step"),
        ({"opset": 13}, "opset must be 21 or 25"),
    ):
        with case(str(wrong)), pytest.raises(ConfigError, match=said):
            to_onnx(graph, tmp_path / "model.onnx", **wrong)
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 24)
    with pytest.raises(ConfigError, match=r"writes opsets up to 24, not 25: pip install -U onnx, or take opset=21$"):
        to_onnx(graph, tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"onnxruntime .* cannot run .*: pip install -U onnxruntime"):
        run_onnx(tmp_path / "model.onnx")


def test_what_is_no_graph_and_no_path_is_refused_in_words(tmp_path):
    module = prepare(build_model("lenet-snn:0.1", (1, 8, 8), 10), QuantConfig(), (1, 8, 8))
    with pytest.raises(ModelError, match="a Graph or a Program is needed, not a SpikingNetwork"):
        to_onnx(module, tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match=r"a path must be text or a pathlib\.Path"):
        run_onnx(None)
    assert not list(tmp_path.iterdir())
