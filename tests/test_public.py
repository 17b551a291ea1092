"""The public surface: exactly the names it says, imported when they are used, friendly where torch is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import spquant_snn
from spquant_snn import SpQuantTrainer, errors

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def python(program, **options):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, **options)


def kind(name):
    """How ruff orders names: constants, then classes, then all others."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_all_is_what_can_be_had_in_order():
    raised = [name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")]
    assert spquant_snn.__all__ == sorted({*spquant_snn._HOMES, *raised}, key=kind)


@pytest.mark.parametrize("name", spquant_snn.__all__)
def test_every_name_is_there_and_listed(name):
    value = getattr(spquant_snn, name)
    assert value.__name__ == name
    assert name in dir(spquant_snn)


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="module 'spquant_snn' has no attribute 'wings'"):
        _ = spquant_snn.wings


def test_all_errors_are_of_one_tree():
    for name in spquant_snn.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(spquant_snn, name), spquant_snn.SpQuantError)


def test_the_import_is_light():
    ended = python("import sys, json, spquant_snn; print(json.dumps(sorted(sys.modules)))")
    modules = set(json.loads(ended.stdout))
    assert "spquant_snn.errors" in modules
    assert not modules & {"torch", "rich", "tyro", "numpy", "safetensors"}


WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
import spquant_snn
"""


@pytest.mark.parametrize("name", ["SpQuantTrainer", "LIF", "LeNetSNN", "prepare", "lower", "SpikingNetwork"])
def test_without_torch_its_names_say_what_to_install(name):
    ended = python(f"{WITHOUT_TORCH}\ntry: spquant_snn.{name}\nexcept ImportError as e: print(type(e).__name__, e)")
    assert ended.stdout == f"MissingDependencyError spquant_snn.{name} needs torch: pip install torch\n"


def test_without_torch_a_file_is_loaded_and_run(tmp_path):
    trainer = SpQuantTrainer("lenet-snn:0.1", "digits", 2, quiet=True)
    trainer.export(tmp_path / "model.spq")
    images = trainer.data.test.images[:5].numpy()
    expected = spquant_snn.load(tmp_path / "model.spq").predict(images).tolist()
    program = f"{WITHOUT_TORCH}\nimport json, sys, numpy\nimages = numpy.array(json.loads(sys.argv[1]), numpy.uint8)\n"
    program += "print(spquant_snn.load('model.spq').predict(images).tolist(), 'torch' in sys.modules)"
    call = [sys.executable, "-c", program, json.dumps(images.tolist())]
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stdout == f"{expected} False\n", ended.stderr


def test_without_torch_the_doctor_works_and_the_others_say_what_to_install(tmp_path):
    program = WITHOUT_TORCH + "from spquant_snn.__main__ import main\nsys.exit(main())"
    call, wide = [sys.executable, "-c", program, "doctor"], os.environ | {"COLUMNS": "200"}
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=wide)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("unknown without torch") >= 3  # GPU, fused neuron, data sets
    for command in (["train"], ["eval", "x"]):
        call = [sys.executable, "-c", program, *command]
        ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("spquant: ")
        assert ended.stderr.endswith("needs torch: pip install torch\n")


def test_the_version_is_the_project_s():
    assert f'\nversion = "{spquant_snn.__version__}"\n' in PROJECT.read_text("utf-8")
