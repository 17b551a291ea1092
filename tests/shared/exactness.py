"""Frozen networks of torch against the graphs that are made of them: every spike, code and answer."""

import numpy as np
import torch
from torch import nn

from spquant_snn.integer import reference
from spquant_snn.integer.connection import image
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.quant.lower import lower
from spquant_snn.quant.stage import Norm


def pixels(network, count=3, steps=None, seed=0):
    """Random uint8 inputs of a network, that stand still or are sequences; of several inputs a list."""
    draw = torch.Generator().manual_seed(seed)
    lead = (count,) if steps is None else (steps, count)
    found = [
        torch.randint(0, 256, (*lead, *image(shape)), dtype=torch.uint8, generator=draw)
        for shape in network.input_shapes
    ]
    return found if len(found) > 1 else found[0]


def settle_norms(network, x):
    """Give all batch normalisation the statistics of a batch, so that neurons fire."""
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train().step_outputs(x)
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()


def train(network, x, steps=2, rate=1e-2):
    """A few steps towards answers of one, in the form that the network has."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.Adam(trained, rate), []
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = sum((said.float() - 1).square().mean() for said in network.step_outputs(x))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    network.eval()
    return losses


def assert_exact(network, x):
    """Freeze a network and compare; its graph and, by layer, the share of neurons that fire."""
    network.eval().freeze()
    mine, theirs = [], []
    answers = network.integer_answers(x, lambda *seen: mine.append((seen[0], *(part.numpy() for part in seen[1:]))))
    graph = lower(network)
    given = [part.numpy() for part in (x if isinstance(x, list) else [x])]
    expected = reference.answers(graph, *given, probe=lambda *seen: theirs.append(seen))
    assert [name for name, *_ in mine] == [name for name, *_ in theirs] == [stage.name for stage in network.hidden]
    for (name, spikes, codes), (_, right, stored) in zip(mine, theirs, strict=True):
        assert np.array_equal(spikes, right), name
        assert np.array_equal(codes, stored), name
    assert len(answers) == len(expected) == len(network.readouts)
    for mine_too, right in zip(answers, expected, strict=True):
        assert np.array_equal(mine_too.numpy(), right)
    again = from_bytes(to_bytes(graph))
    assert all(np.array_equal(*both) for both in zip(reference.answers(again, *given), expected, strict=True))
    return graph, {name: float(spikes.mean()) for name, spikes, _ in mine}


def randomize_norms(network, spread=0.5):
    """Random batch normalisation, its weights of both signs where a module is not prepared yet."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.weight is not None:
                module.weight.uniform_(-1.5, 1.5)
                module.bias.normal_(0.4, spread)
