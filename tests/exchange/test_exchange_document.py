"""The blocks of docs/howto/exchange.md, from a network of each package to a model in integers."""

import re
from pathlib import Path

import pytest
import torch

from spquant_snn import Program, load_graph

TEXT = (Path(__file__).parents[2] / "docs" / "howto" / "exchange.md").read_text("utf-8")
BLOCKS = {block.split("from_")[1].split(",")[0]: block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)}


README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_there_is_a_block_for_each_package():
    assert set(BLOCKS) == {"snntorch", "spikingjelly", "norse", "sinabs", "nir"}


@pytest.mark.parametrize("package", BLOCKS)
def test_a_block_goes_from_a_network_to_integers(package, tmp_path, monkeypatch, capsys):
    pytest.importorskip(package, reason=f"{package} is not installed: make test-exchange")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8)
    exec(BLOCKS[package], {"images": images, "__name__": "block"})
    assert "of 16 answers are those of floating point" in capsys.readouterr().out
    assert Program(load_graph("model.spq")).predict(images.numpy()).shape == (16,)


def test_the_block_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("snntorch", reason="snntorch is not installed: make test-exchange")
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "from_snntorch" in block)
    images = torch.randint(0, 256, (16, 1, 28, 28), dtype=torch.uint8)
    names = {"images": images, "__name__": "block"}
    exec(BLOCKS["snntorch"], names)  # for its network
    exec(block, names)
    assert capsys.readouterr().out.count("of 16 answers are those of floating point") == 2
    assert Program(load_graph("model.spq")).predict(images.numpy()).shape == (16,)
