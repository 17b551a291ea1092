"""Help for tests of networks of other packages: weights that let all layers send spikes, and the way to integers."""

import torch
from torch import nn

from spquant_snn import QuantConfig, lower, prepare

_WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def lively(net, factor=4.0):
    """The same with larger weights, so that all layers send spikes."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, _WEIGHTS):
                module.weight.mul_(factor)
    return net


def not_plain_batch_norm(net):
    """The same with other constants of batch normalisation than those that it begins with."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(0.0, 0.5)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    return net


def in_double(net):
    """The user's network in double precision, where its spikes are float32 whatever comes in."""
    for module in net.double().modules():
        if getattr(module, "weight", None) is not None:
            module.register_forward_pre_hook(lambda module, given: (given[0].to(module.weight.dtype),))
    return net


def compiled(network, shape):
    """The integer graph of an imported network."""
    config = QuantConfig(weight_bits=8, state_bits=8, timesteps=network.timesteps or 3)
    return lower(prepare(network, config, shape).freeze())
