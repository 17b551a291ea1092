"""Layers over time: time folds into the batch, neurons see it, and a pool folds into the kernel before it."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spquant_snn.errors import ConfigError, DataError, ModelError
from spquant_snn.nn import LIF, LeNetSNN, OneToOne, SpikingSequential, fold_time
from spquant_snn.nn.layers import _in_two_launches, pool_into_kernel


@pytest.mark.parametrize("channels", [0, -1, 2.0, True, "2"])
def test_one_to_one_needs_a_number_of_channels(channels):
    with pytest.raises(ConfigError, match="channels must be a positive whole number, not"):
        OneToOne(channels)


def test_one_to_one_refuses_other_channels():
    with pytest.raises(ConfigError, match=r"OneToOne\(3\) takes \[N, 3, ...\], not \[2, 4\]"):
        OneToOne(3)(torch.ones(2, 4))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((4, 2, 3, 8, 8), r"a Conv2d .* takes sequences \[T, N, C, H, W\] with C = 1, not \[4, 2, 3, 8, 8\]"),
        ((2, 1, 8, 8), r"with C = 1, not \[2, 1, 8, 8\]"),
        ((4, 2, 1, 9, 16), r"a Linear .* takes sequences \[T, N, F\] with F = 128, not \[4, 2, 256\]"),
    ],
)
def test_a_sequence_of_another_shape_than_the_layers_take_is_refused(shape, said):
    model = LeNetSNN((1, 8, 8), width=(4, 32), hidden=8)
    model(torch.zeros(4, 2, 1, 8, 8))
    with pytest.raises(DataError, match=said):
        model(torch.zeros(shape))


def integers(*shape, seed=0, low=-3, high=4):
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed)).double()


def test_a_folded_layer_sees_every_step_alone():
    layer, x = nn.Conv2d(2, 3, 3), torch.randn(4, 5, 2, 6, 7)
    torch.testing.assert_close(fold_time(layer, x), torch.stack([layer(step) for step in x]))


def row():
    torch.manual_seed(0)
    return [
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        LIF(),
        nn.Flatten(),
        nn.Linear(4 * 16, 5),
        LIF(leak=0.75),
        nn.Linear(5, 2),
    ]


def by_hand(layers, x):
    for layer in layers:
        x = layer(x) if isinstance(layer, LIF) else torch.stack([layer(step) for step in x])
    return x


def test_a_row_runs_its_neurons_over_time():
    layers, x = row(), 3 * torch.randn(5, 2, 1, 6, 6)
    network = SpikingSequential(*layers).eval()
    torch.testing.assert_close(network(x), by_hand(layers, x))
    assert not torch.allclose(network(x), network(x.flip(0)).flip(0))  # the order of the steps matters


@pytest.mark.parametrize("inner", [nn.Sequential, SpikingSequential])
def test_a_row_within_a_row_runs_over_time_too(inner):
    layers, x = row(), 3 * torch.randn(5, 2, 1, 6, 6)
    nested = SpikingSequential(inner(*layers[:3]), inner(layers[3], inner(*layers[4:6])), layers[6]).eval()
    torch.testing.assert_close(nested(x), by_hand(layers, x))


def test_neurons_behind_a_forward_of_their_own_are_refused():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.lif = LIF()

        def forward(self, x):
            return self.lif(x)

    with pytest.raises(ModelError, match="SpikingSequential cannot run Block over time"):
        SpikingSequential(Block())(torch.zeros(2, 1, 3))


def test_instant_is_the_plain_row():
    layers, x = row(), torch.randn(3, 1, 6, 6)
    network = SpikingSequential(*layers).eval()
    torch.testing.assert_close(network.instant(x), nn.Sequential(*layers).eval()(x))


@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    pool=st.integers(1, 4),
    padding=st.integers(0, 2),
    size=st.tuples(st.integers(9, 14), st.integers(9, 14)),
    seed=st.integers(0, 99),
)
def test_a_kernel_with_its_pool_equals_convolution_then_sum(kernel, pool, padding, size, seed):
    weight, x = integers(2, 3, *kernel, seed=seed), integers(2, 3, *size, seed=seed + 1)
    apart = F.avg_pool2d(F.conv2d(x, weight, padding=padding), pool, divisor_override=1)
    for folded in (pool_into_kernel, _in_two_launches):  # the second is for GPUs
        assert torch.equal(F.conv2d(x, folded(weight, pool), stride=pool, padding=padding), apart)
