"""Twins: networks of the same shape that a user could take instead, costed from the same counts.

None of them is trained here. The spiking ones are given the spikes that were counted; what accuracy a twin reaches is
for a training to show.
"""

from __future__ import annotations

from .network_info import NetworkInfo

_WIDEST = 8


def twins(steps: int) -> tuple[NetworkInfo, ...]:
    """The networks of a ledger of ``steps`` time steps.

    First the network that was counted, then the fp32 SNN of the same shape, steps and spikes, driven by events as it
    is: savings are against this one. Then the same fp32 SNN as a dense network, as frameworks run it; ours as a dense
    network; the 8-bit SNN; the 8-bit ANN; and the ANN of the same bit budget, bits of weight x bits of activation x
    steps (Shen et al., arXiv 2311.10802): weights of our width, activations of as many bits as there are steps.
    """
    return (
        NetworkInfo("this network", "events", gated=True),
        NetworkInfo("fp32 SNN", "events", floating=True),
        NetworkInfo("fp32 SNN, dense", "dense", floating=True),
        NetworkInfo("this network, dense", "dense"),
        NetworkInfo("int8 SNN", "events", weight_bits=8, state_bits=8),
        NetworkInfo("int8 ANN", "dense", spiking=False, weight_bits=8, activation_bits=8),
        NetworkInfo("ANN, equal bit budget", "dense", spiking=False, activation_bits=min(steps, _WIDEST)),
    )
