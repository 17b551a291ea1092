"""Spot keywords with a spiking network of few bits: ten words of command, and "other".

    python examples/keyword_spotting.py                             # generated speech, DS-CNN, 2 bits
    python examples/keyword_spotting.py --bits 32                   # the float baseline
    python examples/keyword_spotting.py --model tc-resnet8-snn:1.5 --dataset spoken-words:signal
    python examples/keyword_spotting.py --dataset speech-commands   # people, where their recordings lie
    python examples/keyword_spotting.py --firmware kws/             # C of the features and of the network
    python -m benchmarks keyword kws/                               # both in one program on an emulated Cortex-M4
    python examples/keyword_spotting.py --listen go.wav stop.wav    # what it hears in files of 16 kHz, 16 bits, mono

The generated words are spoken by espeak-ng (apt-get install espeak-ng), once, in about ten minutes on two cores, and
kept in the user's cache as log-mel spectrograms. No voice of the test set is trained on.

Speech Commands (2.4 GB) is http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz, unpacked into the folder
speech_commands_v0.02 of --data-dir or $SPQUANT_DATA; it is not downloaded. The same ten words, the same features: what
is trained on one can be tried on the other.
"""

import argparse
from pathlib import Path

import numpy as np

from spquant_snn import DataError, MissingDependencyError, SpQuantTrainer, load
from spquant_snn.data import LogMel, one_second, read_wav


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="spoken-words", help="or speech-commands; :signal behind it for signals")
    parser.add_argument("--model", default="ds-cnn-snn", help="or tc-resnet8-snn, which takes signals")
    parser.add_argument("--bits", default="2", help="of weights and membranes: ternary, 2 to 8, or 32")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", help="folder of the run")
    parser.add_argument("--firmware", type=Path, help="folder for C of the network and, below it, of the features")
    parser.add_argument("--listen", type=Path, nargs="*", default=[], help="files of .wav")
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
    except (DataError, MissingDependencyError) as error:  # says what to install, or what goes where
        raise SystemExit(str(error)) from None
    trainer.train(epochs=args.epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")
    if not trainer.config.quant.integer:
        return

    program, test, words = load(trainer.run.integers), trainer.data.test, trainer.data.task.names
    heard = program.predict(test.images)
    for label, word in enumerate(words):
        print(f"  {word:6} {100 * (heard[test.labels == label] == label).mean():6.2f}%")
    signal = args.dataset.endswith(":signal")
    features = LogMel(40 if signal else 10)  # integers too
    for path in args.listen:
        bands = features(one_second(read_wav(path)))  # uint8 [49, bands]
        image = np.ascontiguousarray(bands.T)[:, None] if signal else bands[None]
        print(f"{path}: {words[int(program.predict(image[None])[0])]}")
    if args.firmware:
        trainer.export(args.firmware, target="c")
        (args.firmware / "features").mkdir(exist_ok=True)
        for name, text in features.c_files().items():
            (args.firmware / "features" / name).write_text(text)


if __name__ == "__main__":
    main()
