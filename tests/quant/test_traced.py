"""What users write in a forward method: forms that do the same are the same step."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF
from spquant_snn.quant.traced import Dropout, Factor, Kind, steps_of
from spquant_snn.quant.windows import Enlargement, Window


class Net(nn.Module):
    """Calls something on (4, 8, 6)."""

    def __init__(self, tail):
        super().__init__()
        self.tail = tail

    def forward(self, x):
        return self.tail(x)


def operations(tail, shape=(4, 8, 6)):
    """What is done between the input and the output, and the shape of what comes out."""
    *steps, out = steps_of(Net(tail), [shape])
    assert (steps[0].operations, out.operations) == ((Kind.INPUT,), (Kind.OUTPUT,))
    done = [operation for step in steps[1:] for operation in step.operations if operation is not Kind.SAME]
    return done, steps[-1].shape


FLAT = {
    "flatten(1)": lambda x: x.flatten(1),
    "flatten(start_dim=1)": lambda x: x.flatten(start_dim=1),
    "flatten(1, 3)": lambda x: x.flatten(1, 3),
    "torch.flatten": lambda x: torch.flatten(x, 1),
    "Flatten": nn.Flatten(),
    "Flatten(1, 3)": nn.Flatten(1, 3),
    "view of its size": lambda x: x.view(x.size(0), -1),
    "view of len": lambda x: x.view(len(x), -1),
    "reshape of its shape": lambda x: x.reshape(x.shape[0], -1),
    "reshape to a tuple": lambda x: x.reshape((x.shape[0], -1)),
    "torch.reshape": lambda x: torch.reshape(x, (x.size()[0], -1)),
    "view(-1, features)": lambda x: x.view(-1, 192),
    "sizes computed with": lambda x: x.view(-1, x.shape[1] * x.shape[2] * x.shape[3]),
    "sizes unpacked": lambda x: (lambda n, c, h, w: x.reshape(n, c * h * w))(*x.shape),
    "the batch of its author": lambda x: x.view(128, -1),
}


@pytest.mark.parametrize("tail", FLAT.values(), ids=FLAT)
def test_every_usual_way_to_flatten_is_a_reshape(tail):
    assert operations(tail) == ([Kind.RESHAPE], (192,))


def window(kind="avg", kernel=(2, 2), stride=None, padding=(0, 0, 0, 0), dilation=(1, 1), divisor=None):
    divisor = divisor or (kernel[0] * kernel[1] if kind == "avg" else 1)
    return Window(kind, kernel, stride or kernel, padding, dilation, divisor)


WINDOWS = {
    "AvgPool2d": (nn.AvgPool2d(2), window(), (4, 4, 3)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, kernel_size=3, stride=2), window("avg", (3, 3), (2, 2)), (4, 3, 2)),
    "rectangle": (nn.AvgPool2d((4, 3)), window("avg", (4, 3)), (4, 2, 2)),
    "padded": (nn.AvgPool2d(3, 2, 1), window("avg", (3, 3), (2, 2), (1, 1, 1, 1)), (4, 4, 3)),
    "one window of fewer": (
        nn.AvgPool2d((8, 6), padding=(1, 0), count_include_pad=False, stride=9),
        window("avg", (8, 6), (9, 9), (1, 1, 0, 0), divisor=42),
        (4, 1, 1),
    ),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), window(divisor=3), (4, 4, 3)),
    "ceil with divisor": (
        nn.AvgPool2d(4, ceil_mode=True, divisor_override=1),
        window("avg", (4, 4), padding=(0, 0, 0, 2), divisor=1),
        (4, 2, 2),
    ),
    "MaxPool2d": (nn.MaxPool2d(2), window("max"), (4, 4, 3)),
    "max_pool2d": (lambda x: F.max_pool2d(x, (1, 3)), window("max", (1, 3)), (4, 8, 2)),
    "max padded, rounded up": (
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        window("max", (3, 3), (2, 2), (1, 2, 1, 2)),
        (4, 5, 4),
    ),
    "max dilated": (nn.MaxPool2d(2, 1, dilation=(3, 2)), window("max", stride=(1, 1), dilation=(3, 2)), (4, 5, 4)),
    "mean": (lambda x: x.mean((2, 3)), window("avg", (8, 6)), (4,)),
    "mean of negative": (lambda x: x.mean([-1, -2]), window("avg", (8, 6)), (4,)),
    "torch.mean, kept": (lambda x: torch.mean(x, dim=(2, 3), keepdim=True), window("avg", (8, 6)), (4, 1, 1)),
    "mean of rows": (lambda x: x.mean(-1), window("avg", (1, 6)), (4, 8)),
    "sum": (lambda x: x.sum((2, 3)), window("avg", (8, 6), divisor=1), (4,)),
    "amax": (lambda x: x.amax((2, 3)), window("max", (8, 6)), (4,)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((4, 2)), window("avg", (2, 3)), (4, 4, 2)),
    "adaptive to one": (lambda x: F.adaptive_avg_pool2d(x, 1), window("avg", (8, 6)), (4, 1, 1)),
    "adaptive, one kept": (nn.AdaptiveMaxPool2d((None, 3)), window("max", (1, 2)), (4, 8, 3)),
    "adaptive, overlapping": (nn.AdaptiveAvgPool2d((8, 5)), window("avg", (1, 2), (1, 1)), (4, 8, 5)),
    "zero padding": (
        nn.ZeroPad2d((1, 0, 2, 0)),
        window("avg", (1, 1), padding=(2, 0, 1, 0)),
        (4, 10, 7),
    ),
    "F.pad": (lambda x: F.pad(x, (0, 1, 0, 1)), window("avg", (1, 1), padding=(0, 1, 0, 1)), (4, 9, 7)),
}


@pytest.mark.parametrize(("tail", "expected", "shape"), WINDOWS.values(), ids=WINDOWS)
def test_pools_of_every_form_are_windows(tail, expected, shape):
    done, found = operations(tail)
    assert (done[0], found) == (expected, shape)
    assert done[1:] in ([], [Kind.RESHAPE])


@pytest.mark.parametrize(
    ("tail", "expected", "shape"),
    [
        (nn.AvgPool1d(3), window("avg", (1, 3)), (4, 6)),
        (nn.AvgPool1d(3, 2, 1), window("avg", (1, 3), (1, 2), (0, 0, 1, 1)), (4, 10)),
        (nn.MaxPool1d(4, padding=1), window("max", (1, 4), padding=(0, 0, 1, 1)), (4, 5)),
        (lambda x: F.max_pool1d(x, 2), window("max", (1, 2)), (4, 10)),
        (lambda x: F.avg_pool1d(x, 5), window("avg", (1, 5)), (4, 4)),
        (nn.AdaptiveAvgPool1d(5), window("avg", (1, 4)), (4, 5)),
        (lambda x: F.adaptive_max_pool1d(x, 1), window("max", (1, 20)), (4, 1)),
        (lambda x: x.mean(2), window("avg", (1, 20)), (4,)),
    ],
)
def test_signals_are_images_of_one_row(tail, expected, shape):
    done, found = operations(tail, (4, 20))
    assert (done[0], found) == (expected, shape)


UPSAMPLING = {
    "Upsample": nn.Upsample(scale_factor=2),
    "size": nn.Upsample(size=(16, 12), mode="nearest"),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "size of another": lambda x: F.interpolate(x, size=[2 * side for side in x.shape[-2:]]),
    "adaptive": nn.AdaptiveAvgPool2d((16, 12)),
}


@pytest.mark.parametrize("tail", UPSAMPLING.values(), ids=UPSAMPLING)
def test_nearest_up_sampling(tail):
    assert operations(tail) == ([Enlargement((2, 2))], (4, 16, 12))


@pytest.mark.parametrize(
    ("tail", "p", "channels"),
    [
        (nn.Dropout(0.25), 0.25, False),
        (nn.Dropout2d(0.1), 0.1, True),
        (nn.AlphaDropout(0.1), 0.1, False),
        (nn.FeatureAlphaDropout(0.1), 0.1, True),
        (lambda x: F.dropout(x, 0.25), 0.25, False),
        (lambda x: F.dropout(x, p=0.25, training=False), 0.25, False),
        (lambda x: F.dropout2d(x, 0.3), 0.3, True),
    ],
)
def test_dropout_of_every_kind(tail, p, channels):
    assert operations(tail) == ([Dropout(p, channels)], (4, 8, 6))


@pytest.mark.parametrize(
    "tail",
    [
        nn.Identity(),
        nn.Sequential(),
        lambda x: x.float().contiguous().clone().detach(),
        lambda x: x.to(torch.float32).to("cpu").double(),
        lambda x: sum([x]),
        lambda x: x + 0,
        nn.AdaptiveAvgPool2d((8, 6)),
    ],
)
def test_what_does_nothing_does_nothing(tail):
    assert operations(tail) == ([], (4, 8, 6))


@pytest.mark.parametrize(
    "tail", [lambda x: x / 255, lambda x: x.div(255.0), lambda x: x * (1 / 255), lambda x: 1 / 255 * x]
)
def test_factors(tail):
    ((factor,), _) = operations(tail)
    assert factor == Factor(pytest.approx(1 / 255))


@pytest.mark.parametrize(
    "tail",
    [
        lambda x: x.unsqueeze(1),
        lambda x: x[:, None],
        lambda x: x.permute(0, 1, 2, 3),
        lambda x: x.unsqueeze(2).transpose(1, 2),
        lambda x: x.reshape(x.shape[0], 2, 2, 8, 6),
        nn.Unflatten(1, (2, 2)),
    ],
)
def test_views_that_move_nothing_are_reshapes(tail):
    done, _ = operations(tail)
    assert set(done) == {Kind.RESHAPE}


def test_functions_of_parameters_are_layers():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6, 2, 3, 3))
            self.up, self.bn = nn.ConvTranspose2d(6, 3, 2, 2), nn.BatchNorm2d(3, eps=0.1)

        def forward(self, x):
            x = F.conv2d(x, self.weight, None, 2, padding=1, groups=2)
            x = F.conv_transpose2d(x, self.up.weight, self.up.bias, stride=2)
            bn = self.bn
            return F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, self.training, 0.2, bn.eps)

    net = Own()
    _, conv, up, norm, _ = steps_of(net, [(4, 8, 6)])
    (layer,) = conv.operations
    assert isinstance(layer, nn.Conv2d)
    assert layer.weight is net.weight
    assert (layer.stride, layer.padding, layer.groups, layer.bias, conv.path) == ((2, 2), (1, 1), 2, None, "weight")
    assert (up.operations[0].weight, up.operations[0].bias, up.path) == (net.up.weight, net.up.bias, "up")
    (layer,) = norm.operations
    assert isinstance(layer, nn.BatchNorm2d)
    assert (layer.weight, layer.running_var, layer.eps, norm.path) == (net.bn.weight, net.bn.running_var, 0.1, "bn")


def test_arguments_with_defaults_keep_them_and_inputs_may_be_several():
    class Optional(nn.Module):
        def forward(self, x, y=None, *, scale=1):
            return x if y is None else torch.cat([x, y], 1)

    *steps, _ = steps_of(Optional(), [(2, 3, 3)])
    assert [step.operations for step in steps] == [(Kind.INPUT,)]
    *steps, _ = steps_of(Optional(), [(2, 3, 3), (1, 3, 3)])
    assert [step.operations[0] for step in steps] == [Kind.INPUT, Kind.INPUT, Kind.CONCATENATE]
    assert steps[-1].shape == (3, 3, 3)


def test_branches_on_shapes_and_settings_are_followed():
    def tail(x):
        if x.dim() == 4 and x.shape[1] == 4:
            return F.avg_pool2d(x, x.size()[2:])
        return x * 2

    assert operations(tail) == ([window("avg", (8, 6))], (4, 1, 1))


def test_lazy_layers_get_their_shapes():
    net = nn.Sequential(nn.LazyConv2d(3, 3), nn.LazyBatchNorm2d(), LIF(), nn.Flatten(), nn.LazyLinear(2))
    steps_of(net, [(4, 8, 6)])
    assert (net[0].weight.shape, net[1].num_features, net[4].in_features) == ((3, 4, 3, 3), 3, 72)


def test_reading_changes_neither_modes_nor_statistics_and_warns_of_nothing():
    net = nn.Sequential(nn.Conv2d(4, 4, 4, padding="same"), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    net[1].eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps_of(net, [(4, 8, 6)])
    assert [layer.training for layer in net] == [True, False, True]
    assert net[1].num_batches_tracked == 0


REFUSED = {
    "rows of the batch": (lambda x: x.flatten(0, 1), "'flatten' .* keep the batch in front"),
    "all of it": (lambda x: x.flatten(), "'flatten' .* keep the batch in front"),
    "first image": (lambda x: x[0], "'getitem' .* leaving some out"),
    "first channel": (lambda x: x[:, 0], "'getitem' .* leaving some out"),
    "transposed": (lambda x: x.transpose(1, 2), r"'transpose' .* makes 8x4x6 of 4x8x6 by moving"),
    "permuted": (lambda x: x.permute(0, 2, 3, 1), "'permute' .* channels in front"),
    "cat of rows": (lambda x: torch.cat([x, x], 2), "'cat' .* along channels, dimension 1"),
    "cat of images": (lambda x: torch.cat([x, x]), "'cat' .* dimension 0"),
    "mean of channels": (lambda x: x.mean(1), "'mean' .* goes over channels or the batch"),
    "mean of all": (lambda x: x.mean(), "'mean' .* has no integer form"),
    "alpha": (lambda x: torch.add(x, x, alpha=2), "'add' .* alpha=2 times"),
    "number": (lambda x: x + 1, "'add' .* adds a number: give it to the bias"),
    "product": (lambda x: x * x, "'mul' .* multiplies activations"),
    "difference": (lambda x: x - x, "'sub' .* weights may be negative"),
    "matrix product": (lambda x: x @ x.transpose(2, 3), "'matmul' .* multiplies activations with each other"),
    "relu": (lambda x: F.relu(x), "'relu' .* put spquant_snn.LIF"),
    "in-place relu": (nn.ReLU(inplace=True), "layer 'tail': ReLU .* put spquant_snn.LIF"),
    "softmax": (nn.Softmax(1), "Softmax .* leave it to the loss"),
    "LayerNorm": (nn.LayerNorm((8, 6)), "LayerNorm .* use BatchNorm"),
    "GroupNorm": (nn.GroupNorm(2, 4), "GroupNorm .* use BatchNorm"),
    "InstanceNorm": (nn.InstanceNorm2d(4), "InstanceNorm2d .* use BatchNorm"),
    "attention": (nn.MultiheadAttention(6, 2), "layer 'tail'"),
    "chunk": (lambda x: x.chunk(2, 1)[0], "'chunk' .* part of a tensor"),
    "uneven windows": (
        nn.AvgPool2d(3, padding=1, count_include_pad=False),
        "layer 'tail' divides windows at the border",
    ),
    "uneven adaptive": (
        nn.AdaptiveAvgPool2d((3, 6)),
        "8 places to 3 .* outputs of 1, 2, 4, 7, 8 have windows of one size",
    ),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), "mode 'bilinear', .* use mode='nearest'"),
    "broken factor": (nn.Upsample(size=(12, 9)), "up-samples from 8x6 to 12x9, .* a whole factor"),
    "other padding": (lambda x: F.pad(x, (1, 1), value=1.0), "'pad' .* other values than zeros"),
    "weights of the moment": (
        lambda x: F.linear(x.flatten(1), x.flatten(1)),
        "'linear' .* takes weights from the call of 'flatten'",
    ),
    "values": (lambda x: x if x.sum() > 0 else x / 255, "cannot be traced .* branches that depend on values"),
    "loop over time": (lambda x: torch.stack([y / 255 for y in x]), "cannot be traced .* without a loop over time"),
    "in place": (lambda x: (x.add_(x), x)[0] + x, "'add_' .* changes, in place, what the call of 'add'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_integer_form_is_refused_with_the_call_it_is_in(what):
    tail, message = REFUSED[what]
    with pytest.raises(ModelError, match=message):
        operations(tail)
