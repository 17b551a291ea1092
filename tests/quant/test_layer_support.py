"""The table of what can be lowered: every row is true, and the document shows it."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF, Feedback, LeakyIntegrator, OneToOne
from spquant_snn.quant.layer_support import REFUSED, SUPPORTED
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.quant.stage import Stage
from spquant_snn.runtime.forms import forms
from whole_chain import check_exact, pixels

IMAGE = (2, 8, 8)
ROOT = Path(__file__).parents[2]


class Calls(nn.Module):
    """``run(self, x)`` behind a convolution of spikes; what it gives goes to neurons, unless it is the answer."""

    def __init__(self, run, last=None, ends=False):
        super().__init__()
        self.stem, self.stem_lif = nn.Conv2d(2, 4, 3, padding=1), LIF(0.1)
        self.conv, self.wide, self.bn = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)
        self.other, self.bn2, self.lif = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), LIF(0.1)
        self.fc, self.lif_fc = nn.Linear(4 * 8 * 8, 6), LIF(0.1)
        self.run, self.last, self.ends = run, last, ends

    def forward(self, x):
        return self.run(self, self.stem_lif(self.stem(x)))


def layer(*modules):
    """Modules on spikes, then neurons; the answer is the mean of their spikes."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), LIF(0.1), *modules, LIF(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def end(*modules):
    """Modules at the end, on flat spikes."""
    return nn.Sequential(nn.Flatten(), nn.Linear(128, 12), LIF(0.1), *modules)


def calls(run):
    """A sum or a call on spikes, with neurons and an end."""
    return Calls(lambda m, x: m.lif(run(m, x)).mean((2, 3)))


# By the first cell of the row: networks, in which the last layer, or of an end the last readout, is what the row is of.
NETWORKS = {
    "`Conv1d`, `Conv2d`": [lambda: layer(nn.Conv2d(4, 6, (3, 5), (1, 2), (1, 2), groups=2))],
    "convolutions with dilation": [lambda: layer(nn.Conv2d(4, 6, 3, dilation=2))],
    'convolutions with `padding="same"`': [lambda: layer(nn.Conv2d(4, 6, 4, padding="same"))],
    "`ConvTranspose1d`, `ConvTranspose2d`": [lambda: layer(nn.ConvTranspose2d(4, 6, 3, 2, output_padding=1))],
    "`Linear`": [lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 9), LIF(0.1), nn.Linear(9, 7), LIF(0.1))],
    "`OneToOne`": [lambda: layer(OneToOne(4))],
    "`BatchNorm1d`, `BatchNorm2d`, `SyncBatchNorm`": [
        lambda: layer(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)),
        lambda: layer(nn.Conv2d(4, 4, 3), nn.SyncBatchNorm(4)),
    ],
    "`BatchNorm` in a branch of a sum": [lambda: calls(lambda m, x: m.bn(m.conv(x)) + m.bn2(m.other(x)))],
    "`AvgPool1d`, `AvgPool2d`": [
        lambda: layer(nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)),
        lambda: layer(nn.Conv2d(4, 4, 3), nn.AvgPool2d(2)),
    ],
    "`AvgPool` of other windows, `x.mean((2, 3))`, `sum` over places": [
        lambda: layer(nn.AvgPool2d((2, 3), padding=1), nn.Conv2d(4, 4, 1)),
    ],
    "`MaxPool1d`, `MaxPool2d`": [lambda: layer(nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))],
    "`MaxPool` of other windows, `amax` over places": [
        lambda: layer(nn.MaxPool2d((2, 3), padding=1), nn.Conv2d(4, 4, 1)),
        lambda: layer(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 4, 1)),
    ],
    "`MaxPool` in front of the neurons": [lambda: layer(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2))],
    "`AdaptiveAvgPool`, `AdaptiveMaxPool`": [
        lambda: layer(nn.AdaptiveAvgPool2d(4), nn.Conv2d(4, 4, 1)),
        lambda: layer(nn.AdaptiveMaxPool2d(2), nn.Conv2d(4, 4, 1)),
    ],
    "`Upsample`, `F.interpolate`": [
        lambda: layer(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3)),
        lambda: calls(lambda m, x: F.interpolate(m.other(x), scale_factor=2)),
    ],
    "`conv(y) + x`, `conv(y) + conv(x)`, normalised together": [
        lambda: calls(lambda m, x: m.bn(m.conv(x) + x)),
        lambda: calls(lambda m, x: m.bn(m.conv(x) + m.other(x))),
    ],
    "sums of currents: `+`, `+=`, `torch.add`": [
        lambda: calls(lambda m, x: torch.add(m.bn(m.conv(x)), x)),
        lambda: calls(lambda m, x: m.bn(m.conv(x)) + m.other(x) + x),
    ],
    "sums of spikes (SEW)": [lambda: Calls(lambda m, x: m.lif_fc(m.fc((m.lif(m.conv(x)) + x).flatten(1))))],
    "`torch.cat`, `torch.stack`": [
        lambda: calls(lambda m, x: m.wide(torch.cat([x, m.stem_lif(m.other(x))], 1)) + x),
    ],
    "`Flatten`, `view`, `reshape`, `squeeze`, `unsqueeze` ...": [
        lambda: Calls(lambda m, x: m.lif_fc(m.fc(x.view(x.size(0), -1)))),
        lambda: Calls(lambda m, x: m.lif_fc(m.fc(x.unsqueeze(1).squeeze(1).flatten(1)))),
    ],
    "`Dropout` of any kind": [
        lambda: layer(nn.Dropout(0.2), nn.Conv2d(4, 4, 3), nn.Dropout(0.1)),
    ],
    "`ZeroPad1d`, `ZeroPad2d`, `F.pad`": [lambda: layer(nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(4, 4, 3))],
    "`Identity`, `.float()`, `.to()`, `.contiguous()`, `x / 255`": [
        lambda: layer(nn.Identity(), nn.Conv2d(4, 4, 3)),
        lambda: calls(lambda m, x: m.conv(x.contiguous().float())),
    ],
    "`LIF`": [
        lambda: nn.Sequential(
            layer(nn.Conv2d(4, 4, 3))[:-3], LIF(torch.full((4,), 0.1), 0.9, "subtract", reset_by=0.2)
        ),
        lambda: nn.Sequential(layer(nn.Conv2d(4, 4, 3))[:-3], LIF(0.1, learn_leak=True, learn_threshold=True)),
    ],
    "`LIF(synaptic_leak=...)`": [
        lambda: nn.Sequential(layer(nn.Conv2d(4, 4, 3))[:-3], LIF(0.1, synaptic_leak=0.75)),
    ],
    "`Feedback(body, layer)`": [
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 9), Feedback(LIF(0.1), nn.Linear(9, 9)), nn.Linear(9, 3)),
    ],
    "`Linear` at the end": [lambda: end(nn.Linear(12, 3))],
    "a convolution at the end": [lambda: nn.Sequential(nn.Conv2d(2, 4, 3), LIF(0.1), nn.Conv2d(4, 3, 1))],
    "`LIF` at the end": [lambda: nn.Sequential(nn.Conv2d(2, 4, 3), LIF(0.1))],
    "means over groups of neighbouring outputs (voting)": [
        lambda: end(nn.Unflatten(1, (1, 12)), nn.AvgPool1d(4), nn.Flatten()),
    ],
    "`LeakyIntegrator` at the end": [lambda: end(nn.Linear(12, 3), LeakyIntegrator(0.9))],
    "several outputs or inputs": [lambda: Calls(lambda m, x: (m.fc(x.flatten(1)), m.fc_too(x.flatten(1))))],
}


@pytest.mark.parametrize("row", SUPPORTED, ids=lambda row: row.layer)
def test_a_row_is_as_it_says(row):
    for make in NETWORKS[row.layer]:
        torch.manual_seed(0)
        network = prepare(made(make), QuantConfig(4, 4, 3), IMAGE)
        stages = network.readouts if row.stands == "the end" else network.hidden
        found = forms(lower(network.eval().freeze()))
        mine = found[-1] if row.stands == "the end" else found[len(network.hidden) - 1]
        assert ("row" if isinstance(stages[-1], Stage) else "terms", mine.form) == (row.trains, row.runs), mine
        _, rates = check_exact(network, pixels(IMAGE))
        assert max(rates) > 0.0


@pytest.mark.parametrize(
    "run",
    [lambda m, x: m.other(m.stem_lif(m.conv(x)) + x), lambda m, x: m.wide(torch.cat([m.stem_lif(m.conv(x)), x], 1))],
    ids=["sum", "cat"],
)
def test_convolutions_of_two_layers_the_last_one_among_them_run_as_a_row(run):
    torch.manual_seed(0)
    network = prepare(calls(run), QuantConfig(2, 2, 3), IMAGE)
    assert forms(lower(network.eval().freeze()))[len(network.hidden) - 1].form == "row"
    check_exact(network, pixels(IMAGE))


def made(make):
    model = make()
    if isinstance(model, Calls):
        model.fc_too = nn.Linear(4 * 8 * 8, 2)
    return model


REFUSALS = {
    "ReLU and other activations": (lambda: layer(nn.Conv2d(4, 4, 3), nn.ReLU()), r"put spquant_snn\.LIF\(\)"),
    "LayerNorm, GroupNorm, InstanceNorm": (lambda: layer(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4)), "use BatchNorm"),
    "attention, products of activations, gates": (
        lambda: calls(lambda m, x: x @ x),
        "multiplies activations with each other",
    ),
    "LSTM, GRU": (lambda: nn.Sequential(nn.Flatten(), nn.GRUCell(128, 4), LIF()), "Feedback"),
    "parts of a tensor, transposed dimensions": (
        lambda: calls(lambda m, x: m.conv(x.transpose(2, 3))),
        "by moving elements, leaving some out",
    ),
    "bilinear up-sampling": (
        lambda: layer(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 4, 3)),
        "use mode='nearest'",
    ),
    "elements seen as an image of other channels": (
        lambda: end(nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 4, 1), LIF()),
        r"use Unflatten\(1, \(n, 1, 1\)\) and ConvTranspose2d\(n, 3, \(2, 2\)\)",
    ),
    "weights behind weights": (lambda: layer(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)), "no LIF layer is between them"),
    "averages whose divisors differ at the border": (
        lambda: layer(nn.AvgPool2d(3, padding=1, count_include_pad=False), nn.Conv2d(4, 4, 1)),
        "use count_include_pad=True",
    ),
    "branches on values, loops over time in `forward`": (
        lambda: calls(lambda m, x: m.conv(x) if x.sum() > 0 else x),
        "without branches that depend on values and without a loop over time",
    ),
    "neurons of other packages": (lambda: layer(nn.Conv2d(4, 4, 1), Leaky()), r"spquant_snn\.from_snntorch\(model"),
}


class Leaky(nn.Module):
    """A neuron whose package says that it is snnTorch."""

    __module__ = "snntorch._neurons.leaky"

    def __init__(self):
        super().__init__()
        self.beta, self.threshold, self.reset_mechanism = torch.tensor(0.9), torch.tensor(1.0), "zero"


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.layer)
def test_what_is_refused_is_refused_in_a_sentence(row):
    make, said = REFUSALS[row.layer]
    with pytest.raises(ModelError) as refused:
        prepare(make(), QuantConfig(), IMAGE)
    assert re.search(said, str(refused.value)), str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_document_shows_the_tables():
    spec = importlib.util.spec_from_file_location("layers", ROOT / "docs" / "layers.py")
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    text = layers.PAGE.read_text("utf-8")
    assert layers.page() == text, "run `make layers`"
    assert all(f"| {row.layer} |" in text for row in (*SUPPORTED, *REFUSED))
