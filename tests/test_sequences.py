"""Sequences from the command to the integers: recordings train, and torch, reference and native agree on them."""

import json
import re

import numpy as np
import pytest
import torch

import recorded
import spquant_snn
from spquant_snn import ConfigError, SpQuantTrainer
from spquant_snn.data import Labelled, Splits, Task, catalog, hold_out
from spquant_snn.integer.compare import compare_backends, reference_trace
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.runtime.native import NativeProgram
from spquant_snn.train.loading import load_network
from spquant_snn.train.metrics import measure
from spquant_snn.train.tensors import as_tensors

SMALL = {"batch_size": 16, "precision": "fp32", "quiet": True, "epochs": 3}


def moving(count, steps=6, seed=0):
    """A dot that goes right (0) or left (1), from anywhere: no frame alone tells which."""
    draw = np.random.default_rng(seed)
    labels, starts = draw.integers(0, 2, count), draw.integers(0, 8, count)
    frames = np.zeros((count, steps, 2, 8, 8), np.uint8)
    for n, (label, start) in enumerate(zip(labels, starts, strict=True)):
        for t in range(steps):
            frames[n, t, draw.integers(0, 2), 2:6, (start + (1 - 2 * label) * t) % 8] = draw.integers(1, 6)
    return frames, labels


DATA = (moving(240), moving(100, seed=1))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "cache_folder", lambda: tmp_path / "cache")  # of frames; the runtime is built once


@pytest.fixture
def recordings(tmp_path):
    """N-MNIST in small: two digits, the events of one in the upper half, of the other in the lower."""
    draw = np.random.default_rng(0)
    for part, count in (("Train", 40), ("Test", 12)):
        for digit in (0, 1):
            folder = tmp_path / "data" / "NMNIST" / part / str(digit)
            folder.mkdir(parents=True)
            for number in range(count):
                t = np.sort(draw.integers(0, 300_000, 250)).tolist()
                x, y, p = (draw.integers(0, most, 250).tolist() for most in (34, 17, 2))
                events = [(t, x, y + 17 * digit, p) for t, x, y, p in zip(t, x, y, p, strict=True)]
                (folder / f"{number:05d}.bin").write_bytes(recorded.nmnist(events))
    return tmp_path / "data"


def test_a_sequence_keeps_its_time_when_some_are_held_out():
    data = Labelled(*moving(20))
    rest, held = hold_out(data, 5, seed=0)
    assert (rest.images.shape, held.images.shape, held.frames) == ((15, 6, 2, 8, 8), (5, 6, 2, 8, 8), 6)
    assert held.inputs().shape == (6, 5, 2, 8, 8)


def test_what_is_measured_does_not_depend_on_the_size_of_batches():
    trainer = SpQuantTrainer("lenet-snn:0.1", DATA, 2, timesteps=6, **SMALL)
    network, test = trainer.deployed(), as_tensors(trainer.data.test)
    first, again = measure(network, test, batch_size=600), measure(network, test, batch_size=7)
    assert first.score == again.score
    assert first.loss == pytest.approx(again.loss)
    assert [layer.rate for layer in first.layers] == pytest.approx([layer.rate for layer in again.layers])


@pytest.mark.parametrize("bits", ["ternary", 2, 4, 8])
def test_every_backend_native_too_gives_the_same_integers_on_sequences(bits):
    trainer = SpQuantTrainer("lenet-snn:0.2", DATA, bits, timesteps=6, **SMALL | {"epochs": 1})
    trainer.train()
    network, inputs = trainer.deployed(), trainer.data.test.inputs()
    graph = lower(network)
    found = compare_backends(lambda x: frozen_trace(network, x), lambda x: reference_trace(graph, x), inputs, batch=33)
    assert found.equal, str(found)
    assert found.spikes > 0
    program = spquant_snn.load(trainer.run.integers)
    expected = network.integer_logits(torch.from_numpy(inputs)).numpy()
    assert np.array_equal(program.logits(inputs), expected)
    correct = (program.predict(inputs) == trainer.data.test.labels).mean()
    assert trainer.evaluate() == pytest.approx(100 * correct)


def test_a_native_stream_of_frames_ends_where_the_sequence_does():
    trainer = SpQuantTrainer("lenet-snn:0.2", DATA, 2, timesteps=6, **SMALL)
    graph, inputs = lower(trainer.deployed()), trainer.data.test.inputs(slice(5))
    with NativeProgram(graph) as program:
        expected = program.logits(inputs)
        for n in range(5):
            stream = program.stream()
            for frame in inputs[:, n]:
                logits = stream.push(frame)
            assert np.array_equal(logits, expected[n])


@pytest.mark.slow
def test_order_is_learnt_and_lost_with_the_order():
    trained = SpQuantTrainer("lenet-snn:0.5", DATA, 4, timesteps=6, learning_rate=0.01, **SMALL | {"epochs": 15})
    assert trained.train().evaluate() > 85
    order = np.random.default_rng(0).random((100, 6)).argsort(1)
    images, labels = DATA[1]
    shuffled = Labelled(images[np.arange(100)[:, None], order], labels)
    assert measure(trained.deployed(), as_tensors(shuffled)).score < 70


def test_counts_are_scaled_as_counts_and_a_run_remembers_it():
    trainer = SpQuantTrainer("lenet-snn:0.1", DATA, 2, timesteps=6, **SMALL | {"epochs": 1}).train()
    assert [stage.given and stage.given.divisor for stage in trainer.network.stages] == [4, None, None, None]
    record = json.loads(trainer.run.record.read_text())
    assert (record["input_format"], record["input_shape"]) == ({"signed": False, "scale": 0.25}, [2, 8, 8])
    again = load_network(trainer.run.path)
    assert again.hidden[0].divisor == trainer.network.hidden[0].divisor == 4 * 4  # a count of 4, a pool of 4
    inputs = torch.from_numpy(trainer.data.test.inputs())
    assert torch.equal(again.eval().freeze().integer_logits(inputs), trainer.deployed().integer_logits(inputs))


def test_sequences_of_another_length_are_refused_in_words():
    with pytest.raises(ConfigError, match="have 6 frames, timesteps is 2: set timesteps to 6"):
        SpQuantTrainer("lenet-snn:0.1", DATA, 2, quiet=True)


@pytest.mark.slow
def test_gates_and_blocks_are_trained_on_sequences():
    options = SMALL | {"epochs": 5, "target_ops": 0.5, "target_skip": 0.3}
    trainer = SpQuantTrainer("lenet-snn:0.25", DATA, 2, timesteps=6, **options).train()
    network, inputs = trainer.deployed(), trainer.data.test.inputs()
    graph = spquant_snn.load(trainer.run.integers).graph
    assert compare_backends(lambda x: frozen_trace(network, x), lambda x: reference_trace(graph, x), inputs).equal
    last = json.loads(trainer.run.metrics.read_text().splitlines()[-1])
    assert 0 < last["ops_share"] < 0.8


def test_recordings_are_trained_evaluated_and_verified_by_the_command_and_native_code(spquant, recordings):
    where = ("--data-dir", recordings)
    train = ("--dataset", "nmnist", "--timesteps", 5, "--model", "lenet-snn:0.1", "--epochs", 4, "--batch-size", 8)
    code, out, err = spquant("train", *train, "--precision", "fp32", "--out", "x", *where)
    assert (code, out.splitlines()[1][:40]) == (0, "72 training recordings, 8 for validation"), err
    accuracy = out.splitlines()[-1]
    assert re.fullmatch(r"Test Accuracy: \d+\.\d\d%", accuracy)
    for backend in ("torch", "reference", "native"):
        assert spquant("eval", "x", "--backend", backend, *where)[:2] == (0, accuracy + "\n")
    code, out, _ = spquant("eval", "x", "--early-exit", *where)
    said = " ".join(out.split())
    assert "on 8 recordings of the validation set and 24 test recordings. With a margin, each recording stops" in said
    assert (code, "on the validation set lies" in said, "image" in said) == (0, True, False)
    for backend in ("reference", "native"):
        code, out, _ = spquant("verify", "x", "--backend", backend, "--count", 0, *where)
        assert (code, out[:19]) == (0, "equal on 24 images:")
    assert spquant("eval", "x/model.spq", "--backend", "reference", "--dataset", "nmnist", *where)[1] == accuracy + "\n"
    assert spquant("export", "x", "--target", "c", "--out", "firmware", *where)[0] == 0
    code, out, _ = spquant("report", "x", "--raster", "0", *where)
    assert code == 0
    assert "T = 5, 24 images" in out


def test_missing_recordings_are_one_sentence(spquant, tmp_path):
    for name in ("nmnist", "dvs-gesture"):
        code, out, err = spquant("train", "--dataset", name, "--data-dir", tmp_path)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"spquant: {name}: there is no {tmp_path}" in err
        assert "unpack" in err


def test_the_doctor_looks_without_reading(spquant, recordings, tmp_path):
    code, out, _ = spquant("doctor", "--data-dir", recordings)
    assert code == 0
    for found in ("80 + 24", "990 + 330"):
        assert found in out
    assert not (tmp_path / "cache").exists()


def test_splits_of_images_and_sequences_are_not_mixed():
    still = Labelled(DATA[1][0][:, 0], DATA[1][1])
    with pytest.raises(spquant_snn.DataError, match=r"training images are \[6, 2, 8, 8\], test images \[2, 8, 8\]"):
        Splits("mixed", Labelled(*DATA[0]), still, Task("classification", 2))
