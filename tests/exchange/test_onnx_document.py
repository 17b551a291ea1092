"""The blocks of docs/howto/onnx.md."""

import re
from pathlib import Path

import numpy as np
import pytest

from random_graphs import random_graph, random_images
from spquant_snn import to_onnx
from spquant_snn.integer import reference

pytest.importorskip("onnx", reason="needs onnx, see `make test-exchange`")
pytest.importorskip("onnxruntime", reason="needs onnxruntime, see `make test-exchange`")

TEXT = (Path(__file__).parents[2] / "docs" / "howto" / "onnx.md").read_text("utf-8")


def test_the_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    whole, step = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    graph = random_graph(5)
    images = random_images(graph, 6)
    to_onnx(graph, "model.onnx")
    names = {"images": images}
    exec(whole, names)
    assert np.array_equal(names["logits"], reference.run(graph, images))
    to_onnx(graph, "step.onnx", "step")
    names = {"frames": images[:, None]}
    exec(step, names)
    assert np.array_equal(names["answers"][0], reference.run(graph, images[:, None]))
    capsys.readouterr()
