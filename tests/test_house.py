"""The order of the house: which folder may import which, where torch is needed, and how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spquant_snn

PACKAGE = Path(spquant_snn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
ORDER = ("data", "nn", "quant", "sparsity", "train", "integer", "runtime", "export", "report", "bench", "sweep")
BASE = (
    "errors",
    "lazy",
    "files",
    "reading",
    "texts",
    "fields",
    "output",
    "terminal",
    "build",
)  # beside the folders
NEEDS_TORCH = {"integer/lower.py"}
WITHOUT_TORCH = sorted(
    path
    for path in (p.relative_to(PACKAGE).as_posix() for p in SOURCES)
    if (path.startswith(("integer/", "runtime/")) and path not in NEEDS_TORCH)
    or path in ("quant/grids.py", "quant/fold.py", "quant/pool.py", "data/events.py", "data/frames.py", "errors.py")
)


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


def wrong_imports(source, path):
    """The imports of the file at ``path`` (relative to the package) that go against the order."""
    inside = path.parts[:-1]
    imported = set(parts_imported(source, inside))
    if inside:
        return sorted(imported - {*BASE, *ORDER[: ORDER.index(inside[0]) + 1]})
    return sorted(imported - set(BASE)) if path.stem in BASE else []  # the rest of the top stands on all folders


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_folder_imports_only_from_those_before_it(path):
    assert wrong_imports(path.read_text("utf-8"), path.relative_to(PACKAGE)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from ..integer.graph import Graph",
        "from .. import integer",
        "import spquant_snn.integer.graph",
        "from spquant_snn.integer import graph",
        "from spquant_snn import integer",
        "def f():\n    from ..integer import graph",
    ],
)
def test_the_check_sees_every_way_to_import(line):
    assert wrong_imports(line, Path("quant/fold.py")) == ["integer"]
    assert wrong_imports(line, Path("export/web.py")) == []


def test_no_folder_imports_the_top():
    assert wrong_imports("from .integer import graph", Path("errors.py")) == ["integer"]
    assert wrong_imports("from .. import trainer\nfrom ..cli import main", Path("report/html.py")) == ["cli", "trainer"]


def test_every_folder_has_its_place_in_the_order():
    folders = {path.relative_to(PACKAGE).parts[0] for path in SOURCES if path.parent != PACKAGE}
    assert folders <= set(ORDER)


def test_integers_need_no_torch():
    modules = [
        "spquant_snn." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in WITHOUT_TORCH
    ]
    program = "import importlib, sys\nsys.modules['torch'] = None\n" + "\n".join(
        f"importlib.import_module({name!r})" for name in modules
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert len(modules) > 5
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_file_is_longer_than_a_reader_can_hold(path):
    assert len(path.read_text("utf-8").splitlines()) <= 350
