"""Drift: how far the firing rates of two networks lie apart, as the earth mover's distance.

Each neuron of a layer has a firing rate, its spikes per step over all images. The distance between the rates of two
networks is the least mean amount by which rates have to be moved to turn one distribution into the other; of numbers on
a line it is the area between their cumulative distributions (Vallender 1974, doi 10.1137/1118101). It asks whether a
layer fires as much and as unevenly as in the other network, not whether neuron i does what neuron i did: networks that
were trained apart have no common order of neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..dtypes import Float64


@dataclass(frozen=True, eq=False)
class LayerDrift:
    """Of the layers of one name in two networks.

    Args:
        name: of the layers.
        here, there: rates of their neurons, in rising order, each 0 to 1; they may differ in number.
        distance: between the two, 0 to 1.
    """

    name: str
    here: Float64
    there: Float64
    distance: float


@dataclass(frozen=True)
class Drift:
    """Of two networks.

    Args:
        here, there: what they are, in words.
        layers: those that both have.
        others: names of layers that only one of them has.
    """

    here: str
    there: str
    layers: tuple[LayerDrift, ...]
    others: tuple[str, ...] = ()


def find_drift(here: str, ours: Mapping[str, Float64], there: str, theirs: Mapping[str, Float64]) -> Drift:
    """The drift between two networks, given the rates of the neurons of each layer by its name.

    Raises:
        ValueError: no layer of one is in the other.
    """
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise ValueError(f"no layer of {here} is in {there}")
    layers = tuple(
        LayerDrift(name, np.sort(ours[name]), np.sort(theirs[name]), earth_movers_distance(ours[name], theirs[name]))
        for name in shared
    )
    return Drift(here, there, layers, tuple(name for name in (*ours, *theirs) if name not in shared))


def earth_movers_distance(a: Float64, b: Float64) -> float:
    """The area between the cumulative distributions of two sets of numbers, each number of a set weighing the same."""
    a, b = np.sort(a), np.sort(b)
    points = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(values, points[:-1], side="right") / len(values) for values in (a, b)]
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(points)))
