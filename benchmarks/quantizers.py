"""Which weight quantiser is better at two bits and below: codes of the standardised weight, or a learned step (LSQ)?

    python benchmarks/quantizers.py                 # LeNet-SNN on MNIST, 6 epochs, 2 seeds: 8 trainings
    python benchmarks/quantizers.py --model vgg9-snn:0.25 --dataset cifar10 --epochs 5

Prints the accuracy and the cross-entropy on the held-out images after the last epoch; the test set is not used.
Finished trainings are skipped.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import torch

from spquant_snn import SpQuantTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lenet-snn")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--out", type=Path, default=Path("runs/quantizers"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rows = ["| bits | quantiser | seed | held-out accuracy, % | held-out cross-entropy |", "|---|---|---|---|---|"]
    for bits, quantizer, seed in itertools.product((1.58, 2), ("standardized", "learned"), args.seeds):
        out = args.out / f"{args.model}-{args.dataset}-{bits}-{quantizer}-s{seed}".replace(":", "x")
        if not (out / "model.spq").exists():
            options = {"seed": seed, "epochs": args.epochs, "weight_quantizer": quantizer, "data_dir": args.data_dir}
            if out.exists():
                trainer = SpQuantTrainer.resume(out, data_dir=args.data_dir)
            else:
                trainer = SpQuantTrainer(args.model, args.dataset, bits, out=out, **options)
            trainer.train()
        last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
        rows.append(f"| {bits} | {quantizer} | {seed} | {last['val_accuracy']:.2f} | {last['val_loss']:.4f} |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
