"""The examples run as they stand, each a screen long, its docstring the manual."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from real_mnist import mnist_test_or_skip
from spquant_snn.data.spoken_words import WORDS
from spquant_snn.integer.file import load_graph
from spquant_snn.runtime.native import NativeProgram
from wav_files import write_wav

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def run(name, *arguments, cwd, **environment):
    call = [sys.executable, FOLDER / name, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | environment
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_there_are_examples():
    known = {"demo.py", "train_mnist.py", "train_cifar10.py", "train_nmnist.py", "train_dvs_gesture.py"}
    assert known <= {path.name for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_how_to_call_it(path, tmp_path, monkeypatch, capsys):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 80
    assert f"    python examples/{path.name}" in ast.get_docstring(ast.parse(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(path), run_name="__main__")
    assert f"python examples/{path.name}" in capsys.readouterr().out  # the docstring is the help
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_goes_from_training_to_exports(tmp_path):
    ended = run("demo.py", "--epochs", "1", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "fp32 baseline" in ended.stdout
    assert re.search(r"equal on 360 images: [\d,]+ spikes", ended.stdout)
    folder = re.search(r"run folder, with model\.spq, is (.+)", ended.stdout)[1]
    assert (tmp_path / folder / "model.spq").exists()
    for target in ("c", "web"):
        command = re.search(
            rf"^    spquant (export {re.escape(folder)} --target {target} --out \w+/)$", ended.stdout, re.M
        )
        assert command, ended.stdout


@pytest.mark.slow
def test_train_mnist_trains_and_runs_the_integers(tmp_path):
    ended = run("train_mnist.py", "--dataset", "digits", "--epochs", "1", "--out", "x", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    *_, accuracy, integers = ended.stdout.splitlines()
    percent = re.fullmatch(r"Test Accuracy: (\d+\.\d\d)%", accuracy)[1]
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}/x/model\.spq: [\d,]+ bytes, {percent}% by these integers", integers
    )


TRAIN_CIFAR10 = """
import runpy, sys, torch
from spquant_snn.train import resolve
torch.manual_seed(0)
part = lambda count: (torch.randint(256, (count, 3, 32, 32)).to(torch.uint8), torch.arange(count) % 10)
resolve.as_splits = lambda name, *args, splits=resolve.as_splits, **kwargs: splits((part(80), part(20)))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_train_cifar10_trains(tmp_path):
    """On noise in place of the 60,000 images, which would take minutes."""
    arguments = [FOLDER / "train_cifar10.py", "--model", "vgg9-snn:0.05", "--epochs", "1", "--out", "x"]
    call = [sys.executable, "-c", TRAIN_CIFAR10, *arguments]
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"Test Accuracy: \d+\.\d\d%", ended.stdout.splitlines()[-1])
    assert (tmp_path / "x" / "model.spq").exists()


# Time steps, and test images of MNIST told right.
TRAINED = {
    "device-lenet.spq": (2, 9921),
    "lenet-a.spq": (2, 9927),
    "mnist/4kb.spq": (2, 9943),
    "mnist/light.spq": (2, 9859),
    "mnist/3kb.spq": (2, 9885),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_network_is_what_is_said_of_it(name):
    graph = load_graph(FOLDER / name)
    assert (graph.timesteps, graph.classes) == (TRAINED[name][0], 10)
    assert f"{(FOLDER / name).stat().st_size:,} bytes" in " ".join((FOLDER / "README.md").read_text("utf-8").split())


@pytest.mark.mnist
@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_network_by_the_native_runtime_is_as_accurate_as_it_is_said_to_be(name):
    images, labels = mnist_test_or_skip()
    right = int((NativeProgram(load_graph(FOLDER / name)).logits(images).argmax(1) == labels).sum())
    assert right == TRAINED[name][1]
    assert f"{right / 100:.2f} % of" in (FOLDER / "README.md").read_text("utf-8")


# For the smallest parts: codes of weights, and which of the 50 digits beside them are told wrong.
SMALL: dict[str, tuple[int, list[int]]] = {
    "4kb.spq": (28_824, []),
    "light.spq": (26_512, [18]),
    "3kb.spq": (13_648, []),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_network_for_the_smallest_parts_is_what_is_said_of_it(name):
    codes, wrong = SMALL[name]
    path = FOLDER / "mnist" / name
    graph = load_graph(path)
    assert {connection.bits for connection in graph.connections} == {1.58}
    assert {layer.neuron.bits for layer in graph.layers} == {1.58}
    assert sum(connection.codes.size for connection in graph.connections) == codes
    assert path.stat().st_size < 16 << 10
    with np.load(FOLDER / "mnist" / "digits.npz") as digits:
        told = NativeProgram(graph).logits(digits["images"]).argmax(1)
        assert (told != digits["labels"]).nonzero()[0].tolist() == wrong
    assert f"{codes:,} ternary weights" in " ".join((FOLDER / "README.md").read_text("utf-8").split())


CIFAR10 = {"vgg9-4-2.spq": (9240, 4), "vgg9-2-2.spq": (9115, 2), "vgg9-1.58-1.58.spq": (9128, 1.58)}


@pytest.mark.parametrize("name", CIFAR10)
def test_a_network_for_cifar10_is_what_is_said_of_it(name):
    path = FOLDER / "cifar10" / name
    if not path.exists():
        pytest.skip("networks for CIFAR-10 are in a checkout, not in the source distribution")
    graph = load_graph(path)
    assert (graph.timesteps, graph.classes, graph.input_shape) == (4, 10, (3, 32, 32))
    right, bits = CIFAR10[name]
    assert {connection.bits for connection in graph.connections} == {bits}
    manual = (FOLDER / "README.md").read_text("utf-8")
    assert re.search(rf"`{re.escape(name)}`: .+ {right / 100:.2f} %.*, {path.stat().st_size:,} bytes\.", manual)


TRAIN_ON_FEW = """
import pathlib, runpy, sys
from spquant_snn.data import catalog
from spquant_snn.data.camera import Camera
from spquant_snn.data.gestures import Studio, gestures
few = Studio(subjects=4, trials=1, duration=400_000, camera=Camera(size=32))
catalog._RECORDINGS["gestures"] = lambda folder: gestures(few)
catalog.cache_folder = lambda: pathlib.Path("cache")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_nmnist.py", "train_dvs_gesture.py"])
def test_examples_of_event_cameras_train_on_generated_gestures(name, tmp_path):
    """On 44 recordings in place of 1,320."""
    options = [
        "--dataset",
        "gestures:16",
        "--model",
        "lenet-snn:0.1",
        "--timesteps",
        "4",
        "--epochs",
        "1",
        "--out",
        "x",
    ]
    call = [sys.executable, "-c", TRAIN_ON_FEW, FOLDER / name, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"^Test Accuracy: (\d+\.\d\d)%$", ended.stdout, re.MULTILINE)
    if name == "train_nmnist.py":
        assert ended.stdout.splitlines()[-1].endswith(f"{found[1]}% by these integers")
    assert (tmp_path / "x" / "model.spq").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "folder"), [("train_nmnist.py", "NMNIST"), ("train_dvs_gesture.py", "DvsGesture")])
def test_without_recordings_an_example_says_what_goes_where(name, folder, tmp_path):
    ended = run(name, cwd=tmp_path, SPQUANT_DATA=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert f"{tmp_path}/{folder}" in ended.stderr
    assert "https://" in ended.stderr
    assert "without any files: --dataset gestures" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def with_few(module, name, options):
    """A program that runs an example on a small data set: that of a class of ``data``, made with other options."""
    return f"""
import runpy, sys
from spquant_snn.data import catalog
from spquant_snn.data.{module} import {name}
few = {name}({options})
catalog.{name} = lambda: few
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


SPOT_FEW = with_few("spoken_words", "SpokenWords", "train=3, validation=1, test=1, voices=2")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize(
    ("dataset", "model"), [("spoken-words", "ds-cnn-snn:0.1"), ("spoken-words:signal", "tc-resnet8-snn:0.3")]
)
def test_keyword_spotting_goes_from_speech_to_firmware(dataset, model, tmp_path):
    """On 72 takes of two voices."""
    write_wav(tmp_path / "word.wav", np.random.default_rng(0).normal(0, 500, 9000).astype(np.int16))
    options = ["--dataset", dataset, "--model", model, "--epochs", "1", "--out", "x", "--firmware", "kws"]
    call = [sys.executable, "-c", SPOT_FEW, FOLDER / "keyword_spotting.py", *options, "--listen", "word.wav"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    accuracy, *words, heard = ended.stdout.splitlines()[-13:]
    assert re.fullmatch(r"Test Accuracy: \d+\.\d\d%", accuracy)
    assert [line.split()[0] for line in words] == [*WORDS, "other"]
    assert heard.split(": ")[0] == "word.wav"
    assert heard.split(": ")[1] in (*WORDS, "other")
    assert (tmp_path / "kws/model.c").exists()
    bands = 40 if ":" in dataset else 10
    assert f"LOG_MEL_BANDS {bands}\n" in (tmp_path / "kws/features/log_mel.h").read_text()


def test_without_espeak_or_recordings_keyword_spotting_says_what_to_do(tmp_path):
    ended = run("keyword_spotting.py", cwd=tmp_path, PATH="")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith("which is not installed: apt-get install espeak-ng\n")
    ended = run("keyword_spotting.py", "--dataset", "speech-commands", cwd=tmp_path, SPQUANT_DATA=str(tmp_path))
    assert ended.stderr.count("\n") == 1
    assert f"{tmp_path}/speech_commands_v0.02" in ended.stderr
    assert list(tmp_path.iterdir()) == []


MOVE_LITTLE = with_few("motion", "MotionStudy", "train=2, validation=1, test=1, windows=8")


@pytest.mark.slow
def test_activity_goes_from_signals_to_firmware(tmp_path):
    """On 96 windows of two people."""
    options = ["--model", "tc-resnet8-snn:0.2", "--epochs", "1", "--out", "x", "--firmware", "imu"]
    call = [sys.executable, "-c", MOVE_LITTLE, FOLDER / "activity.py", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    accuracy, *rows = ended.stdout.splitlines()[-7:]
    table = np.array([[int(count) for count in row.split()[1:]] for row in rows])
    assert table.sum() == 48
    assert accuracy == f"Test Accuracy: {100 * np.trace(table) / 48:.2f}%"
    assert "int8_t" in (tmp_path / "imu/model.h").read_text()
