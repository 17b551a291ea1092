"""Train a residual spiking network on DVS128 Gesture, 11 gestures seen by an event camera, with few bits.

    python examples/train_dvs_gesture.py                        # the real recordings, frames of 64x64
    python examples/train_dvs_gesture.py --dataset gestures     # generated ones, which need no files
    python examples/train_dvs_gesture.py --dataset gestures:32  # smaller frames: ten minutes on one core
    python examples/train_dvs_gesture.py --model resnet18-snn   # a larger network, for a GPU
    python examples/train_dvs_gesture.py --bits 32              # the float baseline

The folder DvsGesture, as its archive unpacks, is looked for in --data-dir or $SPQUANT_DATA; it is not downloaded.
Recordings are cut by their label files, and split as trials_to_train.txt and trials_to_test.txt say. Frames are counted
once and kept in the user's cache. A stopped training goes on with `spquant train --resume <run folder>`.
"""

import argparse

from spquant_snn import DataError, SpQuantTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="dvs-gesture", help="dvs-gesture or gestures; :32 for frames of 32x32")
    parser.add_argument("--model", default="resnet11-snn:0.25")
    parser.add_argument("--bits", default="2", help="of weights and membranes: ternary, 2 to 8, or 32")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--timesteps", type=int, default=16, help="frames that a recording is divided into")
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
        raise SystemExit(f"{error}; without any files: --dataset gestures") from None
    trainer.train(epochs=args.epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")


if __name__ == "__main__":
    main()
