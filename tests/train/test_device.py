"""Memory: the most that a stretch of work takes, and what freed blocks become."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from spquant_snn.train.device import PeakMemory, per_image

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not tell")
MIB = 2**20


@pytest.mark.parametrize("freed", [0, 24], ids=["fresh", "after work that was freed"])
def test_what_work_takes_is_counted_also_where_memory_lies_free(freed):
    parts = [torch.ones(MIB // 64) for _ in range(16 * freed)]  # blocks of 64 KiB
    last = torch.ones(MIB // 64)  # behind them, so that they stay with the process
    del parts
    memory = PeakMemory(torch.device("cpu"))
    held = [torch.ones(MIB // 64) for _ in range(16 * 24)]
    peak = memory.bytes()
    assert peak is not None
    assert 20 * MIB < peak < 60 * MIB
    del held, last


def test_it_is_told_in_all_and_an_image():
    assert per_image(64 * MIB, 32) == "memory: 64 MiB at most beside weights and data, 2.00 MiB an image"


FREED = """
import sys
from pathlib import Path
import torch
from spquant_snn.train.device import freed_memory_kept

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

torch.ones(1)
before = resident()
with freed_memory_kept(sys.argv[1] == "True"):
    for _ in range(2):
        torch.ones(1 << 24)  # 64 MiB
    within = resident() - before
print(within, resident() - before)
"""


@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_is_kept_within_and_given_back_afterwards(keep):
    # In a process of its own, for where others have left holes in the heap, blocks are taken from there.
    ended = subprocess.run([sys.executable, "-c", FREED, str(keep)], capture_output=True, text=True, check=True)
    within, after = map(int, ended.stdout.split())
    assert (within > 48 * MIB) is keep
    assert after < 16 * MIB
