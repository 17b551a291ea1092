"""Tell what somebody does from a sensor of motion at the waist, with a spiking network of few bits.

    python examples/activity.py                     # generated signals, TC-ResNet8, 2 bits: minutes on one core
    python examples/activity.py --bits 32           # the float baseline
    python examples/activity.py --firmware imu/     # C of the network

Six axes, 50 times a second, in windows of 2.56 s: rest, walk, run, stairs, cycle, fall. They come in as int8 with one
scale, 127 for what the sensor can say at most, so that firmware takes the numbers of the sensor. Nobody of the test set
is trained on.

Own signals are given as arrays: SpQuantTrainer(model, ((signals, labels), (test signals, test labels))), float [N, 6,
128]; their scale is measured.
"""

import argparse

import numpy as np

from spquant_snn import SpQuantTrainer, load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tc-resnet8-snn:0.5")
    parser.add_argument("--bits", default="2", help="of weights and membranes: ternary, 2 to 8, or 32")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="folder of the run")
    parser.add_argument("--firmware", help="folder for C of the network")
    args = parser.parse_args()

    trainer = SpQuantTrainer(
        args.model,
        "activity",
        quantization_bits=args.bits,
        timesteps=args.timesteps,
        seed=args.seed,
        out=args.out,
    )
    trainer.train(epochs=args.epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")
    if not trainer.config.quant.integer:
        return

    program, test, names = load(trainer.run.integers), trainer.data.test, trainer.data.task.names
    said = program.predict(test.images)
    table = np.zeros((len(names), len(names)), np.int64)
    np.add.at(table, (test.labels, said), 1)
    for name, row in zip(names, table, strict=True):
        print(f"  {name:7}", *(f"{count:4}" for count in row))
    if args.firmware:
        trainer.export(args.firmware, target="c")


if __name__ == "__main__":
    main()
