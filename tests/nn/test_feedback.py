"""Spikes that come back one step later."""

import pytest
import torch
from torch import nn

from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF, Feedback, OneToOne, SpikingSequential


def by_hand(x, lif, layer):
    """The recurrence of one layer, written out."""
    y, u, steps = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    for current in x:
        y, u = lif.step(current + layer(y), u)
        steps.append(y)
    return torch.stack(steps)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((3,), nn.Linear(3, 3)),
        ((2, 4, 5), nn.Conv2d(2, 2, 3, padding=1)),
        ((2, 4, 5), OneToOne(2, -0.5)),
        ((2, 4, 5), nn.Identity()),
        ((2, 4, 5), nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))),
    ],
)
def test_a_recurrent_layer_is_its_recurrence(shape, layer):
    torch.manual_seed(0)
    x = torch.randn(6, 4, *shape)
    lif = LIF()
    expected = by_hand(x, lif, layer.eval())
    found = Feedback(lif, layer).eval()(x)
    assert torch.equal(found, expected)
    assert 0 < found.mean() < 1
    assert not torch.equal(found, lif(x))


def test_feedback_goes_around_several_layers_and_other_feedback():
    torch.manual_seed(0)
    first, second, inner, outer = nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(4, 4), nn.Linear(3, 5)
    lif, last = LIF(), LIF()
    body = SpikingSequential(LIF(), first, Feedback(lif, inner), second, last)
    x = torch.randn(7, 2, 5) + 0.5
    y, fed, states, steps = torch.zeros(2, 3), torch.zeros(2, 4), [torch.zeros(2, n) for n in (5, 4, 3)], []
    for current in x:
        s, states[0] = lif.step(current + outer(y), states[0])
        fed, states[1] = lif.step(first(s) + inner(fed), states[1])
        y, states[2] = last.step(second(fed), states[2])
        steps.append(y)
    assert torch.equal(Feedback(body, outer)(x), torch.stack(steps))


def test_gradients_go_through_the_steps_and_statistics_are_those_of_each():
    torch.manual_seed(0)
    net = SpikingSequential(nn.Linear(3, 3), Feedback(LIF(), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))))
    net(torch.rand(5, 8, 3) * 3).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in net.named_parameters() if "0.weight" in name)
    assert net[1].layer[1].num_batches_tracked == 5


def test_a_body_that_cannot_be_traced_is_refused():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match="cannot be traced"):
        Feedback(Branch(), nn.Identity())(torch.ones(2, 1, 3))
