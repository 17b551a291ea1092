"""Damaged files for every reader: each is refused in a sentence, or read; an .spq file that loads runs natively as the
reference runs it.

    python -m benchmarks fuzz                                         # 20,000 mutations for each reader: hours
    python -m benchmarks fuzz --reader spq --mutations 100000         # one of them
    python -m benchmarks fuzz --reader spq --mutations 5000 --sanitize   # the runtime under ASan and UBSan
    python -m benchmarks fuzz --reader npz --first 1234 --mutations 1    # one mutation again

Every mutation of a seed is the same each time. A process of its own reads them, so that a crash or a hang is a finding
too; a finding ends the run of its reader with exit code 1 and the line that repeats it. Ctrl-C ends all with what was
found so far. The mutations and what must hold of them are in tests/shared, where the tests have them too.
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
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

import sanitizers
from file_verdict import verdict_of
from mutations import mutation, seed_files
from readers import READERS, outcome
from spquant_snn.runtime.library import library

SPQ = "spq"  # the reader of .spq files, whose networks are run too

_START = 600  # seconds until the first case, on a machine that has other things to do
_SILENCE = 60  # seconds after which a case counts as a hang
_REPORT = 100  # cases between two reports to the parent

Judge = Callable[[str], str]  # what becomes of a case; an exception is a defect


def judge_of(name: str, folder: Path, sanitize: bool) -> Judge:
    """What makes and judges the mutations of a reader, in a folder of its own."""
    if name != SPQ:
        reader = READERS[name]
        reader.make(folder)
        good = (folder / reader.file).read_bytes()
        return lambda case: outcome(reader, folder, good, case)
    built, files, path = library(sanitizers.FLAGS if sanitize else None), seed_files(), folder / "mutated.spq"

    def of_spq(case: str) -> str:
        path.write_bytes(mutation(files, case))
        return verdict_of(path, built)

    return of_spq


def work(pipe: Connection, name: str, seed: int, cases: range, sanitize: bool) -> None:
    """Judge cases in turn; send counts of outcomes, and the defect that ends it if there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it and closes the pipe
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="spquant_snn-") as folder:
        decide = judge_of(name, Path(folder), sanitize)
        for case in cases:
            pipe.send(case)
            try:
                outcomes[decide(f"{seed}/{case}")] += 1
            except Exception:
                pipe.send((outcomes, traceback.format_exc()))
                return
            if (case + 1) % _REPORT == 0 or case == cases[-1]:
                pipe.send((outcomes, ""))
                outcomes = Counter()


def follow(pipe: Connection, child: BaseProcess, outcomes: Counter[str], cases: range) -> tuple[int, str]:
    """Read what the child says to its end; the case that it ended with, and the defect there, empty if none."""
    case, start, patience = cases[0], time.monotonic(), _START
    while True:
        if not pipe.poll(patience):
            return case, f"it hangs: nothing for {patience} s"
        patience = _SILENCE
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


def fuzz(name: str, seed: int, cases: range, sanitize: bool) -> tuple[bool, bool]:
    """Run the cases of a reader and print what became of them; whether there was a defect, and whether to stop."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(theirs, name, seed, cases, sanitize), daemon=True)
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
    for each, count in outcomes.most_common():
        print(f"{count:>9,}  {each}")
    print(f"{name}: {outcomes.total():,} mutations{', stopped' if stopped else ''}", flush=True)
    if defect:
        again = f"--reader {name} --seed {seed} --first {case} --mutations 1{' --sanitize' * sanitize}"
        print(f"{defect}\nmutation {case} of seed {seed} is a defect; again: python -m benchmarks fuzz {again}")
    return bool(defect), stopped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", nargs="+", choices=(SPQ, *READERS), default=(SPQ, *READERS), help="all of them")
    parser.add_argument("--mutations", type=int, default=20_000, help="of each")
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
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", "fuzz", *sys.argv[1:]], environment)
    cases, found = range(args.first, args.first + args.mutations), False
    for name in args.reader:
        defect, stopped = fuzz(name, args.seed, cases, args.sanitize)
        found = found or defect
        if stopped:
            break
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
