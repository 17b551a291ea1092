"""The public surface: exactly the names it says, each with a docstring and an example that runs; imported when they are
used, friendly where torch is missing; and all that documents and examples take from the package."""

import ast
import doctest
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

import spquant_snn
import spquant_snn.data
import spquant_snn.plot
from cases import case
from spquant_snn import LeNetSNN, QuantConfig, SpQuantTrainer, errors, lower, prepare, save

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "pyproject.toml"
PUBLIC = {
    "spquant_snn": spquant_snn.__all__,
    "spquant_snn.data": spquant_snn.data.__all__,
    "spquant_snn.plot": spquant_snn.plot.__all__,
}
# Examples that train, and those of packages that are not installed here: docs/howto/exchange.md shows and runs these.
NOT_RUN = (
    *("SpQuantTrainer", "from_norse", "from_sinabs", "from_snntorch", "from_spikingjelly", "from_nir"),
    *("run_onnx", "to_onnx", "to_nir", "graph_from_nir"),
    *("save_pretrained", "from_pretrained"),
)
PROGRAMS = sorted((ROOT / "examples").glob("*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples/README.md"]


def python(program, **options):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, **options)


def kind(name):
    """How ruff orders names: constants, then classes, then all others."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_all_is_what_can_be_had_in_order():
    raised = [name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")]
    assert spquant_snn.__all__ == sorted({*spquant_snn._HOMES, *raised}, key=kind)


def test_every_name_is_there_and_listed():
    for name in spquant_snn.__all__:
        with case(name):
            value = getattr(spquant_snn, name)
            assert value.__name__ == name
            assert name in dir(spquant_snn)
    assert dir(spquant_snn.data) == sorted(spquant_snn.data.__all__)


def test_nothing_else_is_listed():
    assert dir(spquant_snn) == sorted([*spquant_snn.__all__, "data", "plot", "__version__"])


def test_public_modules_are_there_without_an_import_of_their_own():
    ended = python("import spquant_snn; print(spquant_snn.data.load.__name__, spquant_snn.plot.curves.__name__)")
    assert (ended.stdout, ended.stderr) == ("load curves\n", "")


def test_every_name_is_documented():
    for name in spquant_snn.__all__:
        with case(name):
            value, text = getattr(spquant_snn, name), inspect.getdoc(getattr(spquant_snn, name)) or ""
            assert text
            if not name.endswith("Error"):
                assert "Raises:" in text if inspect.isfunction(value) else "Args:" in text
                assert "Example:" in text


def test_the_example_of_every_name_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save(lower(prepare(LeNetSNN((1, 8, 8)), QuantConfig(), (1, 8, 8)).eval().freeze()), "model.spq")
    values = {name: getattr(spquant_snn, name) for name in spquant_snn.__all__}
    finder = doctest.DocTestFinder(recurse=False)
    for name, value in values.items():
        if name.endswith("Error"):
            continue  # tests/docs/test_docstrings.py runs those, with what they need
        with case(name):
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            for test in finder.find(value, name, globs={**values, "numpy": numpy, "torch": torch}):
                runner.run(test)
            result = runner.summarize(verbose=False)
            assert result.failed == 0
            assert result.attempted > 0 or name in NOT_RUN


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


@pytest.mark.parametrize("name", ["SpQuantTrainer", "LIF", "LeNetSNN", "prepare", "lower", "verify", "SpikingNetwork"])
def test_without_torch_its_names_say_what_to_install(name):
    ended = python(f"{WITHOUT_TORCH}\ntry: spquant_snn.{name}\nexcept ImportError as e: print(type(e).__name__, e)")
    assert ended.stdout == f"MissingDependencyError spquant_snn.{name} needs torch: pip install torch\n"


def test_without_torch_a_file_is_loaded_and_run(tmp_path):
    trainer = SpQuantTrainer("lenet-snn:0.1", "digits", 2, quiet=True)
    trainer.export(tmp_path / "model.spq")
    images = trainer.data.test.images[:5]
    expected = spquant_snn.load(tmp_path / "model.spq").predict(images).tolist()
    program = f"{WITHOUT_TORCH}\nimport json, sys, numpy\nimages = numpy.array(json.loads(sys.argv[1]), numpy.uint8)\n"
    program += "print(spquant_snn.load('model.spq').predict(images).tolist(), 'torch' in sys.modules)"
    call = [sys.executable, "-c", program, json.dumps(images.tolist())]
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stdout == f"{expected} False\n", ended.stderr


@pytest.mark.slow
def test_without_torch_the_doctor_works_and_the_others_say_what_to_install(tmp_path):
    program = WITHOUT_TORCH + "from spquant_snn.__main__ import main\nsys.exit(main())"
    call, wide = [sys.executable, "-c", program, "doctor"], os.environ | {"COLUMNS": "200"}
    ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=wide)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search("GPU +│ unknown without torch", ended.stdout)
    for command in (["train"],):  # an export of no run is refused before torch is looked for
        call = [sys.executable, "-c", program, *command]
        ended = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("spquant: ")
        assert ended.stderr.endswith("needs torch: pip install torch\n")


def private_uses(source):
    """What a program takes from the package that is not public: modules, names, attributes with an underscore."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            taken = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            taken = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute):
            taken = []
            if node.attr.startswith("_") and not node.attr.startswith("__"):
                yield node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "spquant_snn":
                taken = [("spquant_snn", node.attr)]
        else:
            continue
        for module, name in taken:
            if module.split(".")[0] == "spquant_snn" and not (
                module in PUBLIC and (name is None or name in PUBLIC[module] or f"{module}.{name}" in PUBLIC)
            ):
                yield f"{module}: {name}"


def programs_of(text):
    """The Python in a document: fenced, indented from a line on that imports the package, or given to python -c."""
    yield from re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    yield from re.findall(r'python -c "([^"]+)"', text)
    yield from re.findall(r"^ {4}((?:from|import) spquant_snn\b.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_an_example_uses_what_is_public(path):
    source = path.read_text("utf-8")
    assert "spquant_snn" in source
    assert list(private_uses(source)) == []


def test_documents_use_what_is_public():
    programs = [program for path in DOCUMENTS for program in programs_of(path.read_text("utf-8"))]
    assert len([program for program in programs if "spquant_snn" in program]) >= 5
    assert [use for program in programs for use in private_uses(program)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import spquant_snn.quant.prepare",
        "from spquant_snn.integer.file import save",
        "from spquant_snn import integer",
        "from spquant_snn.data import _find",
        "import spquant_snn\nspquant_snn.wings()",
        "trainer._network",
    ],
)
def test_the_check_sees_what_is_not_public(source):
    assert list(private_uses(source))
    assert list(private_uses("import spquant_snn.data\nfrom spquant_snn import load, data\nx.__name__")) == []


def test_the_version_is_written_in_one_place():
    text = PROJECT.read_text("utf-8")
    assert '\ndynamic = ["version"]\n' in text
    assert '[tool.hatch.version]\npath = "src/spquant_snn/__init__.py"\n' in text
