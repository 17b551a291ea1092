"""From images to integers on the bundled 8x8 digits, in about a minute on two cores.

Trains LeNet-SNN with 2-bit weights and 2-bit membranes beside its floating-point twin, freezes and lowers it, checks
that the integers compute exactly what torch computes, and prints one table.

    python examples/demo.py
    python examples/demo.py --epochs 5    # a quicker look
"""

import argparse
import sys
from functools import partial

from rich.console import Console
from rich.table import Table

from spquant_snn import SpQuantTrainer
from spquant_snn.integer.compare import compare_backends, reference_trace
from spquant_snn.integer.file import load_graph
from spquant_snn.quant.trace import frozen_trace
from spquant_snn.train.metrics import measure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs

    table = Table(title="LeNet-SNN on 8x8 digits, 2 time steps")
    for column in ("network", "test accuracy", "weights", "state", "spikes per neuron and step", "integers = torch"):
        table.add_column(column, justify="right")
    exact = False
    for name, bits in (("fp32 twin", 32), ("2-bit", 2)):
        trainer = SpQuantTrainer("lenet-snn", "digits", quantization_bits=bits)
        trainer.train(epochs=epochs)
        accuracy = trainer.evaluate()
        layers = measure(trainer.deployed(), trainer.data.test).layers
        rates = " / ".join(f"{100 * layer.rate:.0f} %" for layer in layers)
        network, folder = trainer.deployed(), trainer.run.path
        answer = "-"
        if bits < 32:
            torch_side = partial(frozen_trace, network)
            integer_side = partial(reference_trace, load_graph(folder / "model.spq"))
            verdict = compare_backends(torch_side, integer_side, trainer.data.test.images.numpy())
            exact, answer = verdict.equal, "yes" if verdict.equal else "NO"
        table.add_row(
            name, f"{accuracy:.2f} %", f"{network.weight_bytes:,.0f} B", f"{network.state_bytes:,.0f} B", rates, answer
        )
    console = Console()
    console.print(table)
    console.print(str(verdict))
    console.print(f"The run folder, with model.spq, is {folder}")
    console.print("The same integers as firmware for a microcontroller, and as a web page:", style="bold")
    for target, out in (("c", "firmware"), ("web", "site")):
        console.print(f"    spquant export {folder} --target {target} --out {out}/", soft_wrap=True)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
