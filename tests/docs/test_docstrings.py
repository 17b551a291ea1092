"""Every public name has an example in its docstring, and those that need nothing from outside run."""

import doctest
import inspect
from pathlib import Path

import numpy
import pytest
import torch

import spquant_snn
import spquant_snn.data
import spquant_snn.plot
from spquant_snn import LeNetSNN, QuantConfig, lower, prepare, save

# What they need: files, packages, a network of one's own. tests/test_public.py runs those of spquant_snn itself.
NOT_RUN = (
    *(
        "ImageFolder",
        "SpikeFile",
        "TarShards",
        "from_columns",
        "find_recordings",
        "read_wav",
        "read_aedat2",
        "read_aedat3",
    ),
    *("curves", "DivergedError", "MissingDependencyError"),
)
HERE = [
    *((spquant_snn.data, name) for name in spquant_snn.data.__all__ if name != "NAMES"),
    *((spquant_snn.plot, name) for name in spquant_snn.plot.__all__),
    *((spquant_snn, name) for name in spquant_snn.__all__ if name.endswith("Error")),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.spq"
    save(lower(prepare(LeNetSNN((1, 8, 8)), QuantConfig(), (1, 8, 8)).eval().freeze()), path)
    return path.read_bytes()


@pytest.mark.parametrize(("module", "name"), HERE, ids=[name for _, name in HERE])
def test_a_public_name_has_an_example_that_runs(module, name, model, tmp_path, monkeypatch):
    assert "Example:" in inspect.getdoc(getattr(module, name))
    if name in NOT_RUN:
        return
    monkeypatch.chdir(tmp_path)
    Path("model.spq").write_bytes(model)
    names = {name: getattr(spquant_snn, name) for name in spquant_snn.__all__}
    names |= {name: getattr(module, name) for name in module.__all__}
    names |= {"numpy": numpy, "torch": torch, "Path": Path, "plot": spquant_snn.plot}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(recurse=False).find(getattr(module, name), name, globs=names):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 0
