"""A module from prepare to its integers: trained a little, frozen, lowered, and run by every backend that there is."""

import numpy as np
import torch

from spquant_snn.integer.compare import Trace, first_difference, images_first, reference_trace
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.quant.stage import Norm
from spquant_snn.quant.synapse import Synapse
from spquant_snn.runtime.native import NativeProgram

RARE = 0.04  # share of spikes below which a layer's threshold is lowered, so that there is something to compare


def pixels(shape, count=6, steps=None, seed=0):
    """Random uint8 inputs [N, ...], or [T, N, ...] of ``steps``, neighbours along the last axis alike."""
    rough = np.random.default_rng(seed).random((count, *shape) if steps is None else (steps, count, *shape))
    smooth = (rough + np.roll(rough, 1, -1) + np.roll(rough, 2, -1)) / 3
    return torch.from_numpy((255 * smooth).astype(np.uint8))


def brought_up(model, shape, bits=2, steps=None):
    """A module prepared, its neurons awake, trained for two steps, its statistics those of the inputs, in evaluation;
    and the inputs."""
    torch.manual_seed(0)
    network = prepare(model, QuantConfig(bits, bits, timesteps=4), shape)
    x = pixels(shape, steps=steps)
    settle(network, x)
    wake(network, x)
    train(network, x)
    settle(network, x)
    wake(network, x)
    return network.eval(), x


def train(network, x, steps=2):
    """A few steps of training towards random targets, in which every weight has a gradient."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 1e-3)
    network.train()
    for _ in range(steps):
        said = network.step_outputs(x)
        loss = sum((z.mean(0) - torch.rand(z.shape[1:], generator=generator)).square().mean() for z in said)
        optimizer.zero_grad()
        loss.backward()
        for name, module in network.named_modules():
            if isinstance(module, Synapse):
                assert module.weight.grad is not None, name
                assert bool(module.weight.grad.isfinite().all()), name
                assert bool(module.weight.grad.any()), name
        optimizer.step()


def settle(network, x):
    """Let the statistics of batch normalisation be those of ``x``."""
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    for norm in norms:
        norm.momentum = 0.1


def wake(network, x):
    """Lower thresholds and raise weights, layer by layer, until all neurons fire often enough."""
    network.eval()
    for _ in range(12 * len(network.hidden)):
        rates = {}
        with torch.no_grad():
            network.step_outputs(x, lambda name, spikes, codes, rates=rates: rates.update({name: float(spikes.mean())}))
        asleep = next((stage for stage in network.hidden if rates[stage.name] < RARE), None)
        if asleep is None:
            return
        with torch.no_grad():
            asleep.lif.v_threshold *= 0.7
            for synapse in (part for part in asleep.modules() if isinstance(part, Synapse)):
                synapse.weight += 0.1 * synapse.weight.std()


def answers(network, x):
    """What each readout says, averaged over time; as ``answer`` says it of the first."""
    with torch.no_grad():
        said = network.step_outputs(x)
    return [network.answer(said[0]), *(z.mean(0) for z in said[1:])]


def check_exact(network, x):
    """Freeze and lower a network, and compare all that torch and each backend compute; returns the graph and the rate
    of each layer."""
    network.eval().freeze()
    graph, found = lower(network), Trace()
    answered = network.integer_answers(x, lambda name, *seen: found.add(name, *(y.numpy() for y in seen)))
    found.answers = images_first(graph.readouts, [answer.numpy() for answer in answered])
    given = x.numpy().reshape(*x.shape[: x.dim() - len(network.input_shapes[0])], *graph.inputs[0].shape)
    for backend, run in BACKENDS.items():
        assert first_difference(run(graph, given), found) is None, backend
    return graph, [float(spikes.mean()) for _, spikes, _ in found.layers]


BACKENDS = {"reference": reference_trace, "native": lambda graph, given: NativeProgram(graph).trace(given)}


def alike(one, two):
    """Correlation of two answers."""
    return float(torch.corrcoef(torch.stack([one.double().flatten(), two.double().flatten()]))[0, 1])
