"""How lists of events fill: what is run has as many events as can be, and no spikes empty more lists than is said."""

import numpy as np
import pytest

from compact_graphs import compact_graph
from spquant_snn.export.compact.compact_plan import plan_compact
from spquant_snn.export.compact.event_lists import Spiking, Stretch, filled, filled_at_most, seen_columns, stretches
from spquant_snn.export.compact.planned_rows import CompactForm


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("channels", [1, 15, 16, 40])
def test_as_many_events_are_run_as_can_be(steps, channels):
    patterns = set(range(1 << steps))
    for firing in (0, 1, 3, channels):
        spiking = Spiking.of(channels, steps, patterns, firing)
        fired = np.unpackbits(spiking.pixel.astype(">u2").view(np.uint8).reshape(-1, steps, 2), axis=-1)
        assert np.count_nonzero(fired.any(1)) == min(firing, channels) == spiking.firing
        assert spiking.listed.sum() == spiking.firing * max(1, steps - 1)
        assert len(spiking.lists) == (steps + 1 if steps > 1 else 1)
        assert ((spiking.listed > 0) == (spiking.passed > 0)).all()
        assert (spiking.listed <= spiking.passed).all()


def test_neurons_that_never_spike_make_no_events():
    spiking = Spiking.of(9, 2, {0}, 9)
    assert not spiking.pixel.any()
    assert spiking.lists == ()


@pytest.mark.parametrize("shares", [True, False])
def test_no_spikes_empty_more_lists_than_is_said(shares):
    rng = np.random.default_rng(0)
    for _ in range(300):
        units, lists, pool = (int(n) for n in rng.integers(1, 4, 3))
        room = int(rng.integers(max(32, 16 * pool), 70))
        stretch = Stretch(tuple(map(int, rng.integers(1, pool + 1, rng.integers(1, 12)))) if shares else (1,) * 9)
        listed = rng.integers(0, 17, (units, lists)) * (rng.random((units, lists)) < 0.8)
        found = filled(stretch, listed, room, shares)
        most = filled_at_most(stretch, int(listed.sum()), lists, room, shares)
        assert found.emptied <= most.emptied
        assert found.again <= most.again
        assert found.idle <= most.idle


@pytest.mark.parametrize("seed", [3, 5, 9])
def test_every_pixel_that_a_window_sees_is_listed(seed):
    for layer in plan_compact(compact_graph(seed), CompactForm(folded=False)).layers[1:]:
        f, found = layer.fields, stretches(layer)
        rows = sum(count * len(stretch.places) for stretch, count in found.items())
        if f["linear"]:
            assert rows == f["in_height"] * f["in_width"]
        elif layer.shares:
            columns, seen, parts = seen_columns(f)
            assert columns <= f["in_width"]
            assert columns <= seen <= f["out_width"] * f["columns"]
            assert parts <= seen * f["pool_columns"]
            assert rows <= f["out_height"] * f["rows"]
        else:
            window = f["kernel_rows"] * f["kernel_columns"] * f["pool_rows"] * f["pool_columns"]
            assert 0 < rows <= f["out_height"] * f["out_width"] * window
