"""The neuron alone, forward and backward: the fused form against the plain one, on float and 2-bit membranes.

Both run in turn in one process, which hands freed memory out again, as a training does; the fastest of all rounds
counts, since other work can only add.

    python -m benchmarks neuron
    python -m benchmarks neuron --threads 2 --rounds 40
    python -m benchmarks neuron --device cuda --rounds 100
"""

import argparse
import time

import torch

from spquant_snn.nn.fused import FusedRecurrence, fuses
from spquant_snn.nn.recurrence import Dynamics, Levels, Recurrence
from spquant_snn.nn.surrogate import triangle
from spquant_snn.train.device import keep_freed_memory

_SHAPE = (32, 128, 16, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print("| currents | membrane | plain, ms | fused, ms | ratio |\n|---|---|---|---|---|")
    for steps in (4, 16):
        current = torch.randn(steps, *_SHAPE, device=options.device, requires_grad=True)
        gradient = torch.randn(steps, *_SHAPE, device=options.device)
        for name, levels in (("float", None), ("2-bit", Levels(-2, 1, 1.0))):
            dynamics = Dynamics(0.5, "zero", triangle, levels)
            if not fuses(current, dynamics):
                raise SystemExit("there is no fused neuron here: see 'spquant doctor'")
            plain, fused = _fastest(current, gradient, dynamics, options.rounds)
            shape = ", ".join(map(str, current.shape))
            print(f"| [{shape}] | {name} | {1e3 * plain:.2f} | {1e3 * fused:.2f} | {fused / plain:.2f} |", flush=True)


def _fastest(current: torch.Tensor, gradient: torch.Tensor, dynamics: Dynamics, rounds: int) -> tuple[float, float]:
    """Seconds of the plain and of the fused form."""
    threshold = torch.tensor(1.0, device=current.device)
    forms = (
        lambda: Recurrence.apply(current, threshold, None, dynamics, None, False, None)[0],
        lambda: FusedRecurrence.apply(current, threshold, dynamics, None),
    )
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for form, spent in zip(forms, times, strict=True):
            start = time.perf_counter()
            torch.autograd.grad(form(), current, gradient)
            if current.is_cuda:  # which is asked, and does it later
                torch.cuda.synchronize(current.device)
            spent.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])


if __name__ == "__main__":
    main()
