"""Whether the fast path trains as the plain one does: LeNet-SNN on MNIST, accuracy on the test images by seed.

    python -m benchmarks paths                          2/2 bits, three epochs, seeds 0, 1 and 2, float32, one thread
    python -m benchmarks paths --precision bf16

Runs are kept below --out and not trained again.
"""

import argparse
from pathlib import Path

import torch

from spquant_snn import SpQuantTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("runs/paths"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| seed | fast, % | plain, % |\n|---|---|---|")
    for seed in args.seeds:
        print(f"| {seed} | {accuracy(args, seed, False):.2f} | {accuracy(args, seed, True):.2f} |", flush=True)


def accuracy(args: argparse.Namespace, seed: int, plain: bool) -> float:
    out = args.out / f"{args.precision}-{seed}-{'plain' if plain else 'fast'}"
    places = {"data_dir": args.data_dir, "quiet": True}
    if (out / "config.toml").exists():
        trainer = SpQuantTrainer.resume(out, **places)
    else:
        options = {"epochs": args.epochs, "precision": args.precision, "seed": seed}
        trainer = SpQuantTrainer("lenet-snn", "mnist", quantization_bits=2, out=out, **options, **places)
    if plain:
        trainer.network.use_plain_path()
    trainer.train()
    return trainer.evaluate()


if __name__ == "__main__":
    main()
