"""Whether one way to come to a sparse network beat another, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from benchmarks.harness.variant_results import VariantResult

_ALIKE = 0.02  # numbers of operations that differ by less, relatively, are called equal


@dataclass(frozen=True)
class VariantComparison:
    """A comparison of two variants.

    Args:
        ours, theirs: titles of the variants.
        points: by which our accuracy on the test set is higher, in percent; the mean over the seeds.
        noise: two standard errors of that, from the number of test images and the spread over the seeds; one seed
            has none.
        operations, folded: done by ours, as multiples of theirs; with pools folded into kernels.
    """

    ours: str
    theirs: str
    points: float
    noise: float
    operations: float
    folded: float

    @property
    def beats(self) -> bool:
        """Whether ours is better by more than noise."""
        return self.points > self.noise

    def __str__(self) -> str:
        within = f"two standard errors are {self.noise:.2f}"
        if self.beats:
            found = f"{self.ours} beat {self.theirs}: {self.points:.2f} points more ({within})"
        elif self.points < -self.noise:
            found = f"{self.ours} lose to {self.theirs}: {-self.points:.2f} points less ({within})"
        else:
            found = f"{self.ours} do not beat {self.theirs}: {self.points:+.2f} points are noise ({within})"
        return f"{found}, with {_amount(self.operations)} operations done ({_amount(self.folded)} with pools folded)"


def compare_variants(
    ours: str, a: Sequence[VariantResult], theirs: str, b: Sequence[VariantResult]
) -> VariantComparison:
    """Compare two variants, of the same seeds.

    The standard error takes the two accuracies for draws of their own, though the images are the same: that is
    cautious.
    """
    points = fmean(run.test for run in a) - fmean(run.test for run in b)
    variance = sum(_variance(runs) for runs in (a, b))
    operations = fmean(run.done for run in a) / fmean(run.done for run in b)
    folded = fmean(run.folded for run in a) / fmean(run.folded for run in b)
    return VariantComparison(ours, theirs, points, 2 * math.sqrt(variance), operations, folded)


def spread(values: Sequence[float]) -> float | None:
    """The standard deviation over seeds; None for one."""
    return stdev(values) if len(values) > 1 else None


def _variance(runs: Sequence[VariantResult]) -> float:
    """Of the mean accuracy in percent: that of a proportion of so many images, which are the same for all seeds, and
    that of the seeds."""
    accuracy = fmean(run.test for run in runs)
    between = spread([run.test for run in runs]) or 0.0
    return accuracy * (100 - accuracy) / runs[0].images + between**2 / len(runs)


def _amount(multiple: float) -> str:
    if abs(multiple - 1) < _ALIKE:
        return "as many"
    return f"{100 * abs(multiple - 1):.0f} % {'more' if multiple > 1 else 'fewer'}"
