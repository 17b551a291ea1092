"""What commands import: ``spquant eval`` of an integer model needs NumPy and what the command line is made of."""

import gzip
import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from rows import Last, Part, row
from spquant_snn.cli.main import COMMANDS
from spquant_snn.integer.file import save
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.integer.reference import run
from spquant_snn.train.config import TrainConfig, save_config

HEAVY = ("torch", "safetensors", "jinja2", "sklearn")
CALL = """
import sys
from spquant_snn.__main__ import main
sys.argv = ["spquant", *sys.argv[1:]]
code = main()
"""
COUNTED = f"{CALL}\nprint(*[name for name in {HEAVY} if name in sys.modules], 'exit code', code)"
ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def without(*packages):
    """A program: the command where these cannot be imported."""
    return f"packages = {packages}\n{ABSENT}\n{CALL}\nsys.exit(code)"


def python(program, *arguments, **options):
    call = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, check=False, **options)


def test_no_help_imports_what_only_work_needs(tmp_path):
    """One process asks for one after the other: whatever any of them imports is there at the end."""
    program = f"""
import sys
from spquant_snn.__main__ import main
for command in {tuple(COMMANDS)}:
    sys.argv = ["spquant", command, "--help"]
    print(main(), *[name for name in {HEAVY} if name in sys.modules], "after", command, file=sys.stderr)
"""
    ended = python(program, cwd=tmp_path)
    assert ended.stderr.splitlines() == [f"0 after {command}" for command in COMMANDS]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], [], ["eval", "nowhere"], ["eval", ".", "--backend=native"], ["verify", "x"], ["report", "x", "y"]],
    ids=" ".join,
)
def test_neither_does_an_answer_that_needs_no_work(arguments, tmp_path):
    ended = python(COUNTED, *arguments, cwd=tmp_path)
    assert ended.stdout.splitlines()[-1].strip() == f"exit code {2 * (arguments != ['--help'])}", ended.stderr


def write_idx(path, array):
    content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with model.spq, the same in the folder of a run, and a data set of 40 images in the form of MNIST, of
    which it gets the first 13 wrong."""
    folder, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(5)
    connection = Connection("conv", rng.integers(-1, 2, (8, 1, 3, 3)).astype(np.int8), 1.58, stride=(2, 2))
    reach = connection.reach(255)
    neuron, _ = fold_neuron(1.58, 4.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("readout", rng.integers(-1, 2, (10, 8 * 13 * 13)).astype(np.int8), 1.58)
    graph = row((1, 28, 28), 2, (Part(connection, neuron),), Last(last, 0, np.zeros(10, np.int32), 1.0))
    save(graph, folder / "model.spq")
    (folder / "run").mkdir()
    save(graph, folder / "run" / "model.spq")
    save_config(TrainConfig(dataset="mnist"), folder / "run" / "config.toml")
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = rng.integers(0, 256, (40, 28, 28)).astype(np.uint8)
    labels = run(graph, images[:, None]).argmax(1).astype(np.uint8)
    labels[:13] = (labels[:13] + 1) % 10
    for name, ending in (("train", ".gz"), ("t10k", "")):
        write_idx(raw / f"{name}-images-idx3-ubyte{ending}", images)
        write_idx(raw / f"{name}-labels-idx1-ubyte{ending}", labels)
    return folder


@pytest.mark.parametrize(
    ("source", "backend"),
    [(["model.spq", "--dataset", "mnist"], "native"), (["run"], "reference")],
    ids=["file", "run"],
)
def test_an_integer_model_is_evaluated(source, backend, place):
    call = ["eval", *source, "--backend", backend, "--data-dir", "data"]
    ended = python(without(*HEAVY), *call, cwd=place)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Test Accuracy: 67.50%\n", "")
    ended = python(without(*HEAVY), *call, "--count", 20, "--json", cwd=place)
    found = json.loads(ended.stdout)
    assert (found["accuracy"], found["images"], found["dataset"], found["backend"]) == (35.0, 20, "mnist", backend)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["train"], "torch"),
        (["eval", "run"], "torch"),
        (["eval", "run", "--early-exit"], "torch"),
        (["verify", "run"], "torch"),
        (["export", "run", "--out", "x.spq"], "torch"),
        (["report", "model.spq", "--dataset", "mnist"], "jinja2"),
    ],
    ids=" ".join,
)
def test_a_package_that_a_command_lacks_is_named_with_the_line_that_installs_it(arguments, package, place):
    ended = python(without(*HEAVY), *arguments, cwd=place)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"spquant: this command needs {package}: pip install {package}\n"


def test_a_report_on_integer_models_needs_no_torch(place, tmp_path):
    page, data = tmp_path / "page.html", ["--dataset", "mnist", "--data-dir", "data"]
    program = without("torch", "safetensors", "sklearn")
    ended = python(program, "report", "model.spq", *data, "--out", page, cwd=place)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "conv" in page.read_text()
    ended = python(program, "report", "model.spq", "run/model.spq", *data, "--json", cwd=place)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [run["accuracy"] for run in json.loads(ended.stdout)["runs"]] == [67.5, 67.5]
    ended = python(program, "report", "run", "--data-dir", "data", cwd=place)
    assert ended.stderr == "spquant: this command needs torch: pip install torch\n"


def test_firmware_is_exported(place, tmp_path):
    call = ["export", "model.spq", "--target", "c", "--out", tmp_path / "c", "--dataset", "mnist", "--data-dir", "data"]
    ended = python(without("torch", "safetensors", "sklearn"), *call, cwd=place)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "c" / "model.c").is_file()
