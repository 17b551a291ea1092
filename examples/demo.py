"""From images to integers on the bundled 8x8 digits, in about a minute on two cores.

Trains LeNet-SNN with 2-bit weights and 2-bit membranes beside its float baseline, freezes and lowers it, checks
that the integer model computes exactly what torch computes, and prints one table.

    python examples/demo.py
    python examples/demo.py --epochs 5    # a quicker look
"""

import argparse
import sys

import torch
from rich.console import Console
from rich.table import Table

from spquant_snn import SpikingNetwork, SpQuantTrainer, load_graph, verify


def spike_rates(network: SpikingNetwork, images: torch.Tensor) -> str:
    """Spikes per neuron and time step, layer by layer."""
    rates = []
    with torch.no_grad():
        network(images, probe=lambda layer, spikes, codes: rates.append(f"{100 * spikes.float().mean():.0f} %"))
    return " / ".join(rates)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs

    table = Table(title="LeNet-SNN on 8x8 digits, 2 time steps")
    for column in ("network", "test accuracy", "weights", "state", "spikes per neuron and step", "integers = torch"):
        table.add_column(column, justify="right")
    for name, bits in (("fp32 baseline", 32), ("2-bit", 2)):
        trainer = SpQuantTrainer("lenet-snn", "digits", quantization_bits=bits)
        trainer.train(epochs=epochs)
        accuracy = trainer.evaluate()
        network, folder, images = trainer.deployed(), trainer.run.path, trainer.data.test.images
        answer = "-"
        if bits < 32:
            verdict = verify(network, load_graph(folder / "model.spq"), images)
            answer = "yes" if verdict.equal else "NO"
        sizes = f"{network.weight_bytes:,.0f} B", f"{network.state_bytes:,.0f} B"
        table.add_row(name, f"{accuracy:.2f} %", *sizes, spike_rates(network, torch.from_numpy(images)), answer)
    console = Console()
    console.print(table)
    console.print(str(verdict))
    console.print(f"The run folder, with model.spq, is {folder}")
    console.print("The same integer model as firmware for a microcontroller, and as a web page:", style="bold")
    console.print(f"    spquant export {folder} --target c --out firmware/", soft_wrap=True)
    console.print("    pip install ziglang    # which compiles it for browsers", soft_wrap=True)
    console.print(f"    spquant export {folder} --target web --out site/", soft_wrap=True)
    return 0 if verdict.equal else 1


if __name__ == "__main__":
    sys.exit(main())
