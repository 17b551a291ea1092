"""Parts of work on several threads: their results in order, and no thread more than torch has."""

import threading
import time
from functools import partial

import pytest
import torch

from spquant_snn.nn.threads import on_threads


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 5], indirect=True)
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order_from_no_more_threads_than_there_are(threads, count):
    lock, at_work, most = threading.Lock(), 0, 0

    def part(i):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.002)
        with lock:
            at_work -= 1
        return i * i

    assert on_threads([partial(part, i) for i in range(count)]) == [i * i for i in range(count)]
    assert most <= threads


@pytest.mark.parametrize("threads", [2], indirect=True)
@pytest.mark.parametrize("failing", [0, 1])
def test_a_part_that_fails_is_told_when_all_have_ended(threads, failing):
    ended = []

    def part(i):
        if i == failing:
            raise MemoryError
        time.sleep(0.05)
        ended.append(i)

    with pytest.raises(MemoryError):
        on_threads([partial(part, i) for i in range(2)])
    assert ended == [1 - failing]
