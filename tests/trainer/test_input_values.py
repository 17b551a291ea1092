"""Floats of any range, of every shape, from the trainer to torch, reference, native code and C: one scale, one
answer."""

import shutil
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import LIF, SpQuantTrainer, load
from spquant_snn.errors import ConfigError, DataError, ModelError
from spquant_snn.export.web import choose_samples, make_page
from spquant_snn.train.run import RunFolder


def of_images():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), LIF(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(96, 3),
    )  # fmt: skip


def of_signals():
    return nn.Sequential(
        nn.Conv1d(6, 8, 3, padding=1, bias=False), nn.BatchNorm1d(8), LIF(), nn.AvgPool1d(2), nn.Flatten(),
        nn.Linear(64, 3),
    )  # fmt: skip


def of_vectors():
    return nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), LIF(), nn.Linear(16, 3))


def pooled_first():
    return nn.Sequential(
        nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), LIF(),
        nn.Flatten(), nn.Linear(96, 3),
    )  # fmt: skip


# A model, the shape of an item and its frames, if it is a sequence.
CASES = {
    "images": (of_images, (2, 8, 8), None),
    "signals": (of_signals, (6, 16), None),
    "vectors": (of_vectors, (20,), None),
    "sequences of images": (of_images, (3, 2, 8, 8), 3),
    "sequences of signals": (of_signals, (3, 6, 16), 3),
    "sequences of vectors": (of_vectors, (3, 20), 3),
    "images, their largest values": (pooled_first, (2, 8, 8), None),
    "a model by name": (lambda: "tc-resnet8-snn:0.2", (10, 16), None),
}


def trained(model, shape, steps, signed, tmp_path, **options):
    values = np.random.default_rng(len(shape)).normal(0.3, 2, (40, *shape)).astype(np.float32)
    values = values if signed else np.abs(values)
    labels = np.arange(40) % 3
    trainer = SpQuantTrainer(
        model, ((values, labels), (values[:10], labels[:10])), 2, out=tmp_path / "run", quiet=True, epochs=1,
        batch_size=16, validation=8, timesteps=steps or 2, **options,
    )  # fmt: skip
    return trainer.train(), values


def passes_in_c(folder, values, inputs):
    """Whether the exported C passes its self-test, and quantises values as Python does."""
    (folder / "main.c").write_text(
        '#include <math.h>\n#include "model.h"\n'
        f"static const float values[] = {{{', '.join(f'{x:.9e}f' for x in values)}}};\n"
        f"static const int inputs[] = {{{', '.join(map(str, inputs))}}};\n"
        "int main(void) {\n"
        "    for (unsigned i = 0; i < sizeof inputs / sizeof *inputs; i++) {\n"
        "        float x = roundf(values[i] / MODEL_INPUT_SCALE);\n"
        "        x = x < MODEL_INPUT_LOWEST ? MODEL_INPUT_LOWEST : x > MODEL_INPUT_LARGEST ? MODEL_INPUT_LARGEST : x;\n"
        "        if ((int)x != inputs[i]) return 100;\n"
        "    }\n"
        "    return model_selftest();\n}\n"
    )
    files = [str(path) for path in folder.glob("*.c")]
    subprocess.run(["gcc", "-O0", "-std=c99", *files, "-lm", "-o", str(folder / "program")], check=True)
    return subprocess.run([folder / "program"], check=False).returncode == 0


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_floats_of_any_range_are_one_network_everywhere(name, signed, tmp_path):
    make, shape, steps = CASES[name]
    trainer, values = trained(make(), shape, steps, signed, tmp_path)
    given = trainer.data.input_format
    assert given.signed == signed
    assert np.abs(values).max() / given.largest * 0.6 < given.scale <= np.abs(values).max() / given.largest
    for backend in ("reference", "native"):
        verdict = trainer.verify(backend=backend)
        assert verdict.equal, verdict
    program = load(trainer.run.integers)
    assert program.input_format == given
    inputs = program.quantize(values[:10])
    assert np.array_equal(inputs.ravel(), trainer.data.test.images.ravel())
    inputs = inputs if steps is None else inputs.swapaxes(0, 1)
    accuracy = (program.predict(inputs) == np.arange(10) % 3).mean() * 100
    assert accuracy == pytest.approx(trainer.evaluate())
    with pytest.raises(DataError, match="quantize"):
        program.predict(values[:10])
    if steps is not None:
        stream = program.stream()
        for frame in inputs[:, 0]:
            stream.push(frame)
        assert np.array_equal(stream.logits, program.logits(inputs)[0])
    if name == "signals":
        samples = choose_samples(trainer.data.test.images, trainer.data.test.labels)
        page = make_page(program.graph, b"", samples, "signals", "custom")
        assert f"inputs of {given.dtype}, one for {given.scale:.3g} in the units of the data" in page
    if shutil.which("gcc") and signed and name == "signals":
        folder = trainer.export(tmp_path / "c", "c")
        flat = values[0].ravel()[:200]
        assert passes_in_c(folder, flat, program.quantize(flat))


def test_a_range_that_is_given_is_kept_by_the_run_and_clips_what_lies_beyond(tmp_path, capfd):
    trainer, values = trained(of_vectors(), (20,), None, True, tmp_path, input_range=2.54)
    given = trainer.data.input_format
    assert (given.signed, given.scale) == (True, pytest.approx(0.02))
    beyond = np.abs(np.rint(values[:32] / 0.02)) > 127
    assert 0.1 < beyond.mean() < 0.9
    assert RunFolder(tmp_path / "run").read_record()["input_format"] == {"signed": True, "scale": given.scale}
    again = SpQuantTrainer.resume(
        tmp_path / "run", of_vectors(), ((values, np.arange(40) % 3), (values[:10], np.arange(10) % 3)), quiet=False
    )
    assert again.data.input_format == given
    share = (np.abs(np.rint(values / np.float32(0.02))) > 127).mean()
    said = " ".join(capfd.readouterr().err.split())
    assert f"inputs are int8, of values from -2.54 to 2.54, a scale of 0.02; {share:.2%} of the values of 40" in said


def test_whole_numbers_and_bools_are_taken(tmp_path):
    labels = np.arange(20) % 2
    draw = np.random.default_rng(0)
    for values, signed, scale in (
        (draw.integers(-9000, 9000, (20, 20)).astype(np.int16), True, None),
        (draw.integers(0, 255, (20, 20)).astype(np.int64), False, 1 / 255),
        (draw.integers(-128, 127, (20, 20)).astype(np.int8), True, 1 / 127),
        (draw.random((20, 20)) > 0.5, False, 1.0),
    ):
        trainer = SpQuantTrainer(of_vectors(), ((values, labels), (values, labels)), 2, quiet=True)
        given = trainer.data.input_format
        assert given.signed == signed
        assert given.scale == scale or (scale is None and 60 < given.scale < 72)
        verdict = trainer.verify()
        assert verdict.equal, verdict


def test_a_shape_of_two_readings_is_decided_by_the_first_layer_or_by_the_option():
    values, labels = np.random.default_rng(0).normal(size=(20, 6, 16)).astype(np.float32), np.arange(20) % 2
    data = ((values, labels), (values, labels))
    steps = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), LIF(), nn.Linear(8, 2))
    assert SpQuantTrainer(of_signals(), data, 2, quiet=True).data.shape == (6, 1, 16)
    assert SpQuantTrainer(steps, data, 2, quiet=True, timesteps=6).data.frames == 6
    with pytest.raises(DataError, match=r"a signal of 6 channels .* 6 steps of 16 values .* a grey image of 6x16"):
        SpQuantTrainer("recurrent-snn:0.1", data, 2, quiet=True)
    network = SpQuantTrainer("recurrent-snn:0.1", data, 2, quiet=True, input_kind="sequence", timesteps=6)
    assert network.data.frames == 6
    with pytest.raises(ConfigError, match="input_kind is for own data"):
        SpQuantTrainer("lenet-snn", "digits", 2, quiet=True, input_kind="image")
    images = torch.zeros(20, 20, dtype=torch.uint8), torch.arange(20) % 2
    with pytest.raises(ConfigError, match="input_range is for numbers that are quantised"):
        SpQuantTrainer(of_vectors(), (images, images), 2, quiet=True, input_range=3.0)


def test_a_model_that_scales_inputs_in_units_of_their_own_is_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = of_vectors()

        def forward(self, x):
            return self.layers(x / 255)

    values, labels = np.random.default_rng(0).normal(size=(20, 20)), np.arange(20) % 2
    with pytest.raises(ModelError, match=r"multiplies the input with 0.0039.* a scale of .* scale the data"):
        SpQuantTrainer(Scaled(), ((values, labels), (values, labels)), 2, quiet=True)
