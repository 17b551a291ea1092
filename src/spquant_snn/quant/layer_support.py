"""The layers and forms of torch that ``prepare`` takes, a row for each, and those that it refuses:
docs/reference/layers.md is made from these tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Trains = Literal["row", "terms"]
Runs = Literal["row", "general"]


@dataclass(frozen=True)
class LayerSupport:
    """A layer, function or form that becomes integers.

    Args:
        layer: as it is written.
        stands: on signals (spikes, pixels), on drives (what weights make of them), or on both.
        options: that it may have.
        integers: what it becomes in the graph.
        trains: a layer of one such drive trains as a "row" of synapses, in kernels that fuse sums and neurons, or in
            "terms", each by torch's own operations, with fused neurons behind their sum.
        runs: in C, the native runtime and firmware alike, by the fast forms of a "row" or by the "general" one.
    """

    layer: str
    stands: Literal["signals", "drives", "both", "neurons", "the end"]
    options: str
    integers: str
    trains: Trains
    runs: Runs


@dataclass(frozen=True)
class NoSupport:
    """What is refused, and the nearest form that works."""

    layer: str
    instead: str


SUPPORTED = (
    LayerSupport(
        "`Conv1d`, `Conv2d`",
        "signals",
        "any kernel, stride, groups; padding alike on opposite sides; a bias or none",
        "a term",
        "row",
        "row",
    ),
    LayerSupport("convolutions with dilation", "signals", "any", "a term, dilated", "row", "general"),
    LayerSupport(
        'convolutions with `padding="same"`',
        "signals",
        "where it is one more on one side, kernels of even size",
        "a term with the padding of each side",
        "terms",
        "general",
    ),
    LayerSupport(
        "`ConvTranspose1d`, `ConvTranspose2d`",
        "signals",
        "any kernel, stride, padding, dilation, groups, `output_padding`",
        "a term whose input is spread, its kernel turned round",
        "terms",
        "general",
    ),
    LayerSupport("`Linear`", "signals", "behind `Flatten`; a bias or none", "a term", "row", "row"),
    LayerSupport("`OneToOne`", "signals", "a weight for each channel", "a term of one channel a group", "terms", "row"),
    LayerSupport(
        "`BatchNorm1d`, `BatchNorm2d`, `SyncBatchNorm`",
        "drives",
        "with running statistics and a momentum",
        "constants of the neurons",
        "row",
        "row",
    ),
    LayerSupport(
        "`BatchNorm` in a branch of a sum",
        "drives",
        "the same, in each branch",
        "a multiplier of the term for each channel, in fixed point",
        "terms",
        "general",
    ),
    LayerSupport(
        "`AvgPool1d`, `AvgPool2d`",
        "both",
        "squares without padding",
        "a pool in front of the weights, or over their sums; the divisor is a scale",
        "row",
        "row",
    ),
    LayerSupport(
        "`AvgPool` of other windows, `x.mean((2, 3))`, `sum` over places",
        "both",
        "any rectangle, stride, padding; the same divisor everywhere",
        "the same",
        "row",
        "general",
    ),
    LayerSupport("`MaxPool1d`, `MaxPool2d`", "signals", "squares without padding", "a pool", "row", "row"),
    LayerSupport(
        "`MaxPool` of other windows, `amax` over places",
        "signals",
        "any rectangle, stride, padding, dilation, `ceil_mode`",
        "a pool",
        "row",
        "general",
    ),
    LayerSupport(
        "`MaxPool` in front of the neurons",
        "drives",
        "any, of one branch",
        "the largest of the sums: exact, for gains are positive",
        "terms",
        "general",
    ),
    LayerSupport(
        "`AdaptiveAvgPool`, `AdaptiveMaxPool`",
        "both",
        "sizes whose windows are alike, or whole multiples of the image",
        "the pool that it is, or an up-sampling",
        "row",
        "row",
    ),
    LayerSupport(
        "`Upsample`, `F.interpolate`",
        "both",
        "`nearest`, by whole numbers; on drives in front of convolutions of kernel 1",
        "every value again, in front of the weights",
        "terms",
        "general",
    ),
    LayerSupport(
        "`conv(y) + x`, `conv(y) + conv(x)`, normalised together",
        "drives",
        "`x` the spikes of an earlier layer",
        "a second term with a power of two",
        "row",
        "row",
    ),
    LayerSupport(
        "sums of currents: `+`, `+=`, `torch.add`",
        "drives",
        "any number of branches of one shape",
        "a term for each, multiplied by its gain",
        "terms",
        "general",
    ),
    LayerSupport(
        "sums of spikes (SEW)",
        "signals",
        "any number of layers of one shape",
        "a term for each, with the same codes",
        "terms",
        "general",
    ),
    LayerSupport(
        "`torch.cat`, `torch.stack`",
        "signals",
        "along channels, dimension 1",
        "a term for each part",
        "terms",
        "general",
    ),
    LayerSupport(
        "`Flatten`, `view`, `reshape`, `squeeze`, `unsqueeze` ...",
        "both",
        "the batch in front, elements in their order, channels as they are",
        "nothing",
        "row",
        "row",
    ),
    LayerSupport("`Dropout` of any kind", "both", "any", "nothing: training drops", "row", "row"),
    LayerSupport(
        "`ZeroPad1d`, `ZeroPad2d`, `F.pad`", "both", "zeros, of images and signals", "a pool of one", "row", "general"
    ),
    LayerSupport(
        "`Identity`, `.float()`, `.to()`, `.contiguous()`, `x / 255`",
        "both",
        "division of pixels, which is done anyway, and not twice",
        "nothing",
        "row",
        "row",
    ),
    LayerSupport(
        "`LIF`",
        "neurons",
        "any leak, threshold, reset, of the layer or of each channel, fixed or learned",
        "neurons, and what reaches them a layer",
        "row",
        "row",
    ),
    LayerSupport(
        "`LIF(synaptic_leak=...)`",
        "neurons",
        "the same",
        "neurons that store a current beside the potential",
        "row",
        "general",
    ),
    LayerSupport(
        "`Feedback(body, layer)`",
        "neurons",
        "`body` ends with a `LIF`; `layer` any connection",
        "a term of what was sent in the step before; training steps through time there",
        "terms",
        "general",
    ),
    LayerSupport("`Linear` at the end", "the end", "a number for each class", "a readout that sums", "row", "row"),
    LayerSupport(
        "a convolution at the end", "the end", "a map for each channel", "a readout of maps", "terms", "general"
    ),
    LayerSupport(
        "`LIF` at the end", "the end", "a population", "a readout of one term, which counts spikes", "terms", "general"
    ),
    LayerSupport(
        "means over groups of neighbouring outputs (voting)",
        "the end",
        "`AvgPool1d` on `[N, 1, C]`, or `view(N, classes, k).mean(2)`, of spikes",
        "a readout with weights of one",
        "terms",
        "row",
    ),
    LayerSupport(
        "`LeakyIntegrator` at the end",
        "the end",
        "at the last step, its largest value, or its mean",
        "a readout with a leak",
        "terms",
        "general",
    ),
    LayerSupport(
        "several outputs or inputs",
        "the end",
        "tuples, dictionaries; a list of shapes",
        "a readout or an input for each",
        "row",
        "general",
    ),
)

REFUSED = (
    NoSupport("ReLU and other activations", "`LIF`"),
    NoSupport("LayerNorm, GroupNorm, InstanceNorm", "BatchNorm"),
    NoSupport("attention, products of activations, gates", "convolutions, Linear, sums"),
    NoSupport("LSTM, GRU", "`Feedback`"),
    NoSupport("parts of a tensor, transposed dimensions", "weights for each part; elements in their order"),
    NoSupport("bilinear up-sampling", "`nearest`, ConvTranspose2d"),
    NoSupport("elements seen as an image of other channels", "ConvTranspose2d on (F, 1, 1)"),
    NoSupport("weights behind weights", "a `LIF` between them"),
    NoSupport("averages whose divisors differ at the border", "`count_include_pad=True`, no `ceil_mode`"),
    NoSupport("branches on values, loops over time in `forward`", "one time step, in the same way for all images"),
    NoSupport("neurons of other packages", "`from_snntorch`, `from_spikingjelly`, `from_norse`, `from_sinabs`; `LIF`"),
)


def supported_table() -> str:
    """What is taken, in Markdown."""
    head = ("in torch", "stands on", "options", "in the integers", "trains as", "runs in C")
    rows = [(row.layer, row.stands, row.options, row.integers, row.trains, row.runs) for row in SUPPORTED]
    return _table(head, rows)


def refused_table() -> str:
    """What is refused, in Markdown."""
    return _table(("refused", "instead"), [(row.layer, row.instead) for row in REFUSED])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    first, *others = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return "".join((first, f"|{'---|' * len(head)}\n", *others))
