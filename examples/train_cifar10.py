"""Train VGG-SNN on CIFAR-10 with low-bit weights and membranes, and write its integers.

    python examples/train_cifar10.py                                  # a quarter of VGG-9's channels, without a GPU
    python examples/train_cifar10.py --bits 32 --out runs/fp32        # the float baseline
    python examples/train_cifar10.py --teacher runs/fp32 --init runs/fp32    # starts from it and imitates it
    python examples/train_cifar10.py --bits 2 --weight-bits 4         # membranes of 2 bits, weights of 4
    python examples/train_cifar10.py --model vgg9-snn --epochs 200 --device cuda    # all channels: for a GPU

Images are cropped at random, flipped, and lose a square (cutout); labels are smoothed; the learning rate falls along a
cosine.

CIFAR-10 is looked for in --data-dir or $SPQUANT_DATA and downloaded if it is not there. A stopped training goes on with
`spquant train --resume <run folder>`.
"""

import argparse

from spquant_snn import SpQuantTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="vgg9-snn:0.25",
        help="vgg9-snn or vgg11-snn; a factor on the channels may follow after a colon",
    )
    parser.add_argument("--bits", default="2", help="of weights and membranes: ternary, 2 to 8, or 32")
    parser.add_argument("--weight-bits", help="of weights alone; those of --bits by default")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--teacher", default="", help="folder of a floating-point run to imitate")
    parser.add_argument("--init", default="", help="folder of a run whose weights to start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    parser.add_argument("--device", help="cpu, cuda ...; a GPU where there is one by default")
    parser.add_argument("--out", help="folder of the run")
    args = parser.parse_args()

    trainer = SpQuantTrainer(
        args.model,
        "cifar10",
        quantization_bits=args.bits,
        weight_bits=args.weight_bits,
        timesteps=args.timesteps,
        teacher=args.teacher,
        init=args.init,
        label_smoothing=0.05,
        batch_size=128,
        learning_rate=2e-3,
        seed=args.seed,
        data_dir=args.data_dir,
        device=args.device,
        out=args.out,
    )
    trainer.train(epochs=args.epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")


if __name__ == "__main__":
    main()
