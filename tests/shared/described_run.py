"""What a description of a network computes, in torch, term by term."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.quant import described as d


def run(network, inputs):
    """[T, N, ...] of each readout, from inputs [T, N, ...]."""
    states, kept, spikes, found = {}, {}, {}, []
    for step in zip(*inputs, strict=True):
        earlier, spikes = spikes, {}
        look = partial(_source, network, step, spikes, earlier)
        for i, layer in enumerate(network.layers):
            current = value(layer.drive, look)
            states.setdefault(i, layer.neurons.initial_state(current))
            spikes[i], states[i] = layer.neurons.step(current, states[i])
        for i, out in enumerate(network.readouts):
            current = value(out.drive, look).reshape(len(step[0]), *out.shape)
            leak = out.drive.module.leak if isinstance(out.drive, d.Integrated) else 0.0
            kept[i] = leak * kept.get(i, 0.0) + current
        found.append(list(kept.values()))
    return [torch.stack(steps) for steps in zip(*found, strict=True)]


def _source(network, step, spikes, earlier, source):
    if isinstance(source, d.Pixels):
        return step[source.input]
    if not source.delay:
        return spikes[source.layer]
    return earlier.get(source.layer, torch.zeros(len(step[0]), *network.layers[source.layer].shape))


def value(what, look):
    """[N, ...] of a signal or a drive, of the shape that it says."""
    y = _value(what, look)
    return y.reshape(len(y), *what.shape)


def _value(what, look):
    if isinstance(what, d.Spikes | d.Pixels):
        return look(what)
    if isinstance(what, d.Added | d.Sum):
        parts = what.signals if isinstance(what, d.Added) else what.drives
        assert {part.shape for part in parts} == {what.shape}
        return sum(value(part, look) for part in parts)
    if isinstance(what, d.Concatenated):
        return torch.cat([value(part, look) for part in what.signals], 1)
    x = value(what.drive if hasattr(what, "drive") else what.signal, look)
    if isinstance(what, d.Weighed):
        return what.module(x.squeeze(2) if isinstance(what.module, nn.Conv1d | nn.ConvTranspose1d) else x)
    if isinstance(what, d.Normalised):
        norm = what.module
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    if isinstance(what, d.Pooled | d.PooledDrive):
        return _pooled(what, x)
    if isinstance(what, d.Upsampled):
        return x.repeat_interleave(what.factor[0], 2).repeat_interleave(what.factor[1], 3)
    if isinstance(what, d.GroupMeans):
        return x.reshape(len(x), -1, what.size).mean(-1)
    return x  # passed on, reshaped, not dropped, or integrated by ``run``


def _pooled(what, x):
    """Windows one by one, as the description's words are."""
    top, bottom, left, right = what.padding
    x = F.pad(x, (left, right, top, bottom), value=0.0 if what.kind == "avg" else -torch.inf)
    (down, across), (tall, wide) = what.stride, what.kernel
    rows, columns = what.shape[1:]
    seen = [
        x[:, :, i * what.dilation[0] :: down, j * what.dilation[1] :: across][:, :, :rows, :columns]
        for i in range(tall)
        for j in range(wide)
    ]
    return sum(seen) / what.divisor if what.kind == "avg" else torch.stack(seen).amax(0)
