"""The reference against definitions written out as loops, one per function, and against torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from rows import Last, Part, Shortcut, around, row, square
from spquant_snn.errors import DataError
from spquant_snn.integer import reference
from spquant_snn.integer.graph import Connection, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.integer.pool import Pool, Upsample

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
SEEDS = st.integers(0, 99)


def random(seed):
    return np.random.default_rng(seed)


def neuron(channels, reach, bits=4, reset="zero", gain=0.1, **options):
    offset = np.linspace(-0.2, 0.4, channels)
    return fold_neuron(
        bits, np.full(channels, gain), offset, 1.0, 0.5, reset, np.full(channels, reach, np.int64), **options
    )[0]


def network(seed=0, timesteps=3, **options):
    rng = random(seed)
    first = Connection("first", rng.integers(-1, 2, (4, 2, 3, 3)).astype(np.int8), 2, padding=around(1, 0), **options)
    shape = first.output_shape((2, 6, 7))
    second = Connection("second", rng.integers(-8, 8, (5, int(np.prod(shape)))).astype(np.int8), 4)
    last = Connection("readout", rng.integers(-2, 2, (3, 5)).astype(np.int8), 2)
    parts = [Part(first, neuron(4, 50_000)), Part(second, neuron(5, 4000, bits=8, reset="subtract"))]
    return row((2, 6, 7), timesteps, parts, Last(last, 4, rng.integers(-9, 9, 3).astype(np.int32), 0.1))


def as_torch(x):
    return torch.from_numpy(np.ascontiguousarray(x)).double()


def same(found, expected):
    """Whether integers are what torch computes, in double precision."""
    return np.array_equal(found, expected.numpy())


# What a term adds: any geometry, against torch.


@given(
    groups=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=PAIRS,
    dilation=PAIRS,
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    signed=st.booleans(),
    seed=SEEDS,
)
def test_a_convolution(groups, kernel, stride, dilation, padding, signed, seed):
    rng = random(seed)
    codes = rng.integers(-128, 128, (2 * groups, 2, *kernel)).astype(np.int8)
    x = rng.integers(-127 if signed else 0, 128, (2, 2 * groups, 7, 8)).astype(np.int32)
    connection = Connection("conv", codes, 8, stride, padding, groups, dilation)
    wide = F.pad(as_torch(x), (*padding[2:], *padding[:2]))
    assume(all((k - 1) * d < size for k, d, size in zip(kernel, dilation, wide.shape[2:], strict=True)))
    expected = F.conv2d(wide, as_torch(codes), None, stride, 0, dilation, groups)
    assert tuple(expected.shape[1:]) == connection.output_shape(x.shape[1:])
    assert same(reference.connect(connection, x, 127, signed), expected)


@given(
    groups=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    extra=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=PAIRS,
    seed=SEEDS,
)
def test_a_transposed_convolution_is_one_of_a_spread_input(groups, kernel, stride, padding, extra, dilation, seed):
    assume(all(e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)))
    field = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    assume(all(f >= p for f, p in zip(field, padding, strict=True)))
    rng = random(seed)
    weight = rng.integers(-8, 8, (3 * groups, 2, *kernel)).astype(np.int8)  # [I, O/groups, kh, kw]
    x = rng.integers(0, 2, (2, 3 * groups, 4, 5)).astype(np.int32)
    expected = F.conv_transpose2d(as_torch(x), as_torch(weight), None, stride, padding, extra, groups, dilation)
    assume(min(expected.shape) >= 1)
    turned = weight[..., ::-1, ::-1].reshape(groups, 3, 2, *kernel).swapaxes(1, 2).reshape(2 * groups, 3, *kernel)
    (down, right), (more, beyond) = (f - p for f, p in zip(field, padding, strict=True)), extra
    around_it = (down, down + more, right, right + beyond)
    connection = Connection("up", np.ascontiguousarray(turned), 4, (1, 1), around_it, groups, dilation, stride)
    assert connection.output_shape(x.shape[1:]) == tuple(expected.shape[1:])
    assert same(reference.connect(connection, x, 1), expected)


@given(kernel=st.integers(1, 4), stride=st.integers(1, 3), dilation=st.integers(1, 2), seed=SEEDS)
def test_signals_are_images_of_one_row(kernel, stride, dilation, seed):
    rng = random(seed)
    codes = rng.integers(-8, 8, (3, 2, 1, kernel)).astype(np.int8)
    x = rng.integers(0, 2, (2, 2, 9)).astype(np.int32)
    connection = Connection("conv", codes, 4, (1, stride), (0, 0, 1, 2), 1, (1, dilation))
    expected = F.conv1d(F.pad(as_torch(x), (1, 2)), as_torch(codes[:, :, 0]), None, stride, 0, dilation)
    assert same(reference.connect(connection, x, 1), expected[:, :, None])
    turned = np.ascontiguousarray(codes[..., ::-1].swapaxes(0, 1))  # [I, O, 1, k] as conv_transpose1d has it
    spread = Connection("up", codes, 4, (1, 1), (0, 0, kernel - 1, kernel - 1), spread=(1, stride))
    assert same(
        reference.connect(spread, x, 1),
        F.conv_transpose1d(as_torch(x), as_torch(turned[:, :, 0]), None, stride)[:, :, None],
    )


@given(kind=st.sampled_from(["sum", "max"]), kernel=PAIRS, stride=PAIRS, seed=SEEDS, ceil=st.booleans(), by=st.data())
def test_pools(kind, kernel, stride, seed, ceil, by):
    x = random(seed).integers(-100, 100, (2, 3, 7, 9)).astype(np.int32)
    padding = tuple(by.draw(st.integers(0, k // 2)) for k in kernel)
    dilation = by.draw(PAIRS) if kind == "max" else (1, 1)
    assume(all((k - 1) * d < size for k, d, size in zip(kernel, dilation, (7, 9), strict=True)))
    if kind == "max":
        expected = F.max_pool2d(as_torch(x), kernel, stride, padding, dilation, ceil)
    else:
        expected = F.avg_pool2d(as_torch(x), kernel, stride, padding, ceil, True, 1)
    sides = []
    for size, k, s, p, d, left in zip((7, 9), kernel, stride, padding, dilation, expected.shape[2:], strict=True):
        sides += [p, max(p, (left - 1) * s + (k - 1) * d + 1 - size - p)]  # ceil: as far as the last window reaches
    pool = Pool(kind, kernel, stride, tuple(sides), dilation)
    found = reference.resampled(pool, x)
    rows, columns = expected.shape[2:]
    assert pool.size(7, 9)[0] >= rows
    assert pool.size(7, 9)[1] >= columns
    assert same(found[:, :, :rows, :columns], expected)
    assert pool.misses(7, 9) == bool((reference.resampled(replace(pool, kind="sum"), np.ones_like(x)) == 0).any())


@given(factor=PAIRS, seed=SEEDS)
def test_upsampling(factor, seed):
    x = random(seed).integers(0, 2, (2, 3, 4, 5)).astype(np.int32)
    expected = F.interpolate(as_torch(x), scale_factor=[float(f) for f in factor], mode="nearest")
    assert same(reference.resampled(Upsample(factor), x), expected)


def test_a_full_connection_reads_the_image_channel_by_channel():
    rng = random(0)
    codes, x = rng.integers(-8, 8, (3, 24)).astype(np.int8), rng.integers(0, 2, (2, 2, 3, 4)).astype(np.int32)
    found = reference.connect(Connection("fc", codes, 4), x, 1)
    assert np.array_equal(found, x.reshape(2, 24) @ codes.T.astype(np.int32))


def test_a_pool_over_sums_and_pools_before_the_weights():
    rng = random(1)
    codes, x = rng.integers(-8, 8, (3, 2, 3, 3)).astype(np.int8), rng.integers(0, 2, (2, 2, 12, 11)).astype(np.int32)
    for pool, pooled in (
        (square("sum", 2, 2), lambda y: 4 * F.avg_pool2d(y, 2)),
        (square("max", 2, 1), lambda y: F.max_pool2d(y, 2, 1)),
    ):
        connection = Connection("c", codes, 4, pools=(square("max", 2, 2), Upsample((2, 2))), sum_pool=pool)
        inner = F.interpolate(F.max_pool2d(as_torch(x), 2), scale_factor=2)
        assert same(reference.connect(connection, x, 1), pooled(F.conv2d(inner, as_torch(codes))))


def test_a_negative_multiplier_behind_a_largest_value_makes_a_smallest():
    rng = random(2)
    codes, x = rng.integers(-8, 8, (4, 2, 3, 3)).astype(np.int8), rng.integers(0, 2, (2, 2, 8, 8)).astype(np.int32)
    factor = np.array([3, -3, -1, 1], np.int32)
    signs = np.sign(factor)[:, None, None, None]
    term = Term(Connection("c", (codes * signs).astype(np.int8), 8, sum_pool=square("max", 2, 2)), 0, 0, factor)
    sums = F.conv2d(as_torch(x), as_torch(codes))
    largest, smallest = F.max_pool2d(sums, 2), -F.max_pool2d(-sums, 2)
    expected = torch.stack([3 * largest[:, 0], 3 * smallest[:, 1], smallest[:, 2], largest[:, 3]], 1)
    assert same(reference.weighed(term, x, 1), expected)


@given(shift=st.integers(0, 31), seed=SEEDS)
def test_a_multiplier_weighs_each_channel_and_a_shift_rounds_down(shift, seed):
    rng = random(seed)
    codes, x = rng.integers(-128, 128, (5, 6)).astype(np.int8), rng.integers(0, 2, (3, 6)).astype(np.int32)
    factor = rng.integers(-(1 << 20), 1 << 20, 5).astype(np.int32)
    term = Term(Connection("c", codes, 8), 0, 0, factor, shift)
    sums = x.astype(object) @ codes.T.astype(object) * factor.astype(object)
    expected = np.array([[int(s) // 2**shift for s in line] for line in sums])
    found = reference.weighed(term, x, 1)
    assert np.array_equal(found, expected)
    assert (np.abs(found).max(0) <= term.reach(1)).all()


@pytest.mark.parametrize("largest", [1, 255, 1 << 20])
def test_products_are_exact_at_their_largest(largest):
    codes = np.full((500, 1), -128, np.int8)
    x = np.full((1, 500), largest, np.int32) // (1 if largest < 1 << 20 else 64)
    reach = 128 * int(x.sum(dtype=np.int64))
    assert reference.exact_product(x, codes, reach).tolist() == [[int(x.sum(dtype=np.int64)) * -128]]


# Time: what is delayed, what is read out, what does not change.


def by_hand(graph, frames):
    """Spikes of every layer and answers of the readouts, an image and a step at a time, terms from one list of all that
    ever was."""
    past, answers = [], []
    silent = [np.zeros((1, *shape), np.int32) for shape in graph.sources]
    codes = [
        np.zeros((1, *x.neuron.stored_shape(s)), np.int32) for x, s in zip(graph.layers, graph.shapes, strict=True)
    ]
    for frame in frames:
        now = [frame[None].astype(np.int32)]
        past.append(now)

        def summed(terms):
            t = len(past) - 1
            total = 0
            for term in terms:
                source = past[t - term.delay][term.source] if t >= term.delay else silent[term.source]
                total = total + reference.weighed(term, source, *graph.largest(term.source))
            return total

        for i, layer in enumerate(graph.layers):
            spikes, codes[i] = reference.step(layer.neuron, summed(layer.terms), codes[i])
            now.append(spikes.astype(np.int32))
        answers.append([summed(readout.terms) for readout in graph.readouts])
    return [np.stack([now[1 + i] for now in past]) for i in range(len(graph.layers))], answers


def looped(seed, reset="zero", **options):
    """A recurrent layer, feedback from a later one, the pixels of the step before, and two readouts."""
    rng = random(seed)

    def conv(name, outputs, inputs, kernel=3):
        codes = rng.integers(-1, 2, (outputs, inputs, kernel, kernel)).astype(np.int8)
        return Connection(name, codes, 2, padding=around(kernel // 2, kernel // 2))

    first, again, back, before = conv("first", 4, 2), conv("again", 4, 4, 1), conv("back", 4, 3), conv("before", 4, 2)
    second = conv("second", 3, 4)
    a = Layer(
        "a",
        (Term(first, 0), Term(again, 1, 1), Term(back, 2, 1), Term(before, 0, 1)),
        neuron(4, 20_000, reset=reset, **options),
    )
    b = Layer(
        "b",
        (Term(second, 1), Term(second, 1, 1, np.array([2, -1, 3], np.int32), 1)),
        neuron(3, 200, 2, reset, gain=0.4),
    )
    said = Readout(
        "said",
        (Term(conv("map", 2, 3), 2), Term(conv("late", 2, 4), 1, 1)),
        0,
        np.zeros(2, np.int32),
        1.0,
        over_time="all",
    )
    return Graph((Input((2, 5, 5)),), 4, (a, b), (said,))


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("options", [{}, {"synaptic_leak": 0.7}], ids=["", "current"])
def test_delays_are_of_one_step(reset, options):
    for seed in range(5):
        graph, frames = looped(seed, reset, **options), random(seed).integers(0, 256, (6, 2, 5, 5)).astype(np.uint8)
        spikes, sums = by_hand(graph, frames)
        seen = []
        (found,) = reference.answers(graph, frames[:, None], probe=lambda *layer, seen=seen: seen.append(layer))
        for expected, (_, fired, _) in zip(spikes, seen, strict=True):
            assert np.array_equal(fired, expected)
            assert 0.02 < fired.mean() < 0.98
        assert np.array_equal(found, np.cumsum([step[0] for step in sums], 0))


def test_a_delay_matters():
    graph, frames = looped(0), random(0).integers(0, 256, (6, 1, 2, 5, 5)).astype(np.uint8)
    first = graph.layers[0]
    for i, term in enumerate(first.terms):
        if term.source == 0:
            other = replace(first, terms=(*first.terms[:i], replace(term, delay=1 - term.delay), *first.terms[i + 1 :]))
            changed = replace(graph, layers=(other, *graph.layers[1:]))
            assert not np.array_equal(reference.run(graph, frames), reference.run(changed, frames))


def test_logits_are_summed_over_time_with_their_bias():
    net, seen = network(), []
    images = random(5).integers(0, 256, (4, 2, 6, 7)).astype(np.uint8)
    found = reference.run(net, images, lambda *layer: seen.append(layer))
    readout, spikes = net.readout, seen[-1][1].astype(int)
    codes = readout.terms[0].connection.codes.T.astype(int)
    assert np.array_equal(found, sum((spikes[t] @ codes << 4) + readout.bias for t in range(3)))
    assert found.dtype == np.int32


@pytest.mark.parametrize("over_time", ["last", "largest", "sum", "all"])
@pytest.mark.parametrize(("leak", "shift"), [(None, 0), ([4, 0, 7], 3), ([65536, 32768, 1], 16), ([1, 0, 1], 0)])
def test_what_happens_over_time(over_time, leak, shift):
    net, seen = network(4), []
    leak = None if leak is None else np.array(leak, np.int32)
    net = replace(net, readouts=(replace(net.readout, leak=leak, leak_shift=shift, over_time=over_time),))
    frames = random(6).integers(0, 256, (7, 4, 2, 6, 7)).astype(np.uint8)
    found = reference.run(net, frames, lambda *layer: seen.append(layer))
    readout, kept, said = net.readout, np.zeros((4, 3), int), []
    for spikes in seen[-1][1].astype(int):
        z = (spikes @ readout.terms[0].connection.codes.T.astype(int) << 4) + readout.bias
        kept = z + (
            kept if leak is None else np.floor(kept * leak / 2**shift + 0.5).astype(int) if shift else kept * leak
        )
        said.append(kept)
    expected = {"last": kept, "largest": np.max(said, 0), "sum": np.sum(said, 0), "all": np.stack(said)}[over_time]
    assert np.array_equal(found, expected)
    assert len(np.unique(np.stack(said))) > 5


def test_each_readout_answers_from_terms_of_its_own():
    net = looped(1)
    counted = Connection("count", np.ones((4, 1, 1, 1), np.int8), 2, groups=4)
    both = replace(net, readouts=(*net.readouts, Readout("count", (Term(counted, 1),), 0, np.zeros(4, np.int32), 1.0)))
    images, seen = random(2).integers(0, 256, (3, 2, 5, 5)).astype(np.uint8), []
    first, second = reference.answers(both, images, probe=lambda *layer: seen.append(layer))
    assert np.array_equal(first, reference.run(net, images))
    assert np.array_equal(second, seen[0][1].sum(0))


def test_a_still_image_is_a_sequence_of_the_same_frame():
    for net in (network(), looped(3)):
        images = random(2).integers(0, 256, (5, *net.input_shape)).astype(np.uint8)
        still, moving = [], []
        logits = reference.run(net, images, lambda *seen, still=still: still.append(seen))
        sequence = np.broadcast_to(images, (net.timesteps, *images.shape))
        assert np.array_equal(reference.run(net, sequence, lambda *seen, moving=moving: moving.append(seen)), logits)
        for (name, spikes, codes), (other, other_spikes, other_codes) in zip(still, moving, strict=True):
            assert name == other
            assert np.array_equal(spikes, other_spikes)
            assert np.array_equal(codes, other_codes)
            assert 0.02 < spikes.mean() < 0.98


def test_images_do_not_see_one_another():
    net, images = network(), random(3).integers(0, 256, (6, 2, 6, 7)).astype(np.uint8)
    apart = np.concatenate([reference.run(net, images[i : i + 1]) for i in range(6)])
    assert np.array_equal(reference.run(net, images), apart)
    assert len(np.unique(apart, axis=0)) > 1


def test_the_probe_is_told_every_layer_in_order():
    net, seen = network(sum_pool=square("sum", 2, 2)), []
    images = np.zeros((2, 2, 6, 7), np.uint8)
    reference.run(net, images, lambda name, spikes, codes: seen.append((name, spikes.shape, codes.shape)))
    shapes = [(3, 2, *shape) for shape in net.shapes]
    assert seen == [("first", shapes[0], shapes[0]), ("second", shapes[1], shapes[1])]


# Shortcuts: a second term of an earlier layer.


def test_an_identity_adds_its_codes_where_there_are_spikes():
    rng = random(0)
    codes = rng.integers(-128, 128, (5, 1, 1, 1)).astype(np.int8)
    shortcut = Shortcut(0, Connection("s", codes, 8, groups=5), shift=3)
    assert shortcut.connection.identity
    last, parts = Connection("last", np.ones((1, 60), np.int8), 2), []
    same_size = Connection("c", rng.integers(-2, 2, (5, 5, 1, 1)).astype(np.int8), 2)
    parts = [Part(same_size, neuron(5, 9000)), Part(same_size, neuron(5, 9000), None, shortcut)]
    net = row((5, 3, 4), 1, parts, Last(last, 0, np.zeros(1, np.int32), 1.0))
    main, beside = net.layers[1].terms
    spikes = rng.integers(0, 2, (2, 5, 3, 4)).astype(np.int32)
    found = reference.weighed(beside, spikes, 1)
    assert np.array_equal(found, spikes * codes.reshape(5, 1, 1).astype(np.int32) * 8)
    assert main.plain
    assert beside.left_shift == 3


# Several inputs, with and without signs.


def two_inputs():
    rng = random(7)
    pixels = Connection("pixels", rng.integers(-2, 2, (3, 2, 3, 3)).astype(np.int8), 2)
    sound = Connection("sound", rng.integers(-2, 2, (3, 1, 1, 1)).astype(np.int8), 2)
    both = Layer("both", (Term(pixels, 0), Term(sound, 1)), neuron(3, 9000))
    last = Connection("last", rng.integers(-2, 2, (2, 48)).astype(np.int8), 2)
    readout = Readout("last", (Term(last, 2),), 0, np.zeros(2, np.int32), 1.0)
    return Graph((Input((2, 6, 6)), Input((1, 4, 4), signed=True, scale=0.5)), 3, (both,), (readout,))


def test_terms_take_inputs_of_their_own():
    net, rng, seen = two_inputs(), random(8), []
    images = rng.integers(0, 256, (2, 2, 6, 6)).astype(np.uint8)
    signs = rng.integers(-127, 128, (5, 2, 1, 4, 4)).astype(np.int8)
    reference.answers(net, images, signs, probe=lambda *layer: seen.append(layer))
    first, second = (term.connection.codes for term in net.layers[0].terms)
    codes = np.zeros((2, 3, 4, 4), np.int32)
    for t in range(5):
        sums = F.conv2d(as_torch(images), as_torch(first)) + F.conv2d(as_torch(signs[t]), as_torch(second))
        spikes, codes = reference.step(net.layers[0].neuron, sums.numpy().astype(np.int32), codes)
        assert np.array_equal(seen[0][1][t], spikes)
    assert 0.05 < seen[0][1].mean() < 0.95


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([(2, 2, 6, 6)], "takes 2 inputs, not 1: give an array for each"),
        ([(2, 2, 6, 6), (3, 1, 4, 4)], r"one number and length, not \[2, 2, 6, 6\], \[3, 1, 4, 4\]"),
        ([(5, 2, 2, 6, 6), (4, 2, 1, 4, 4)], "one number and length"),
        ([(2, 2, 6, 6), (2, 1, 4, 5)], r"input 1 takes int8 images \[N, 1x4x4\] .* not int8 \[2, 1, 4, 5\]"),
        ([(0, 2, 6, 6), (0, 1, 4, 4)], r"input 0 takes uint8 images \[N, 2x6x6\]"),
    ],
)
def test_other_inputs_are_refused(given, message):
    arrays = [np.zeros(shape, dtype) for shape, dtype in zip(given, (np.uint8, np.int8), strict=False)]
    with pytest.raises(DataError, match=message):
        reference.answers(two_inputs(), *arrays)


def test_the_lowest_of_int8_is_no_value_of_a_signed_input():
    signs = np.full((1, 1, 4, 4), -127, np.int8)
    images = np.zeros((1, 2, 6, 6), np.uint8)
    reference.answers(two_inputs(), images, signs)
    signs[0, 0, 2, 2] = -128
    with pytest.raises(DataError, match="input 1 must lie in -127 to 127, and there is a -128"):
        reference.answers(two_inputs(), images, signs)
    with pytest.raises(DataError, match=r"input 1 takes int8 .* not uint8"):
        reference.answers(two_inputs(), images, signs.view(np.uint8))


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
        reference.run(network(), images)


def test_a_sequence_too_long_for_its_logits_is_refused():
    net = network()
    bias = np.full(3, 1 << 29, np.int32)
    long = replace(net, readouts=(replace(net.readout, bias=bias),))
    with pytest.raises(DataError, match=r"4 frames is too long.*give 3 at most"):
        reference.run(long, np.zeros((4, 1, 2, 6, 7), np.uint8))
