"""Networks that are brought to the smallest parts: they fit, answer as the reference does, and keep their bounds."""

import pytest

from small_networks import SMALL, small_network
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import run_firmware
from spquant_snn.export.fit import Limits
from toolchains import needs

LARGER = {  # than 2 KB
    "accelerometer, dilated",
    "accelerometer, depthwise",
    "accelerometer, 8 bits",
    "vibration, 4 bits",
    "image, spikes counted",
    "the largest of a leaky readout",
}
M0PLUS = ("accelerometer, pools of 3 by 2", "keywords, linear", "numbers of a leaky readout")


@pytest.mark.device
@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "ch32v002" if name in LARGER else "ch32v003") for name in SMALL),
        *((n, "cortex-m0plus") for n in M0PLUS),
    ],
)
def test_what_is_brought_fits_and_answers_as_the_reference(tmp_path, name, part, record_property):
    graph, inputs = small_network(name)
    board = board_of(part)
    needs(board)
    export_c(graph, inputs[:2], tmp_path / "c", name, limits=Limits(board.ram, 16384, board))
    outcome = run_firmware(tmp_path / "c", board, inputs, layers=True)
    assert outcome.equal == len(inputs)
    assert outcome.ram <= board.ram
    assert outcome.most <= outcome.bound
    record_property("took", f"{outcome.flash:,} B, {outcome.ram:,} B, {outcome.instructions:,.0f}, {outcome.bound:,}")
