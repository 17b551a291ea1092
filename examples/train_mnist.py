"""Train LeNet-SNN on MNIST with low-bit weights and membranes, and write its integers.

    python examples/train_mnist.py                          # 2 bits, 20 epochs: about 10 minutes on two cores
    python examples/train_mnist.py --bits ternary           # 1.58 bits
    python examples/train_mnist.py --bits 32                # the float baseline
    python examples/train_mnist.py --dataset digits         # offline: the 8x8 digits of scikit-learn

MNIST is looked for in --data-dir or $SPQUANT_DATA and downloaded if it is not there. A stopped training goes on with
`spquant train --resume <run folder>`.
"""

import argparse

from spquant_snn import SpQuantTrainer, load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="2", help="of weights and membranes: ternary, 2 to 8, or 32")
    parser.add_argument("--dataset", default="mnist", help="mnist, fashion-mnist or digits")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", help="folder of the run")
    args = parser.parse_args()

    trainer = SpQuantTrainer(
        "lenet-snn",
        args.dataset,
        quantization_bits=args.bits,
        timesteps=args.timesteps,
        seed=args.seed,
        data_dir=args.data_dir,
        out=args.out,
    )
    trainer.train(epochs=args.epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")

    if trainer.config.quant.integer:
        program = load(trainer.run.integers)  # its integers alone
        test = trainer.data.test
        correct = (program.predict(test.images) == test.labels).mean()
        size = trainer.run.integers.stat().st_size
        print(f"{trainer.run.integers}: {size:,} bytes, {100 * correct:.2f}% by these integers")


if __name__ == "__main__":
    main()
