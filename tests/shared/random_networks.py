"""Random descriptions of networks of all kinds of signals, drives, neurons and readouts; a seed gives the same one each
time."""

import math

import numpy as np
import torch
from torch import nn

from spquant_snn.nn import LIF, OneToOne
from spquant_snn.quant import described as d

LARGEST = 400  # elements of a layer


def random_network(seed):
    """A description, whose neurons fire now and then."""
    torch.manual_seed(seed)
    return _Draw(np.random.default_rng(seed)).network()


class _Draw:
    def __init__(self, rng):
        self.rng, self.count = rng, 0
        self.layers = []

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, of):
        return of[int(self.rng.integers(len(of)))]

    def path(self, kind):
        self.count += 1
        return f"{kind}{self.count}"

    # ---- the network ----

    def network(self):
        shapes = [self.input_shape() for _ in range(1 + self.chance(0.3))]
        inputs = [d.Pixels(i, shape) for i, shape in enumerate(shapes)]
        for i in range(int(self.rng.integers(1, 5))):
            first = inputs[i % len(inputs)] if i < len(inputs) else None
            drive = self.layer_drive(inputs, first)
            self.layers.append(
                d.LayerDescription(f"layer{i}", drive, self.neurons(drive.shape[0]), f"lif{i}", drive.shape)
            )
        self.feed_back()
        readouts = tuple(self.readout(i) for i in range(int(self.rng.integers(1, 4))))
        return d.NetworkDescription(tuple(shapes), tuple(self.layers), readouts)

    def input_shape(self):
        size = [int(n) for n in self.rng.integers(4, 9, 2)]
        kinds = [(int(self.rng.integers(1, 4)), *size), (int(self.rng.integers(1, 4)), 1, 3 * size[0]), (2 * size[0],)]
        return self.pick(kinds)

    def neurons(self, channels):
        kind = self.pick(["plain", "plain", "subtract", "none", "channels", "synaptic", "by"])
        threshold, leak = float(self.rng.uniform(0.3, 1.0)), float(self.pick([0.5, 0.75, 0.9, 1.0]))
        if kind == "channels":
            leak, threshold = (torch.from_numpy(self.rng.uniform(0.3, 1.0, channels)) for _ in range(2))
        options = {
            "subtract": {"reset": "subtract"},
            "none": {"reset": "none"},
            "synaptic": {"synaptic_leak": 0.6},
            "by": {"reset": "subtract", "reset_by": 0.4},
        }
        return LIF(threshold, min(leak, 0.9) if kind == "none" else leak, **options.get(kind, {}))

    def feed_back(self):
        """Let some layers hear themselves and later ones, one step later."""
        for i, layer in enumerate(self.layers):
            later = self.layers[i:]
            if not self.chance(0.4):
                continue
            j = i + int(self.rng.integers(len(later)))
            more = self.beside(layer.shape, [d.Spikes(j, self.layers[j].shape, 1)])
            if more is not None:
                drives = layer.drive.drives if isinstance(layer.drive, d.Sum) else (layer.drive,)
                drive = d.Sum((*drives, more), layer.shape)
                self.layers[i] = d.LayerDescription(layer.name, drive, layer.neurons, layer.path, layer.shape)

    # ---- drives ----

    def sources(self, inputs=()):
        return [*inputs, *(d.Spikes(i, layer.shape) for i, layer in enumerate(self.layers))]

    def layer_drive(self, inputs, first):
        known = self.sources(inputs)
        start = first or self.pick(known[len(inputs) :] or known)
        drive = self.decorated(self.weighed(self.signal(start, known)))
        drives = [drive]
        for _ in range(int(self.rng.integers(0, 3))):
            more = self.beside(drive.shape, known)
            if more is not None:
                drives.append(more)
        if len(drives) == 1:
            return drive
        added = d.Sum(tuple(drives), drive.shape)
        return self.normalised(added) if self.chance(0.3) else added

    def weighed(self, signal):
        shape = signal.shape
        if len(shape) == 1 or self.chance(0.2):
            flat = signal if len(shape) == 1 else d.Flattened(signal, (math.prod(shape),))
            return d.Weighed(flat, self.linear(flat.shape[0], int(self.rng.integers(3, 12))), self.path("fc"), ())
        one = shape[1] == 1
        while True:
            module = self.convolution(shape[0], one)
            x = torch.zeros(1, *(shape if not one else (shape[0], shape[2])))
            try:
                found = tuple(module(x).shape[1:])
            except RuntimeError:
                continue
            found = (found[0], 1, found[1]) if one else found
            if 0 < math.prod(found) <= LARGEST:
                return d.Weighed(signal, module, self.path("conv"), found)

    def linear(self, inputs, outputs):
        return nn.Linear(inputs, outputs, bias=self.chance(0.5))

    def convolution(self, channels, one):
        groups = self.pick([n for n in (1, 1, 1, 2, 3) if channels % n == 0])
        outputs = groups * int(self.rng.integers(1, 5))
        kernel = [int(n) for n in self.rng.integers(1, 4, 2)]
        stride = [int(n) for n in self.rng.integers(1, 3, 2)]
        options = {"groups": groups, "bias": self.chance(0.5)}
        cut = slice(1) if one else slice(2)
        if self.chance(0.2):
            kind = nn.ConvTranspose1d if one else nn.ConvTranspose2d
            more = tuple(s - 1 if self.chance(0.5) else 0 for s in stride)
            return kind(channels, outputs, tuple(kernel[cut]), tuple(stride[cut]), 0, more[cut], **options)
        kind = nn.Conv1d if one else nn.Conv2d
        if self.chance(0.2):
            return kind(channels, outputs, tuple(kernel[cut]), padding="same", **options)
        padding, dilation = ([int(n) for n in self.rng.integers(low, low + 2, 2)] for low in (0, 1))
        options |= {"padding": tuple(padding[cut]), "dilation": tuple(dilation[cut])}
        return kind(channels, outputs, tuple(kernel[cut]), tuple(stride[cut]), **options)

    def decorated(self, drive):
        if drive.shape == ():
            drive = d.Weighed(drive.signal, drive.module, drive.path, (drive.module.out_features,))
        shape = drive.shape
        if self.chance(0.3):
            drive = self.normalised(drive)
        if len(shape) == 3 and shape[2] >= 2 and self.chance(0.4):
            drive = self.pooled(d.PooledDrive, drive, padded=False)
        if self.chance(0.5):
            drive = self.normalised(drive)
        if self.chance(0.2):
            drive = d.DroppedDrive(drive, 0.2, self.chance(0.5), drive.shape)
        return drive

    def normalised(self, drive):
        channels, flat = drive.shape[0], len(drive.shape) == 1
        norm = (nn.BatchNorm1d if flat else nn.BatchNorm2d)(channels, affine=self.chance(0.9))
        norm.running_mean.copy_(torch.from_numpy(self.rng.normal(0, 0.3, channels)))
        norm.running_var.copy_(torch.from_numpy(self.rng.uniform(0.2, 2, channels)))
        if norm.affine:
            norm.weight.data.copy_(torch.from_numpy(self.rng.uniform(-1.5, 1.5, channels)))
            norm.bias.data.copy_(torch.from_numpy(self.rng.normal(0.3, 0.4, channels)))
        return d.Normalised(drive, norm, self.path("bn"), drive.shape)

    def pooled(self, made, what, padded):
        adds = any(isinstance(part, d.Added) for part in d.parts_in(what))  # whose largest values have no integer form
        kind, (channels, height, width) = self.pick(["avg", "avg" if adds and made is d.Pooled else "max"]), what.shape
        kernel = tuple(min(int(n), size) for n, size in zip(self.rng.integers(1, 4, 2), (height, width), strict=True))
        stride = tuple(int(n) for n in self.rng.integers(1, 3, 2))
        padding = tuple(int(n) for n in self.rng.integers(0, 1 + min(1, min(kernel) // 2), 4)) if padded else (0,) * 4
        size = [
            (length + padding[2 * i] + padding[2 * i + 1] - kernel[i]) // stride[i] + 1
            for i, length in enumerate((height, width))
        ]
        divisor = kernel[0] * kernel[1] if kind == "avg" else 1
        return made(what, kind, kernel, stride, (channels, *size), padding, divisor=divisor)

    def beside(self, shape, known):
        """A drive of a shape that is given, of one of the sources; None where none fits."""
        fitting = [source for source in known if len(shape) == 1 or source.shape[1:] == shape[1:]]
        if not fitting:
            return None
        source = self.pick(fitting)
        if isinstance(source, d.Spikes) and source.shape == shape and self.chance(0.5):
            if self.chance(0.5):
                return d.Passed(source, self.path("add"), shape)
            return d.Weighed(source, OneToOne(shape[0], 0.5), self.path("one"), shape)
        if len(shape) == 1:
            flat = source if len(source.shape) == 1 else d.Flattened(source, (math.prod(source.shape),))
            drive = d.Weighed(flat, self.linear(flat.shape[0], shape[0]), self.path("fc"), shape)
        else:
            one = shape[1] == 1
            kind = nn.Conv1d if one else nn.Conv2d
            size = self.pick([1, 3])
            module = kind(source.shape[0], shape[0], size, padding=size // 2, bias=self.chance(0.5))
            drive = d.Weighed(source, module, self.path("conv"), shape)
        return self.normalised(drive) if self.chance(0.5) else drive

    # ---- signals ----

    def signal(self, start, known):
        found = start
        for _ in range(int(self.rng.integers(0, 3))):
            found = self.changed(found, known)
        return found

    def changed(self, signal, known):
        kind = self.pick(["pool", "pool", "up", "drop", "add", "cat"])
        shape = signal.shape
        if kind == "pool" and len(shape) == 3:
            return self.pooled(d.Pooled, signal, padded=True)
        if kind == "up" and len(shape) == 3 and math.prod(shape) * 4 <= LARGEST:
            factor = (1 if shape[1] == 1 else 2, 2)
            return d.Upsampled(signal, factor, (shape[0], shape[1] * factor[0], shape[2] * factor[1]))
        if kind == "drop":
            return d.Dropped(signal, 0.2, self.chance(0.5), shape)
        alike = [one for one in known if one.shape[1:] == shape[1:] and len(one.shape) == len(shape)]
        if kind == "add" and any(one.shape == shape for one in alike):
            return d.Added((signal, self.pick([one for one in alike if one.shape == shape])), shape)
        if kind == "cat" and alike:
            more = self.pick(alike)
            return d.Concatenated((signal, more), (shape[0] + more.shape[0], *shape[1:]))
        return signal

    # ---- readouts ----

    def readout(self, i):
        last = self.pick(self.sources()[-2:])
        kind, name = self.pick(["fc", "fc", "map", "pass", "vote"]), f"out{i}"
        flat = last if len(last.shape) == 1 else d.Flattened(last, (math.prod(last.shape),))
        size = next((n for n in (2, 3, 5) if flat.shape[0] % n == 0), None)
        if kind == "pass":
            return d.ReadoutDescription(name, d.Passed(last, name, last.shape), last.shape)
        if kind == "vote" and size:
            drive = d.GroupMeans(d.Passed(flat, name, flat.shape), size, (flat.shape[0] // size,))
            return d.ReadoutDescription(name, drive, drive.shape)
        if kind == "map" and len(last.shape) == 3:
            drive = d.Weighed(last, nn.Conv2d(last.shape[0], 3, 1), name, (3, *last.shape[1:]))
            return d.ReadoutDescription(name, drive, drive.shape)
        drive = d.Weighed(flat, self.linear(flat.shape[0], 4), name, (4,))
        return d.ReadoutDescription(name, drive, drive.shape)
