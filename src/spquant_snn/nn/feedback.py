"""Spikes that come back one time step later: recurrent layers, and feedback from later layers to earlier ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from .instant import InstantTracer, earlier_spikes, fed_back
from .layers import knows_time
from .lif import LIF


class Feedback(nn.Module):
    """``y_t = body(x_t + layer(y_(t-1)))``: what ``body`` gives comes back to its input one time step later.

    Args:
        body: a module of one time step that ends with a LIF layer, as a rule that layer alone.
        layer: what the spikes pass on their way back: Linear, a convolution, ``OneToOne``, Identity, or a row of them
            and batch normalisation.

    Shape:
        input [T, N, ...], time first; output [T, N, ...] of spikes. Before the first step there are none.

    Example:
        >>> recurrent = Feedback(LIF(), torch.nn.Linear(3, 3))
        >>> recurrent(torch.ones(4, 2, 3)).shape
        torch.Size([4, 2, 3])
    """

    def __init__(self, body: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.body, self.layer = body, layer

    def forward(self, x: Tensor) -> Tensor:
        graph = InstantTracer([x[0]]).read(self)
        state: dict[str, Tensor] = {}
        steps = []
        for current in x:
            stepper = _Stepper(graph, state)
            steps.append(stepper.run(current))
            state = stepper.after
        return torch.stack(steps)

    def instant(self, x: Tensor) -> Tensor:
        """One time step, in a graph: how ``prepare`` reads it."""
        earlier = earlier_spikes(x, self.body)
        current = x + self.layer(earlier)
        spikes: Tensor = fed_back(self.body.instant(current) if knows_time(self.body) else self.body(current), earlier)
        return spikes


class _Stepper(fx.Interpreter):
    """One time step of a graph.

    Args:
        before: by the names of nodes, potentials that were stored and spikes that come back.

    Attributes:
        after: the same behind the step.
    """

    def __init__(self, graph: fx.GraphModule, before: dict[str, Tensor]) -> None:
        super().__init__(graph)
        self.before = before
        self.after: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.target is earlier_spikes:
            x = self.env[n.all_input_nodes[0]]
            return self.before.get(n.name, x.new_zeros(n.meta["value"].shape))
        if n.target is fed_back:
            given, earlier = n.all_input_nodes
            self.after[earlier.name] = self.env[given]
            return self.env[given]
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if not isinstance(module, LIF):
            return super().run_node(n)
        current = self.env[n.all_input_nodes[0]]
        state = self.before[n.name] if n.name in self.before else module.initial_state(current)
        spikes, self.after[n.name] = module.step(current, state)
        return spikes
