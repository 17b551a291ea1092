"""That all steps of a loop are one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ModelError
from .step_expressions import Expression, Site


def one_step(sites: Sequence[Site]) -> int:
    """Leave at each site the currents of one step, and say of how many steps; 0 where neurons take all steps at once.

    The first step may have zeros where later ones have spikes of the step before.

    Raises:
        ModelError: steps differ.
    """
    loops = [site for site in sites if not site.over_time]
    steps = max((len(site.currents) for site in loops), default=0)
    for site in loops:
        if len(site.currents) != steps:
            raise ModelError(
                f"layer {site.path!r} is called {len(site.currents)} times and others {steps} times: every step calls "
                "every layer once"
            )
        first, *later = site.currents
        for t, other in enumerate(later[1:], 2):
            if other is not later[0]:
                raise ModelError(
                    f"layer {site.path!r} takes something else in step {t} than in step 1: the steps of a loop must be "
                    "alike"
                )
        if later and not _begins(first, later[0]):
            raise ModelError(
                f"layer {site.path!r} takes something else in step 0 than in step 1, and not zeros where spikes of the "
                "step before come back: the steps of a loop must be alike"
            )
        site.currents[:] = later[:1] or [first]
    return steps


def _begins(first: Any, later: Any) -> bool:
    """Whether the first step has zeros where a later one has spikes of the step before, and nothing else differs."""
    if first is later:
        return True
    if isinstance(later, Expression) and isinstance(first, Expression):
        if later.kind == "earlier":
            return first.kind == "zeros"
        same = (first.kind, first.target, first.kwargs) == (later.kind, later.target, later.kwargs)
        return same and len(first.args) == len(later.args) and all(map(_begins, first.args, later.args))
    if isinstance(first, tuple | list) and isinstance(later, tuple | list) and len(first) == len(later):
        return all(map(_begins, first, later))
    return not isinstance(first, Expression) and not isinstance(later, Expression) and bool(first == later)
