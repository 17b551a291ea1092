"""The reference against definitions written out as loops, one per function."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.errors import DataError
from spquant_snn.integer import reference
from spquant_snn.integer.graph import Connection, Graph, Layer, Readout
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.integer.pool import Pool


def random(seed):
    return np.random.default_rng(seed)


def neuron(channels, reach, bits=4, reset="zero"):
    gain, offset = np.full(channels, 0.1), np.linspace(-0.2, 0.4, channels)
    return fold_neuron(bits, gain, offset, 1.0, 0.5, reset, np.full(channels, reach, np.int64))[0]


def graph(seed=0, timesteps=3, **options):
    rng = random(seed)
    first = Connection("first", rng.integers(-1, 2, (4, 2, 3, 3)).astype(np.int8), 2, padding=(1, 0), **options)
    shape = first.output_shape((2, 6, 7))
    second = Connection("second", rng.integers(-8, 8, (5, int(np.prod(shape)))).astype(np.int8), 4)
    readout = Connection("readout", rng.integers(-2, 2, (3, 5)).astype(np.int8), 2)
    layers = (Layer(first, neuron(4, 50_000)), Layer(second, neuron(5, 4000, bits=8, reset="subtract")))
    return Graph((2, 6, 7), timesteps, layers, Readout(readout, 4, rng.integers(-9, 9, 3).astype(np.int32), 0.1))


@given(
    groups=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 99),
)
def test_convolution(groups, kernel, stride, padding, seed):
    rng = random(seed)
    codes = rng.integers(-128, 128, (2 * groups, 2, *kernel)).astype(np.int8)
    x = rng.integers(0, 256, (2, 2 * groups, 5, 6)).astype(np.int32)
    connection = Connection("conv", codes, 8, stride, padding, groups)
    found = reference.connect(connection, x, 255)
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)).astype(int)
    assert found.shape[1:] == connection.output_shape(x.shape[1:])
    for n, o, i, j in np.ndindex(found.shape):
        group = o // 2
        rows, columns = slice(i * stride[0], i * stride[0] + kernel[0]), slice(j * stride[1], j * stride[1] + kernel[1])
        window = padded[n, 2 * group : 2 * group + 2, rows, columns]
        assert found[n, o, i, j] == (window * codes[o]).sum()


@given(
    kind=st.sampled_from(["sum", "max"]), kernel=st.integers(1, 4), stride=st.integers(1, 4), seed=st.integers(0, 99)
)
def test_pooling(kind, kernel, stride, seed):
    x = random(seed).integers(-100, 100, (2, 3, 7, 9)).astype(np.int32)
    pool = Pool(kind, kernel, stride)
    found = reference.pool_windows(x, pool)
    assert found.shape[2:] == pool.size(7, 9)
    for n, c, i, j in np.ndindex(found.shape):
        window = x[n, c, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        assert found[n, c, i, j] == (window.sum() if kind == "sum" else window.max())


def test_a_full_connection_reads_the_image_channel_by_channel():
    rng = random(0)
    codes, x = rng.integers(-8, 8, (3, 24)).astype(np.int8), rng.integers(0, 2, (2, 2, 3, 4)).astype(np.int32)
    found = reference.connect(Connection("fc", codes, 4), x, 1)
    assert np.array_equal(found, x.reshape(2, 24) @ codes.T.astype(np.int32))


@pytest.mark.parametrize("largest", [1, 255, 1 << 20])
def test_products_are_exact_at_their_largest(largest):
    codes = np.full((500, 1), -128, np.int8)
    x = np.full((1, 500), largest, np.int32) // (1 if largest < 1 << 20 else 64)
    assert reference.exact_product(x, codes, largest).tolist() == [[int(x.sum(dtype=np.int64)) * -128]]


def test_logits_are_summed_over_time_with_their_bias():
    net = graph()
    readout = net.readout
    x = random(1).integers(0, 2, (3, 4, 5)).astype(np.int32)
    expected = sum((x[t] @ readout.connection.codes.T.astype(int) << 4) + readout.bias for t in range(3))
    assert np.array_equal(reference.read_out(readout, x), expected)
    assert reference.read_out(readout, x).dtype == np.int32


def test_a_still_image_is_a_sequence_of_the_same_frame():
    net, images = graph(), random(2).integers(0, 256, (5, 2, 6, 7)).astype(np.uint8)
    still, moving = [], []
    logits = reference.run(net, images, lambda *seen: still.append(seen))
    sequence = np.broadcast_to(images, (3, *images.shape))
    assert np.array_equal(reference.run(net, sequence, lambda *seen: moving.append(seen)), logits)
    for (name, spikes, codes), (other, other_spikes, other_codes) in zip(still, moving, strict=True):
        assert name == other
        assert np.array_equal(spikes, other_spikes)
        assert np.array_equal(codes, other_codes)
        assert 0.02 < spikes.mean() < 0.98


def test_images_do_not_see_one_another():
    net, images = graph(), random(3).integers(0, 256, (6, 2, 6, 7)).astype(np.uint8)
    apart = np.concatenate([reference.run(net, images[i : i + 1]) for i in range(6)])
    assert np.array_equal(reference.run(net, images), apart)
    assert len(np.unique(apart, axis=0)) > 1


def test_the_probe_is_told_every_layer_in_order():
    net, seen = graph(sum_pool=Pool("sum", 2, 2)), []
    images = np.zeros((2, 2, 6, 7), np.uint8)
    reference.run(net, images, lambda name, spikes, codes: seen.append((name, spikes.shape, codes.shape)))
    shapes = [(3, 2, *shape) for shape in net.shapes]
    assert seen == [("first", shapes[0], shapes[0]), ("second", shapes[1], shapes[1])]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 6, 7)), "must be uint8, 0 to 255, not float64"),
        (np.zeros((1, 1, 6, 7), np.uint8), r"takes images \[N, 2x6x7\] or sequences .* not \[1, 1, 6, 7\]"),
        (np.zeros((2, 6, 7), np.uint8), r"not \[2, 6, 7\]"),
        (np.zeros((0, 2, 6, 7), np.uint8), r"no images in an array of shape \[0, 2, 6, 7\]"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        reference.run(graph(), images)


def test_a_sequence_too_long_for_its_logits_is_refused():
    net = graph()
    bias = np.full(3, 1 << 29, np.int32)
    long = Graph(net.input_shape, 3, net.layers, Readout(net.readout.connection, 4, bias, 0.1))
    with pytest.raises(DataError, match=r"4 frames is too long.*give 3 at most"):
        reference.run(long, np.zeros((4, 1, 2, 6, 7), np.uint8))
