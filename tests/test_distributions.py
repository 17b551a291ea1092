"""What is in the wheel and in the source distribution, and how large they are."""

import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import spquant_snn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A function: the file of a kind of distribution, built by hatchling as pip would, without its network."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: pip install hatchling")
    folder = tmp_path_factory.mktemp("dist")

    def build(kind, suffix):
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder], cwd=ROOT, check=True)
        (path,) = folder.glob(f"*{suffix}")
        return path

    return build


def test_the_wheel_holds_the_package_alone_in_under_1100_kb(built):
    path = built("wheel", ".whl")
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    assert {name.split("/")[0] for name in names} == {"spquant_snn", f"spquant_snn-{spquant_snn.__version__}.dist-info"}
    assert {f"spquant_snn/{name}" for name in ("__init__.py", "py.typed", "runtime/csrc/run.c")} <= set(names)
    assert path.stat().st_size < 1_100_000


def test_the_source_distribution_holds_what_is_tested_in_under_3_mb(built):
    path = built("sdist", ".tar.gz")
    with tarfile.open(path) as file:
        names = [name.partition("/")[2] for name in file.getnames()]
    assert {"benchmarks/runtime.py", "tests/test_distributions.py", "examples/device-lenet.spq", "README.md"} <= {
        *names
    }
    assert [name for name in names if name.startswith("examples/cifar10/") and name.endswith(".spq")] == []
    assert path.stat().st_size < 3_000_000
