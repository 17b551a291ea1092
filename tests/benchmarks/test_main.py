"""``python -m benchmarks``: the list, and calls that are answered in a sentence."""

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

import spquant_snn
from benchmarks.__main__ import FOLDER, headline, names


def test_it_lists_every_benchmark(benchmark):
    code, out, err = benchmark()
    assert (code, err) == (0, "")
    assert benchmark("--help") == (code, out, err)
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "__main__"}
    assert set(names()) == files >= {"runtime", "train", "sparsity", "mnist"}
    plain = " ".join(out.split())
    assert all(f"{name} {headline(name)}" in plain for name in files)
    assert max(map(len, out.splitlines())) <= 80


def test_no_two_files_and_no_two_public_classes_have_one_name_with_the_package_included():
    package = Path(spquant_snn.__file__).parent
    classes, files = Counter(), Counter(path.name for path in FOLDER.rglob("*.py") if path.stem != "__init__")
    for path in (*FOLDER.rglob("*.py"), *package.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        found = (node.name for node in tree.body if isinstance(node, ast.ClassDef))
        classes.update({name for name in found if not name.startswith("_")})
    assert [name for name, count in (files + classes).items() if count > 1] == []


def test_a_benchmark_that_does_not_exist_is_refused(benchmark):
    code, out, err = benchmark("speed")
    assert (code, out) == (2, "")
    assert err.startswith("spquant: there is no benchmark 'speed': choose one of cifar10, ")
    assert err.count("\n") == 1


def test_a_package_that_is_missing_is_named(benchmark, monkeypatch):
    monkeypatch.setitem(sys.modules, "neurobench", None)
    code, out, err = benchmark("synops", "nowhere")
    assert (code, out) == (2, "")
    assert err == "spquant: this benchmark needs neurobench: pip install neurobench\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("runtime --lenet=", "--lenet is empty"),
        ("runtime --data-dir=", "--data-dir is empty"),
        ("train --rounds=", "--rounds is empty"),
        ("train --threads=-1", "threads must be from 0 to 4096, not -1"),
        ("train --threads=99999", "threads must be from 0 to 4096, not 99999"),
        ("sparsity --dataset=digits --out=", "--out is empty"),
        ("sparsity --dataset=digits --device=", "--device is empty"),
        ("sparsity --dataset=digits --epochs=-1", "epochs must be"),
        ("sparsity --dataset=" + "x" * 300, "unknown data set"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(words, said, benchmark, tmp_path):
    code, out, err = benchmark(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("spquant: ")
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
