"""Work: the arithmetic of a layer and the bits that it moves, in one inference, under a stated model of the data flow.

    weights      with events, each synaptic operation reads one weight; in a dense layer each weight is read once a
                 pass. The first layer of a still image is dense in every network: it reads pixels, and its weights are
                 few. Frames of event counts are mostly zeros, which are skipped as missing spikes are.
    constants    of its neurons, once per channel and step
    state        read and written once per neuron update; only read by a gate that skips it
    activations  the image is read once a pass; spikes are written once, a bit per neuron and step, and read once, as
                 are an ANN's activations at their width
    sums         stay beside the adder, in no memory; or, as another model, lie in one, and each operation reads one and
                 writes it back. Integers add into partial sums as narrow as pay, of whole bytes, which are emptied into
                 the sum before they could overflow, as the runtime's lanes are; a float is always 32 bits

A sum-pool behind a convolution costs nothing: operations add to the pooled sum. A largest of sums costs a comparison
for each further sum. A term's multiplier costs a multiplication for each sum and pass, powers of two none, and in
floating point it is part of the weights. Bits are counted as if words of memory were full of them, that is, packed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..integer.graph import BLOCK
from ..integer.grids import STATE_GRIDS, WEIGHT_GRIDS
from .counts import LayerCounts
from .network_info import FLOAT_BITS, NetworkInfo, stored_bits, wire_bits

CONSTANT_BITS = 32  # of a constant of a neuron, and of a potential
TABLE_LEVELS = 16  # codes of a state, at most, that are found by comparing; beyond it is scaled


@dataclass(frozen=True)
class Operation:
    """``count`` additions of ``size`` bits, or multiplications of factors whose widths multiply to ``size``; ``fp32``
    ones have no size."""

    kind: Literal["add", "multiply"]
    count: float
    size: int = 0
    floating: bool = False


@dataclass(frozen=True)
class Traffic:
    """Bits read and written, for the memory model of this module; ``sums`` are those of the other model."""

    weights: float
    constants: float
    state: float
    activations: float
    sums: float


@dataclass(frozen=True)
class Work:
    """Of a layer.

    Args:
        name: of the layer.
        synaptic: operations on its sums.
        arithmetic: everything that is computed.
        traffic: in bits.
        weights, state, activations: bytes that the layer keeps, packed; activations of one step.
    """

    name: str
    synaptic: float
    arithmetic: tuple[Operation, ...]
    traffic: Traffic
    weights: float
    state: float
    activations: float


def work(layer: LayerCounts, network: NetworkInfo) -> Work:
    """What a layer of those widths does, with the spikes that were counted."""
    steps, passes = (layer.steps, layer.passes) if network.spiking else (1, 1)
    dense = network.flow == "dense" or layer.static_input
    synaptic = layer.dense * passes / layer.passes if dense else layer.done if network.gated else layer.reached
    decisions, left_out = (layer.decisions, layer.held) if network.gated else (0.0, 0.0)
    weight = FLOAT_BITS if network.floating else stored_bits(network.weight_bits or layer.weight_bits)
    state = _state_bits(layer, network)
    held = layer.codes * (FLOAT_BITS if network.floating else stored_bits(state) if state else 0)
    sums = FLOAT_BITS if network.floating else sum_bits(layer, network)
    updates, sent = layer.neurons * steps, network.activation_bits
    traffic = Traffic(
        weights=(layer.weights * passes if dense else synaptic) * weight,
        constants=_constants_read(layer, network, state, steps, passes),
        state=(2 * updates - left_out) * held if network.spiking else 0,
        activations=layer.inputs * passes * (8 if layer.pixels else sent) + updates * sent,
        sums=2 * synaptic * FLOAT_BITS if network.floating else _moved_sums(layer, network, synaptic, passes, sums),
    )
    return Work(
        layer.name,
        synaptic,
        (
            *_synaptic(layer, network, synaptic, sums),
            *_of_sums(layer, network, passes / layer.passes, sums),
            *_decided(decisions),
            *_neurons(network, state, updates - left_out),
            *(_currents(network, state, updates - left_out) if layer.codes > 1 else ()),
        ),
        traffic,
        layer.weights * weight / 8,
        layer.neurons * held / 8 if network.spiking else 0.0,
        layer.neurons * sent / 8,
    )


def sum_bits(layer: LayerCounts, network: NetworkInfo) -> int:
    """Bits of an integer that holds every sum of the layer, from its fan-in and the widths alone."""
    bits = network.weight_bits or layer.weight_bits
    return (layer.fan_in * _largest(layer, network) * -WEIGHT_GRIDS[bits].low).bit_length() + 1


def _moved_sums(layer: LayerCounts, network: NetworkInfo, synaptic: float, passes: int, sums: int) -> float:
    """Bits of sums that are read and written where they lie in a memory, with partial sums of the width that moves
    least.

    A partial sum of ``width`` bits holds so many of the largest products; it is emptied, that is read and cleared while
    the sum is read and written, at most once for so many operations and once more for each sum and pass.
    """
    whole = 8 * -(-sums // 8)
    product = _largest(layer, network) * -WEIGHT_GRIDS[network.weight_bits or layer.weight_bits].low
    moved = [2 * synaptic * whole]
    for width in range(8, whole, 8):
        if room := ((1 << (width - 1)) - 1) // product:
            emptied = min(synaptic, synaptic / room + layer.sums * passes)
            moved.append(2 * synaptic * width + emptied * 2 * (width + whole))
    return min(moved)


def _largest(layer: LayerCounts, network: NetworkInfo) -> int:
    """The largest value that meets a weight."""
    return layer.gathered * (layer.largest if layer.pixels else (1 << network.activation_bits) - 1)


def _state_bits(layer: LayerCounts, network: NetworkInfo) -> float:
    return network.state_bits or layer.state_bits


def _synaptic(layer: LayerCounts, network: NetworkInfo, count: float, sums: int) -> tuple[Operation, ...]:
    largest, floating = _largest(layer, network), network.floating
    add = Operation("add", count, sums, floating)
    if largest == 1:
        return (add,)
    size = largest.bit_length() * wire_bits(network.weight_bits or layer.weight_bits)
    return Operation("multiply", count, size, floating), add


def _of_sums(layer: LayerCounts, network: NetworkInfo, share: float, sums: int) -> tuple[Operation, ...]:
    """Arithmetic on whole sums, in this share of the passes that were counted: of multipliers, whose products are
    added, and of the largest of several."""
    found: list[Operation] = []
    if layer.products and not network.floating:
        found.append(Operation("multiply", share * layer.products, sums * CONSTANT_BITS))
        found.append(Operation("add", share * layer.products, CONSTANT_BITS))
    if layer.comparisons:
        found.append(Operation("add", share * layer.comparisons, 0 if network.floating else sums, network.floating))
    return tuple(found)


def _decided(decisions: float) -> tuple[Operation, ...]:
    """Arithmetic of gates: a block's stored codes are added up, two products are added and compared."""
    if not decisions:
        return ()
    return (
        Operation("multiply", 2 * decisions, CONSTANT_BITS * CONSTANT_BITS),
        Operation("add", (BLOCK + 2) * decisions, CONSTANT_BITS),
    )


def _levels(network: NetworkInfo, state: float) -> int:
    """What a neuron tells apart when it stores a code, or an ANN when it makes an activation."""
    if not network.spiking:
        return 1 << network.activation_bits
    grid = STATE_GRIDS[state]
    return grid.high - grid.low + 1


def _constants_read(layer: LayerCounts, network: NetworkInfo, state: float, steps: int, passes: int) -> int:
    """Bits of constants: those of neurons at each step, and at each pass a multiplier of each channel."""
    neurons = _constants(network, state) * steps if layer.neurons else 0
    if layer.codes > 1 and network.spiking:  # a current has all that a potential has but a threshold
        neurons += (_constants(network, state) - (0 if network.floating else 1)) * steps
    multipliers = passes if layer.products and not network.floating else 0
    return layer.channels * (neurons + multipliers) * CONSTANT_BITS


def _constants(network: NetworkInfo, state: float) -> int:
    """Constants of a channel: per code a remainder and an edge (one of them the threshold); scaled: two factors, an
    offset of twice the width, a threshold. An ANN has edges, or a factor and an offset; fp32 a bias."""
    if network.floating:
        return 1
    levels = _levels(network, state)
    if levels > TABLE_LEVELS:
        return 5 if network.spiking else 2
    return 2 * levels if network.spiking else levels - 1


def _neurons(network: NetworkInfo, state: float, updates: float) -> tuple[Operation, ...]:
    """Arithmetic of the neurons; a comparison is an addition.

    fp32: leak, integrate, compare. Integers: integrate, compare with threshold and edges; or leak and store by one
    multiplication each, with two additions, and compare. An ANN compares with edges, or scales and shifts.
    """
    if not updates:
        return ()
    if network.floating:
        return Operation("multiply", updates, floating=True), Operation("add", 2 * updates, floating=True)
    levels, width = _levels(network, state), CONSTANT_BITS
    if levels <= TABLE_LEVELS:
        return (Operation("add", updates * (1 + levels if network.spiking else levels - 1), width),)
    scale = Operation("multiply", updates, width * width)
    if not network.spiking:
        return scale, Operation("add", updates, width)
    return Operation("multiply", updates, wire_bits(state) * width), scale, Operation("add", 3 * updates, width)


def _currents(network: NetworkInfo, state: float, updates: float) -> tuple[Operation, ...]:
    """Arithmetic of synaptic currents, which leak and are stored as potentials are, and have no threshold."""
    if not updates or not network.spiking:
        return ()
    if network.floating:
        return Operation("multiply", updates, floating=True), Operation("add", updates, floating=True)
    levels, width = _levels(network, state), CONSTANT_BITS
    if levels <= TABLE_LEVELS:
        return (Operation("add", updates * levels, width),)
    leak, scale = wire_bits(state) * width, width * width
    return (
        Operation("multiply", updates, leak),
        Operation("multiply", updates, scale),
        Operation("add", 2 * updates, width),
    )
