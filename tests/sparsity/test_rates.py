"""Penalties on rates: zero below their target, with a gradient that lowers what lies above."""

import pytest
import torch

from spquant_snn.sparsity.rates import rate_penalty, synops_penalty


def test_nothing_is_lost_below_the_target():
    rates = [torch.tensor(0.05), torch.tensor(0.1)]
    assert rate_penalty(rates, 0.1) == 0
    assert synops_penalty([torch.tensor(40.0), torch.tensor(50.0)], 100) == 0


def test_the_excess_counts_in_square_and_in_relation_to_the_target():
    assert float(rate_penalty([torch.tensor(0.3), torch.tensor(0.1)], 0.1)) == pytest.approx(2.0)
    assert float(synops_penalty([torch.tensor(150.0), torch.tensor(50.0)], 100)) == pytest.approx(0.6931**2, rel=1e-3)


def test_silence_has_a_finite_gradient():
    count = torch.zeros((), requires_grad=True)
    synops_penalty([count], 10).backward()
    assert count.grad == 0


@pytest.mark.parametrize(
    "penalty", [lambda x: rate_penalty([x * 0.1, x * 0.02], 0.05), lambda x: synops_penalty([x], 0.5)]
)
def test_the_gradient_by_finite_differences(penalty):
    x = torch.tensor(1.3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(penalty, x)
    penalty(x).backward()
    assert x.grad > 0
