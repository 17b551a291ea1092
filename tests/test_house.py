"""The order of the house: which part may import which, where torch is needed, and one name for one thing."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import spquant_snn

PACKAGE = Path(spquant_snn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Folders, and the files beside them. Each stands on those before it.
ORDER = (
    "errors",
    "dtypes",
    "lazy",
    "io",
    "build",
    "data",
    "integer",
    "runtime",
    "nn",
    "quant",
    "exchange",
    "sparsity",
    "train",
    "export",
    "report",
    "plot",
    "pretrained",
    "sweep",
    "trainer",
    "cli",
    "__main__",
)
WITHOUT_TORCH = (
    "errors",
    "dtypes",
    "lazy",
    "io",
    "build",
    "data",
    "integer",
    "runtime",
    "export",
    "plot",
    "cli",
    "__main__",
)
LONGEST = 500  # lines that a reader can hold


def parts_imported(source, inside):
    """Names below the package that a source imports; ``inside`` is its folder as a tuple, () for the top."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            targets = [[*(node.module or "").split("."), alias.name] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["spquant_snn", *inside][: 2 + len(inside) - node.level]
            module = (node.module or "").split(".") if node.module else []
            targets = [[*base, *module, alias.name] for alias in node.names]
        else:
            continue
        yield from (target[1] for target in targets if target[0] == "spquant_snn" and len(target) > 1)


def part_of(path):
    """The folder below the package that a file stands in, or its own name at the top."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def wrong_imports(source, path):
    """The imports of the file at ``path`` (relative to the package) that go against the order."""
    part = part_of(path)
    if part == "__init__":
        return []  # the public surface, which nothing in the package imports
    return sorted(set(parts_imported(source, path.parts[:-1])) - set(ORDER[: ORDER.index(part) + 1]))


def test_a_part_imports_only_from_those_before_it():
    assert {part_of(path.relative_to(PACKAGE)) for path in SOURCES} - {"__init__"} <= set(ORDER)
    found = {
        str(path.relative_to(PACKAGE)): wrong
        for path in SOURCES
        if (wrong := wrong_imports(path.read_text("utf-8"), path.relative_to(PACKAGE)))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "from ..quant.prepare import prepare",
        "from .. import quant",
        "import spquant_snn.quant.prepare",
        "from spquant_snn.quant import prepare",
        "from spquant_snn import quant",
        "def f():\n    from ..quant import prepare",
    ],
)
def test_the_check_sees_every_way_to_import(line):
    assert wrong_imports(line, Path("integer/neuron.py")) == ["quant"]
    assert wrong_imports(line, Path("train/loop.py")) == []


def test_no_two_files_and_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for path in PACKAGE.rglob("*"):
        if path.suffix in {".py", ".c", ".h", ".js", ".html", ".css"} and path.name != "__init__.py":
            places[path.name].append(path.relative_to(PACKAGE).as_posix())
    for path in SOURCES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_file_is_longer_than_a_reader_can_hold():
    assert [path.name for path in SOURCES if len(path.read_text("utf-8").splitlines()) > LONGEST] == []


def test_integers_need_no_torch():
    modules = [
        ".".join(("spquant_snn", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in SOURCES
        if part_of(path.relative_to(PACKAGE)) in WITHOUT_TORCH
    ]
    program = "import importlib, sys\nsys.modules['torch'] = None\n" + "\n".join(
        f"importlib.import_module({name!r})" for name in modules
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert len(modules) > 50
    assert ended.returncode == 0, ended.stderr
