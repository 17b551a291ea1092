"""Fully connected and recurrent networks, as their users write them, one time step each."""

from itertools import pairwise

import torch
from torch import nn

from spquant_snn.nn import LIF, Feedback, LeakyIntegrator, OneToOne


def leaky(beta=0.95):
    """snnTorch's neuron, which subtracts its threshold before the leak."""
    return LIF(leak=beta, reset="subtract", reset_by=1 / beta)


class LeakyNet(nn.Module):
    """784-1000-10 of snnTorch's tutorials, whose output neurons' spikes are counted."""

    def __init__(self, inputs=784, hidden=30, outputs=10):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(inputs, hidden), leaky()
        self.fc2, self.lif2 = nn.Linear(hidden, outputs), leaky()

    def forward(self, x):
        spk1 = self.lif1(self.fc1(x.view(x.size(0), -1)))
        return self.lif2(self.fc2(spk1))


class RegressionNet(nn.Module):
    """Hidden layers of neurons that learn a leak and a threshold each, and a potential as the output: snnTorch's
    regression tutorial."""

    def __init__(self, hidden=16):
        super().__init__()
        each = {"leak": torch.linspace(0.5, 0.95, hidden), "v_threshold": torch.ones(hidden)}
        self.fc1, self.lif1 = nn.Linear(1, hidden), LIF(**each, learn_leak=True, learn_threshold=True)
        self.fc2, self.lif2 = nn.Linear(hidden, hidden), LIF(**each, learn_leak=True, learn_threshold=True)
        self.fc_out, self.li_out = nn.Linear(hidden, 1), LeakyIntegrator(0.9)

    def forward(self, x):
        return self.li_out(self.fc_out(self.lif2(self.fc2(self.lif1(self.fc1(x))))))


class RecurrentNet(nn.Module):
    """snnTorch's RLeaky: all to all in the first layer, one to one in the second."""

    def __init__(self, inputs=28, hidden=20, outputs=5):
        super().__init__()
        self.fc1, self.rlif1 = nn.Linear(inputs, hidden), Feedback(LIF(), nn.Linear(hidden, hidden))
        self.fc2, self.rlif2 = nn.Linear(hidden, outputs), Feedback(LIF(), OneToOne(outputs, -0.25))

    def forward(self, x):
        return self.rlif2(self.fc2(self.rlif1(self.fc1(x))))


def synaptic():
    """Current-based neurons: a decaying current in front of a decaying potential."""
    neurons = {"leak": 0.8, "reset": "subtract", "synaptic_leak": 0.9}
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), LIF(**neurons), nn.Linear(20, 10), LIF(**neurons))


def shd_feed_forward():
    return nn.Sequential(nn.Linear(700, 24), LIF(), nn.Dropout(0.1), nn.Linear(24, 24), LIF(), nn.Linear(24, 20))


def shd_recurrent():
    return nn.Sequential(nn.Linear(700, 24), Feedback(LIF(), nn.Linear(24, 24, bias=False)), nn.Linear(24, 20))


def mlperf_autoencoder():
    """Dense layers around a narrow one, MLPerf Tiny's anomaly detection."""
    sizes, layers = (640, 32, 32, 8, 32, 32), []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), LIF()]
    return nn.Sequential(*layers, nn.Linear(32, 640))
