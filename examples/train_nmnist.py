"""Train LeNet-SNN on N-MNIST, digits seen by a moving event camera, with low-bit weights and membranes.

    python examples/train_nmnist.py                         # 2 bits, half of LeNet's channels, 10 frames a recording
    python examples/train_nmnist.py --bits ternary          # 1.58 bits
    python examples/train_nmnist.py --bits 32               # the float baseline
    python examples/train_nmnist.py --model vgg9-snn:0.25   # another network
    python examples/train_nmnist.py --dataset gestures:32 --timesteps 16     # without any files

The recordings, NMNIST/Train/<digit>/<number>.bin and NMNIST/Test/..., are looked for in --data-dir or $SPQUANT_DATA;
they are not downloaded. Their frames are counted once and kept in the user's cache. A stopped training goes on with
`spquant train --resume <run folder>`.
"""

import argparse

from spquant_snn import DataError, SpQuantTrainer, load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="2", help="of weights and membranes: ternary, 2 to 8, or 32")
    parser.add_argument("--dataset", default="nmnist", help="nmnist, dvs-gesture or gestures")
    parser.add_argument("--model", default="lenet-snn:0.5")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--timesteps", type=int, default=10, help="frames that a recording is divided into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", help="folder of the run")
    args = parser.parse_args()

    try:
        trainer = SpQuantTrainer(
            args.model,
            args.dataset,
            quantization_bits=args.bits,
            timesteps=args.timesteps,
            seed=args.seed,
            data_dir=args.data_dir,
            out=args.out,
        )
    except DataError as error:  # says where the recordings come from and what goes where
        raise SystemExit(f"{error}; without any files: --dataset gestures:32 --timesteps 16") from None
    trainer.train(epochs=args.epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")

    if trainer.config.quant.integer:
        program = load(trainer.run.integers)  # its integers alone
        test = trainer.data.test
        correct = (program.predict(test.inputs()) == test.labels).mean()  # [T, N, 2, H, W]
        size = trainer.run.integers.stat().st_size
        print(f"{trainer.run.integers}: {size:,} bytes, {100 * correct:.2f}% by these integers")


if __name__ == "__main__":
    main()
