"""Functions and methods of tensors in a forward method, by what they do."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F

from ..nn.instant import CONVERSIONS

RESHAPES = frozenset(
    ("view", "reshape", "flatten", "unsqueeze", "squeeze", "unflatten", torch.reshape, torch.flatten, torch.unsqueeze,
     torch.squeeze, torch.unflatten)
)  # fmt: skip
MOVES = frozenset(
    ("permute", "transpose", "swapaxes", "swapdims", "movedim", torch.permute, torch.transpose, torch.swapaxes,
     torch.movedim)
)  # fmt: skip
REPEATS = frozenset(("repeat", "expand"))
JOINS = frozenset((torch.stack, torch.cat, torch.concat, torch.concatenate))
ADDS = frozenset((operator.add, operator.iadd, torch.add, "add", "add_"))
SCALES = frozenset(
    (operator.mul, operator.imul, torch.mul, "mul", operator.truediv, operator.itruediv, torch.div, "div")
)
DIVISIONS = frozenset((operator.truediv, operator.itruediv, torch.div, "div"))
REDUCTIONS: dict[Any, str] = {
    "sum": "sum", torch.sum: "sum", "mean": "mean", torch.mean: "mean", "amax": "largest", torch.amax: "largest",
    "max": "largest", torch.max: "largest",
}  # fmt: skip
WRITES = frozenset((operator.setitem, "__setitem__"))
ZEROS = frozenset((torch.zeros_like, "new_zeros", torch.zeros))
EACH_ELEMENT = frozenset((F.dropout, *CONVERSIONS, *ADDS))
RANDOM = frozenset((torch.bernoulli, torch.rand_like, torch.randn_like, torch.poisson, "bernoulli", "bernoulli_"))
