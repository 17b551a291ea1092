"""Reading a user's module: whatever is accepted has the same integers in torch and in the graph."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from exactness import assert_exact, pixels, settle_norms, train
from random_params import randomize
from spquant_snn.nn import LIF, Feedback, OneToOne
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


def lif(**options):
    return LIF(0.3, **options)


def row(*layers, shape=(1, 6, 6)):
    """The layers, and a Linear of the size that is left."""
    x = torch.zeros(1, *shape)
    with torch.no_grad():
        for layer in layers:
            x = x if isinstance(layer, LIF) else layer.eval()(x)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(x.numel(), 3)), shape


def conv(*sizes, **options):
    return nn.Conv2d(*(sizes or (1, 4, 3)), **options)


class Net(nn.Module):
    """What ``run`` makes of the module and its inputs."""

    def __init__(self, run, **layers):
        super().__init__()
        self.first, self.lif = nn.Conv2d(1, 4, 3, padding=1), lif()
        self.second, self.third = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.norm, self.lif2, self.lif3 = nn.BatchNorm2d(4), lif(), lif()
        self.fc = nn.Linear(144, 3)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = run

    def forward(self, x):
        return self.run(self, x)


class Two(Net):
    def forward(self, x, y):
        return self.run(self, x, y)


def joined(body, **layers):
    """The spikes of a first layer through ``body``, and a readout."""
    return Net(lambda n, x: n.fc(body(n, n.lif(n.first(x))).flatten(1)), **layers), (1, 6, 6)


ROWS = {
    "LIF on pixels": lambda: row(lif()),
    "dilation": lambda: row(conv(dilation=2), lif()),
    "an even kernel and same": lambda: row(conv(1, 4, 4, padding="same"), lif()),
    "two norms": lambda: row(conv(), nn.BatchNorm2d(4), nn.BatchNorm2d(4), lif()),
    "Flatten before LIF": lambda: row(conv(), nn.Flatten(), lif()),
    "transposed": lambda: row(nn.ConvTranspose2d(1, 4, 3, 2, 1, 1), nn.BatchNorm2d(4), lif()),
    "transposed in groups": lambda: row(conv(), lif(), nn.ConvTranspose2d(4, 6, (3, 2), 2, groups=2), lif()),
    "whole channels dropped": lambda: row(conv(), lif(), nn.Dropout2d(0.2)),
    "average of currents": lambda: row(conv(), nn.AvgPool2d(2, stride=(1, 2)), nn.BatchNorm2d(4), lif()),
    "average over a divisor": lambda: row(conv(), nn.AvgPool2d(2, divisor_override=3), lif()),
    "padded average": lambda: row(conv(bias=False), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(4), lif()),
    "largest currents": lambda: row(conv(), nn.MaxPool2d(2), lif()),
    "largest currents behind batch normalisation": lambda: row(conv(), nn.BatchNorm2d(4), nn.MaxPool2d(2), lif()),
    "largest currents before batch normalisation": lambda: row(conv(), nn.MaxPool2d(2), nn.BatchNorm2d(4), lif()),
    "padded pool": lambda: row(conv(), lif(), nn.MaxPool2d(2, padding=1)),
    "pool that rounds up": lambda: row(conv(), lif(), nn.MaxPool2d(3, ceil_mode=True)),
    "dilated pool": lambda: row(conv(), lif(), nn.MaxPool2d(2, stride=1, dilation=2)),
    "adaptive pools": lambda: row(
        conv(), lif(), nn.AdaptiveAvgPool2d(3), conv(4, 5, 1), lif(), nn.AdaptiveMaxPool2d(1)
    ),
    "up-sampling": lambda: row(conv(), lif(), nn.Upsample(scale_factor=2), conv(4, 2, 3), lif()),
    "zero padding": lambda: row(nn.ZeroPad2d((1, 0, 2, 1)), conv(), lif()),
    "a signal": lambda: row(nn.Conv1d(2, 4, 3, 2), nn.BatchNorm1d(4), lif(), nn.AvgPool1d(2), shape=(2, 16)),
    "a vector": lambda: row(nn.Linear(20, 9), nn.BatchNorm1d(9), lif(), shape=(20,)),
    "recurrence": lambda: row(nn.Linear(20, 9), Feedback(lif(), nn.Linear(9, 9)), shape=(20,)),
    "convolutional recurrence": lambda: row(conv(), Feedback(lif(), conv(4, 4, 3, padding=1))),
    "recurrence of each neuron": lambda: row(nn.Linear(20, 9), Feedback(lif(), OneToOne(9, -0.5)), shape=(20,)),
}
ENDS = {
    "ends with LIF": lambda: (nn.Sequential(row(conv(), lif())[0], lif()), (1, 6, 6)),
    "ends with a convolution": lambda: (nn.Sequential(conv(), lif(), conv(4, 2, 4)), (1, 6, 6)),
    "ends normalised": lambda: (nn.Sequential(row(conv(), lif())[0], nn.BatchNorm1d(3)), (1, 6, 6)),
    "ends with votes": lambda: (
        nn.Sequential(nn.Linear(20, 12), LIF(0.6), nn.Unflatten(1, (1, 12)), nn.AvgPool1d(4), nn.Flatten()), (20,),
    ),
    "two outputs": lambda: (
        Net(lambda n, x: (n.fc(n.lif(n.first(x)).flatten(1)), n.first_map(x)), first_map=conv()), (1, 6, 6),
    ),
    "two inputs": lambda: (
        Two(lambda n, x, y: n.fc(n.lif(n.first(x) + n.way(y)).flatten(1)), way=conv(2, 4, 1)), [(1, 6, 6), (2, 6, 6)],
    ),
    "an image and a vector": lambda: (
        Two(lambda n, x, y: n.fc(n.lif(n.way(torch.cat((x.flatten(1), y), 1)))), way=nn.Linear(46, 144)),
        [(1, 6, 6), (10,)],
    ),
}  # fmt: skip
SUMS = {
    "batch normalisation of a branch": lambda: joined(
        lambda n, a: n.lif2(n.norm(n.second(a)) + n.way(a)), way=conv(4, 4, 1)
    ),
    "batch normalisation of a shortcut": lambda: joined(
        lambda n, a: n.lif2(n.second(a) + n.way(a)), way=nn.Sequential(conv(4, 4, 1), nn.BatchNorm2d(4))
    ),
    "batch normalisation of both": lambda: joined(
        lambda n, a: n.lif2(n.norm(n.second(a)) + n.way(a)), way=nn.Sequential(conv(4, 4, 1), nn.BatchNorm2d(4))
    ),
    "pooled shortcut": lambda: joined(
        lambda n, a: n.lif2(n.second(a) + n.way(a)), way=nn.MaxPool2d(3, stride=1, padding=1)
    ),
    "dropped identity": lambda: joined(lambda n, a: n.lif2(n.norm(n.way(a) + n.second(a))), way=nn.Dropout(0.2)),
    "dropped projection": lambda: joined(
        lambda n, a: n.lif2(n.norm(n.second(a) + n.way(a))), way=nn.Sequential(conv(4, 4, 1), nn.Dropout(0.2))
    ),
    "dropped by a function": lambda: joined(lambda n, a: n.lif2(n.norm(n.second(a) + F.dropout(a, 0.2)))),
    "spikes and spikes": lambda: joined(lambda n, a: n.lif2(n.second(a)) + a),
    "weights on added spikes": lambda: joined(lambda n, a: n.lif3(n.third(n.lif2(n.second(a)) + a))),
    "three branches": lambda: joined(lambda n, a: n.lif2(n.norm(n.second(a) + a + n.way(a))), way=conv(4, 4, 1)),
    "averaged sum": lambda: joined(
        lambda n, a: n.lif2(n.way(n.second(a) + a)), way=nn.AvgPool2d(3, stride=1), fc=nn.Linear(64, 3)
    ),
    "averaged branch": lambda: joined(
        lambda n, a: n.lif2(n.norm(n.way(n.second(a)) + n.side(a))),
        way=nn.AvgPool2d(2), side=conv(4, 4, 1, stride=2), fc=nn.Linear(36, 3),
    ),
    "averaged spikes": lambda: joined(
        lambda n, a: n.lif2(n.norm(n.second(n.way(a)) + n.side(a))),
        way=nn.AvgPool2d(2), side=conv(4, 4, 1, stride=2), fc=nn.Linear(36, 3),
    ),
    "older spikes": lambda: joined(lambda n, a: (lambda b: n.lif3(n.norm(n.third(a) + b)))(n.lif2(n.second(a)))),
    "linear layers": lambda: joined(
        lambda n, a: (lambda b: n.lif2(n.way(b) + b))(a.flatten(1)), way=nn.Linear(144, 144)
    ),
    "dilated": lambda: joined(lambda n, a: n.lif2(n.second(a) + n.way(a)), way=conv(4, 4, 3, padding=2, dilation=2)),
    "concatenation": lambda: joined(
        lambda n, a: n.lif3(n.way(torch.cat((a, n.lif2(n.second(a))), 1))), way=conv(8, 4, 1)
    ),
    "concatenation of pools": lambda: joined(
        lambda n, a: n.lif2(n.way(torch.cat((F.max_pool2d(a, 2), F.avg_pool2d(a, 2)), 1))),
        way=conv(8, 4, 1), fc=nn.Linear(36, 3),
    ),
    "largest over places": lambda: joined(lambda n, a: n.lif2(n.norm(n.second(a))).amax((2, 3)), fc=nn.Linear(4, 3)),
    "mean over a row of places": lambda: joined(lambda n, a: a.flatten(2).mean(2), fc=nn.Linear(4, 3)),
    "feedback around two": lambda: joined(
        lambda n, a: n.way(n.second(a)),
        way=Feedback(nn.Sequential(lif(), conv(4, 4, 1), lif()), conv(4, 4, 1)),
    ),
}  # fmt: skip
ACCEPTED = ROWS | ENDS | SUMS


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("bits", [(2, 2), (8, 8)])
@pytest.mark.parametrize("what", ACCEPTED)
def test_what_is_accepted_is_exact(what, bits):
    torch.manual_seed(0)
    model, shape = ACCEPTED[what]()
    randomize(model.modules(), 0.5)
    network = prepare(model, QuantConfig(*bits, 3), shape)
    x = pixels(network, 4)
    settle_norms(network, x)
    train(network, x, 2)
    _, rates = assert_exact(network, x)
    assert any(0 < rate < 1 for rate in rates.values()), rates
    losses = train(network, pixels(network, 3, steps=4), 4)
    assert min(losses) < max(losses)
    assert_exact(network, pixels(network, 2, steps=4, seed=1))
