"""Small networks whose counts can be made by hand, and counting without a compiler."""

import dataclasses

import numpy as np
import pytest

from rows import Last, Part, row
from spquant_snn.errors import MissingDependencyError
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import Neuron, TableStore

NEVER, ALWAYS = (1 << 31) - 1, -(1 << 31)


@pytest.fixture
def by_reference(monkeypatch):
    """Counts are taken from the reference, as where there is no compiler."""

    def missing(graph):
        raise MissingDependencyError("there is no C compiler")

    monkeypatch.setattr("spquant_snn.report.counts.NativeProgram", missing)


@pytest.fixture(scope="session")
def firing():
    """``firing(graph, threshold)``: the same graph with all its neurons at that threshold."""

    def stuck(graph, threshold):
        layers = [
            dataclasses.replace(
                layer, neuron=dataclasses.replace(layer.neuron, fire=np.full_like(layer.neuron.fire, threshold))
            )
            for layer in graph.layers
        ]
        return dataclasses.replace(graph, layers=tuple(layers))

    return stuck


@pytest.fixture(scope="session")
def pair():
    """``pair(first, last, input_shape, timesteps=2)``: a graph of two connections; its neurons always fire."""

    def make(first, last, input_shape, timesteps=2):
        channels = len(first.codes)
        constants = np.zeros((4, channels), np.int32)
        neuron = Neuron(
            2, 0, "zero", np.full(channels, ALWAYS, np.int32), constants[0], TableStore(constants, constants[:3])
        )
        return row(
            input_shape, timesteps, (Part(first, neuron),), Last(last, 0, np.zeros(len(last.codes), np.int32), 1.0)
        )

    return make


@pytest.fixture(scope="session")
def two_layers(pair):
    """4 pixels -> 3 neurons that always fire -> 2 classes, 2 bits, T = 2; 2 weights of 12 and 1 of 6 are zero."""
    first = np.array([[1, 0, -2, 1], [1, 1, 1, 0], [-1, 1, 1, 1]], np.int8)
    last = np.array([[1, -2, 0], [1, 1, 1]], np.int8)
    return pair(Connection("one", first, 2), Connection("two", last, 2), (1, 2, 2))
