"""How fast recordings are read, and turned into frames, on one thread: events a second, beside what NumPy alone needs
for the bytes of the same events, ``fromfile`` and masks, without packets, checks and order.

    python -m benchmarks events                                  # an AEDAT 3.1 file of 5 million events, written first
    python -m benchmarks events --data-dir DATA --recordings 2000     # N-MNIST too

The best of several rounds, in processor time; files are in the system's cache, so that no disk is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from spquant_snn.data.aedat import read_aedat3
from spquant_snn.data.events import read_nmnist
from spquant_snn.data.frames import Framing, to_frames
from spquant_snn.data.nmnist import find_nmnist

_PACKET = 4096  # events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000, help="of the AEDAT 3.1 file")
    parser.add_argument("--data-dir", type=Path, help="folder that holds NMNIST")
    parser.add_argument("--recordings", type=int, default=1000, help="of N-MNIST")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "written.aedat"
        write_aedat3(path, args.events)
        ours = best(lambda: read_aedat3(path), args.rounds)
        numpy = best(lambda: aedat3_by_numpy(path), args.rounds)
        tell("AEDAT 3.1", args.events, ours, numpy)
        recording = read_aedat3(path)
        for framing in (Framing(steps=16, shrink=2), Framing(window=10_000, shrink=2), Framing(events=20_000)):
            seconds = best(partial(to_frames, recording, framing), args.rounds)
            print(f"{'frames':10} {args.events / seconds / 1e6:6.1f} million events/s  {framing}")
    if args.data_dir is not None:
        train, _ = find_nmnist(args.data_dir)
        folder = next(path for path in (args.data_dir / "NMNIST", args.data_dir) if (path / "Train").is_dir())
        files = sorted(folder.glob("Train/*/*.bin"))[: args.recordings]
        events = sum(path.stat().st_size for path in files) // 5
        ours = best(lambda: [read_nmnist(path) for path in files], args.rounds)
        numpy = best(lambda: [nmnist_by_numpy(path) for path in files], args.rounds)
        tell(f"N-MNIST, {len(files)} of {len(train)} files", events, ours, numpy)


def best(work: Callable[[], object], rounds: int) -> float:
    """Seconds of processor time of the fastest round."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def tell(what: str, events: int, ours: float, numpy: float) -> None:
    print(
        f"{what}: {events / ours / 1e6:.1f} million events/s, NumPy alone {events / numpy / 1e6:.1f}: "
        f"{numpy / ours:.2f} of it"
    )


def write_aedat3(path: Path, count: int) -> None:
    """A recording of a DVS128 in packets."""
    draw = np.random.default_rng(0)
    pairs = np.empty((count, 2), "<u4")
    pairs[:, 0] = 1 | draw.integers(0, 2, count) << 1 | draw.integers(0, 128, count) << 2
    pairs[:, 0] |= draw.integers(0, 128, count).astype("<u4") << 17
    pairs[:, 1] = np.sort(draw.integers(0, 100_000_000, count))
    with path.open("wb") as file:
        file.write(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n")
        for start in range(0, count, _PACKET):
            part = pairs[start : start + _PACKET]
            file.write(np.array([1 | 1 << 16, 8, 4, 0, len(part), len(part), len(part)], "<i4").tobytes())
            file.write(part.tobytes())


def aedat3_by_numpy(path: Path) -> object:
    """Columns of the words of a file, headers and all."""
    words = np.fromfile(path, "<u4", offset=30)
    words = words[: len(words) // 2 * 2].reshape(-1, 2)
    data = words[:, 0]
    t = words[:, 1].astype(np.int64)
    return t, (data >> 17).astype(np.uint16), (data >> 2 & 0x7FFF).astype(np.uint16), (data >> 1 & 1).astype(np.uint8)


def nmnist_by_numpy(path: Path) -> object:
    x, y, high, middle, low = np.fromfile(path, np.uint8).reshape(-1, 5).T
    t = (high & 127).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
    return t, x.copy(), y.copy(), high >> 7


if __name__ == "__main__":
    main()
