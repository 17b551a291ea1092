"""Mutated .spq files: each is refused in a sentence, or loads and runs natively as the reference runs it.

    python benchmarks/fuzz.py                                         # 100,000 mutations, about 15 minutes
    python benchmarks/fuzz.py --mutations 5000 --sanitize             # the runtime under ASan and UBSan
    python benchmarks/fuzz.py --seed 0 --first 1234 --mutations 1     # one of them again

Every mutation of a seed is the same each time. A process of its own loads and runs them, so that a crash or a hang is
a finding too; the first finding ends the run with exit code 1 and the line that repeats it. Ctrl-C ends it with what
was found so far. The mutations and what must hold of them are in tests/shared, where the tests have them too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "shared"))

import sanitizers
from judging import judge
from mutations import mutation, seed_files
from spquant_snn.runtime.build import library

_SILENCE = 60  # seconds after which a case counts as a hang
_REPORT = 100  # cases between two reports to the parent


def work(pipe: Connection, seed: int, cases: range, sanitize: bool) -> None:
    """Judge cases in turn; send counts of outcomes, and the defect that ends it if there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it and closes the pipe
    warnings.simplefilter("error")
    built, files, outcomes = library(sanitizers.FLAGS if sanitize else None), seed_files(), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="spquant_snn-") as folder:
        path = Path(folder) / "mutated.spq"
        for case in cases:
            path.write_bytes(mutation(files, f"{seed}/{case}"))
            pipe.send(case)
            try:
                outcomes[judge(path, built)] += 1
            except Exception:
                pipe.send((outcomes, traceback.format_exc()))
                return
            if (case + 1) % _REPORT == 0 or case == cases[-1]:
                pipe.send((outcomes, ""))
                outcomes = Counter()


def follow(pipe: Connection, child: multiprocessing.Process, outcomes: Counter[str], cases: range) -> tuple[int, str]:
    """Read what the child says to its end; the case that it ended with, and the defect there, empty if none."""
    case, start = cases[0], time.monotonic()
    while True:
        if not pipe.poll(_SILENCE):
            return case, f"it hangs: nothing for {_SILENCE} s"
        try:
            said = pipe.recv()
        except EOFError:
            child.join()
            return case, f"the process ended with code {child.exitcode}" if child.exitcode else ""
        if isinstance(said, int):
            case = said
            continue
        outcomes += said[0]
        if said[1]:
            return case, said[1]
        if sys.stdout.isatty() or (case + 1) % (50 * _REPORT) == 0:
            rate = (case + 1 - cases[0]) / (time.monotonic() - start)
            print(f"{case + 1 - cases[0]:,} of {len(cases):,}, {rate:.0f} a second", flush=True)


def fuzz(seed: int, cases: range, sanitize: bool) -> int:
    """Run the cases and print what became of them; the exit code."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(theirs, seed, cases, sanitize), daemon=True)
    child.start()
    theirs.close()  # the child's end alone is open: when it dies, reading ends
    outcomes: Counter[str] = Counter()
    case, defect, stopped = cases[0], "", False
    try:
        case, defect = follow(ours, child, outcomes, cases)
    except KeyboardInterrupt:
        stopped = True
    finally:
        child.kill()
        child.join()
    for outcome, count in outcomes.most_common():
        print(f"{count:>9,}  {outcome}")
    print(f"{outcomes.total():,} mutations{', stopped' if stopped else ''}")
    if defect:
        again = f"python benchmarks/fuzz.py --seed {seed} --first {case} --mutations 1{' --sanitize' * sanitize}"
        print(f"{defect}\nmutation {case} of seed {seed} is a defect; again: {again}")
    return 1 if defect else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--sanitize", action="store_true", help="the runtime under ASan and UBSan, of gcc on Linux")
    args = parser.parse_args()
    if args.mutations < 1 or args.first < 0:
        parser.error("--mutations must be above zero and --first not below it")
    if args.sanitize and "LD_PRELOAD" not in os.environ:
        environment = sanitizers.environment()
        if environment is None:
            parser.error("the compiler has no AddressSanitizer runtime to load into Python")
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    return fuzz(args.seed, range(args.first, args.first + args.mutations), args.sanitize)


if __name__ == "__main__":
    sys.exit(main())
