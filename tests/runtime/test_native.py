"""The native runtime against the reference: every spike, every stored code, every logit; there is no tolerance."""

import ctypes
import dataclasses
import gc
import itertools
import threading

import numpy as np
import pytest

from random_graphs import RARE
from rows import Last, Part, row, square
from spquant_snn.errors import ConfigError, DataError, RunError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import ScaledStore, fold_neuron
from spquant_snn.runtime import native
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.library import library
from spquant_snn.runtime.native import NativeProgram
from spquant_snn.runtime.plan import ADD8, ADD16, DENSE, SLICED, Body, PoolPlan, Region
from spquant_snn.runtime.structs import CPlan

GUARD, MARK = 256, 0xA5


def agree(run, graph, images, *case):
    """Nothing differs, and nothing was written between the parts of the arena; ``case`` is named if not."""
    arena = run.images.borrowed()
    arena.block[:] = MARK
    run.images.give_back(arena)
    difference = first_difference(reference_trace(graph, images), run.trace(images))
    assert difference is None, f"{case}: {difference}"
    assert (arena.block[unused(run.plan)] == MARK).all(), case


def unused(plan):
    """A mask of the bytes that belong to no part of the arena."""
    scratch = [getattr(plan.scratch, field.name) for field in dataclasses.fields(plan.scratch)]
    regions = [plan.logits, *scratch[0], *scratch[1:]]
    regions += [region for layer in plan.layers for region in (layer.state, layer.spikes)]
    mask = np.ones(plan.arena_size, bool)
    for region in regions:
        mask[region.offset : region.offset + region.size] = False
    return mask


@pytest.mark.parametrize(
    "seeds",
    [
        range(130),
        range(RARE, 450),
        *(pytest.param(more, marks=pytest.mark.slow) for more in (range(130, RARE), range(450, 520))),
    ],
    ids=str,
)
def test_random_graphs_run_as_the_reference(program, random_graph, random_images, seeds):
    for seed in seeds:
        graph = random_graph(seed)
        images = random_images(graph, 3, seed)
        images[-1] = 255  # the largest sums of the first layer
        agree(program(graph, guard=GUARD), graph, images, "seed", seed)


def test_layers_of_any_width(program, wide, with_gates, random_images):
    for outputs, bits in itertools.product((1, 7, 8, 9, 13, 16, 17, 31, 33, 48, 49), (1.58, 4)):
        graph = wide((2, outputs, outputs, outputs), bits=bits, size=6)
        for each in (graph, with_gates(graph, outputs)):
            images = random_images(each, 3, outputs)
            images[-1] = 255
            agree(program(each, guard=GUARD), each, images, outputs, "outputs of", bits, "bits")


@pytest.mark.slow
def test_images_of_one_value(program, random_graph):
    for value, seed in itertools.product((0, 1, 255), range(40)):
        graph = random_graph(seed)
        images = np.full((2, *graph.input_shape), value, np.uint8)
        agree(program(graph, guard=GUARD), graph, images, "value", value, "seed", seed)


def test_any_number_of_steps(program, random_graph, random_images):
    for timesteps, seed in itertools.product((1, 2, 3, 5, 8, 17, 64), (3, 11, 29, 40)):
        graph = random_graph(seed)
        try:
            graph = dataclasses.replace(graph, timesteps=timesteps)
        except ValueError:
            continue  # its logits would leave 32 bits
        agree(program(graph, guard=GUARD), graph, random_images(graph, 3, seed), timesteps, "steps, seed", seed)


@pytest.mark.slow
def test_sequences_of_frames(program, random_graph, random_images):
    for steps, seed in itertools.product((1, 2, 7), range(40)):
        graph = random_graph(seed)
        frames = random_images(graph, steps * 3, seed).reshape(steps, 3, *graph.input_shape)
        agree(program(graph, guard=GUARD), graph, frames, steps, "frames, seed", seed)


def full(name, codes, bits, **options):
    return Connection(name, np.asarray(codes, np.int8), bits, **options)


def extreme(inputs, code, bits, state_bits=4, reset="zero"):
    """All inputs of the second layer and of the readout spike, and all their codes are the same."""
    always = full("always", np.ones((inputs, 1, 1, 1)), 2)
    ones, zeros = np.ones(inputs), np.zeros(inputs)
    first, _ = fold_neuron(2, ones, zeros, 1.0, 0.5, "zero", always.reach(255))
    first = dataclasses.replace(first, fire=np.full(inputs, -(1 << 30), np.int32))
    second = full("all", np.full((5, inputs), code), bits)
    reach = second.reach(1)
    gain = np.array([0.3, 0.4, 0.5, 0.7, 1.1]) / reach
    neuron, _ = fold_neuron(state_bits, gain, np.full(5, 0.1), 1.0, 0.5, reset, reach)
    last = Last(full("readout", np.full((3, 5), code), bits), 2, np.arange(3, dtype=np.int32), 1.0)
    return row((1, 1, 1), 4, (Part(always, first), Part(second, neuron)), last)


@pytest.mark.slow
def test_codes_that_are_all_the_largest_or_all_the_least(program):
    image = np.full((1, 1, 1, 1), 255, np.uint8)
    for inputs, (bits, grid) in itertools.product((1, 15, 127, 128, 255, 256, 2047), WEIGHT_GRIDS.items()):
        for code, state_bits, reset in ((grid.high, 4, "zero"), (grid.low, 2, "subtract"), (grid.low, 8, "zero")):
            graph = extreme(inputs, code, bits, state_bits, reset)
            agree(program(graph, guard=GUARD), graph, image, inputs, "inputs of", code, bits, "bits", state_bits, reset)


@pytest.mark.parametrize(("inputs", "form"), [(16383, ADD8), (16384, ADD16)])
def test_sums_at_the_ends_of_int16(program, inputs, form):
    graph = extreme(inputs, -2, 2)
    run = program(graph, guard=GUARD)
    assert run.plan.layers[1].connection.form == (SLICED if run.body == Body.AVX512_SLICED else form)
    agree(run, graph, np.full((1, 1, 1, 1), 255, np.uint8))


def test_a_scaled_neuron_of_few_bits(program, random_graph, random_images):
    for reset, seed in itertools.product(("zero", "subtract"), range(12)):
        graph = random_graph(seed, state_bits=8, reset=reset)
        first = graph.layers[0]
        assert isinstance(first.neuron.store, ScaledStore)
        few = dataclasses.replace(first, neuron=dataclasses.replace(first.neuron, bits=(2, 3, 4)[seed % 3]))
        graph = dataclasses.replace(graph, layers=(few, *graph.layers[1:]))
        agree(program(graph, guard=GUARD), graph, random_images(graph, 3, seed), reset, "seed", seed)


def test_layers_of_several_tiles(program, wide, random_images):
    for bits, pool in itertools.product((1.58, 4, 8), (None, square("sum", 2, 2), square("sum", 3, 1))):
        graph = wide(bits=bits, pool=pool, size=20 if pool else 9)
        agree(program(graph, guard=GUARD), graph, random_images(graph, 2), bits, "bits", pool)


def test_depthwise_and_grouped_convolutions_of_several_tiles(program, wide, random_images):
    for channels, groups in (((1, 35, 35, 70), 35), ((2, 66, 132, 66), 6)):
        graph = wide(channels, groups)
        agree(program(graph, guard=GUARD), graph, random_images(graph, 2), channels, groups)


def test_threads_share_a_batch(program, random_graph, random_images):
    for seed in (0, 4, 9):
        graph = random_graph(seed)
        run = program(graph)
        for count in (1, 2, 5, 13, 33):
            images = random_images(graph, count, seed)
            frames = random_images(graph, 2 * count, seed).reshape(2, count, *graph.input_shape)
            of_images, of_frames = reference.run(graph, images), reference.run(graph, frames)
            for threads in (1, 2, 3):
                case = f"seed {seed}, {count} images, {threads} threads"
                assert (run.logits(images, threads) == of_images).all(), case
                assert (run.predict(images, threads=threads) == of_images.argmax(1)).all(), case
                assert (run.logits(frames, threads) == of_frames).all(), case


def test_a_trace_is_taken_in_parts(program, random_graph, random_images, monkeypatch):
    monkeypatch.setattr(native, "_TRACED", 1)  # one image at a time
    for seed in (0, 4):
        graph = random_graph(seed)
        agree(program(graph, guard=GUARD), graph, random_images(graph, 5, seed), "seed", seed)


def test_many_threads_may_call_one_program(program, random_graph, random_images):
    graph = random_graph(2)
    run, images = program(graph), random_images(graph, 20)
    wanted, wrong = reference.run(graph, images), []

    def call(threads):
        for _ in range(10):
            if not (run.logits(images, threads) == wanted).all():
                wrong.append(threads)

    callers = [threading.Thread(target=call, args=(1 + i % 3,)) for i in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_arenas_are_kept_and_images_are_read_where_they_lie(program, random_graph, random_images):
    graph = random_graph(2)
    run, images = program(graph), random_images(graph, 8)
    run.logits(images)
    first = run.images.borrowed()
    run.images.give_back(first)
    run.logits(images)
    second = run.images.borrowed()
    assert first is second
    mirrored = np.ascontiguousarray(images[::-1])[::-1]  # not contiguous: copied, and just as good
    images.flags.writeable = False
    assert (run.logits(mirrored) == run.logits(images)).all()


def test_a_stream_gives_what_a_sequence_gives(program, random_graph, random_images):
    for seed in range(20):
        graph = random_graph(seed)
        frames = random_images(graph, 6, seed)
        run = program(graph)
        stream, other = run.stream(), run.stream()
        for t, frame in enumerate(frames):
            found = stream.push(frame)
            other.push(frames[-1])  # streams do not meet
            assert (found == reference.run(graph, frames[: t + 1, None])[0]).all()
        stream.reset()
        assert (stream.push(frames[0]) == reference.run(graph, frames[:1, None])[0]).all()


def test_a_stream_outlives_the_name_of_its_program(random_graph, random_images):
    graph = random_graph(1)
    stream = NativeProgram(graph).stream()
    gc.collect()
    frame = random_images(graph, 1)[0]
    assert (stream.push(frame) == reference.run(graph, frame[None, None])[0]).all()


def test_a_stream_ends_before_its_logits_overflow(program, random_graph, random_images):
    graph = random_graph(1)
    most = (1 << 31) // 3
    bias = np.full(graph.classes, most, np.int32)
    graph = dataclasses.replace(graph, timesteps=1, readouts=(dataclasses.replace(graph.readout, bias=bias),))
    run, frames = program(graph), random_images(graph, 3)
    stream = run.stream()
    assert graph.longest == 2
    for frame in frames[:2]:
        stream.push(frame)
    with pytest.raises(DataError, match="has taken 2 frames"):
        stream.push(frames[2])
    with pytest.raises(DataError, match="2 at most"):
        run.logits(frames[:, None])


def test_wrong_input_is_refused_in_words(program, random_graph, random_images):
    graph = random_graph(0)
    run, images = program(graph), random_images(graph, 2)
    with pytest.raises(DataError, match="uint8"):
        run.logits(images.astype(np.int32))
    with pytest.raises(DataError, match="takes images"):
        run.logits(images[..., :-1])
    with pytest.raises(DataError, match="takes one frame"):
        run.stream().push(images)
    with pytest.raises(DataError, match="takes one frame"):
        run.stream().push(images[0, :, 1:])
    with pytest.raises(DataError, match="uint8"):
        run.stream().push(images[0] > 0)
    for threads in (0, -1, 1.5, True, "2"):
        with pytest.raises(ConfigError, match="threads"):
            run.logits(images, threads)


def test_a_closed_program_says_so(program, random_graph, random_images):
    graph = random_graph(0)
    images = random_images(graph, 8)
    with program(graph) as run:
        run.logits(images, threads=2)
    run.close()
    for call in (run.logits, run.predict, run.trace, lambda images: run.stream()):
        with pytest.raises(RunError, match="closed"):
            call(images)


def test_c_refuses_a_smaller_arena(program, random_graph):
    run = program(random_graph(0))
    assert run.checked(run.plan.arena_size - 1) == 2
    assert run.checked(run.plan.arena_size) == 0


HUGE = ((1 << 31) - 1, 1 << 30, (1 << 16) + 1, 1 << 16)
SIZES = (
    "channels",
    "height",
    "width",
    "kernel_height",
    "window",
    "out_height",
    "out_width",
    "outputs",
    "tiles",
    "units",
)
ALONE_IT_FITS = ("kernel_width", "row", "pad_height", "pad_width", "slide_height", "slide_width", "step_height")


def with_first(plan, **fields):
    """The plan with other numbers in the connection of its first layer."""
    first = plan.layers[0]
    changed = dataclasses.replace(first, connection=dataclasses.replace(first.connection, **fields))
    return dataclasses.replace(plan, layers=(changed, *plan.layers[1:]))


def code_of(run, plan):
    return run.built.spq_check(ctypes.byref(CPlan(plan).c), plan.arena_size)


@pytest.mark.slow
def test_c_refuses_sizes_that_are_too_large_or_wrap_around(program, random_graph):
    """Several at a time: their products are often zero, or small, modulo 2^32 and 2^64."""
    for seed in range(12):
        run, rng = program(random_graph(seed)), np.random.default_rng(seed)
        for name in SIZES:
            assert code_of(run, with_first(run.plan, **{name: -1})) != 0, (seed, name)
        for _ in range(200):
            chosen = [rng.choice(SIZES), *rng.choice(SIZES + ALONE_IT_FITS, rng.integers(6), replace=False)]
            fields = {str(name): int(rng.choice(HUGE)) for name in chosen}
            assert code_of(run, with_first(run.plan, **fields)) != 0, (seed, fields)


@pytest.mark.parametrize("channels", [4, 1 << 10])
def test_c_refuses_an_input_before_a_pool_whose_bytes_wrap_around_to_none(program, random_graph, channels):
    run = program(random_graph(0))
    side = 1 << 30
    pool = PoolPlan(1, side, 1, 1, 1)
    plan = with_first(run.plan, source_height=side, source_width=side, channels=channels, pool_count=1, pools=(pool,),
                      height=1, width=1, kernel_height=1, kernel_width=1, out_height=1, out_width=1, form=ADD16,
                      pad_height=0, pad_width=0, codes16=np.zeros(1, np.int16))  # fmt: skip
    assert code_of(run, plan) != 0


def test_c_refuses_half_tiles_of_neurons_whose_vectors_are_whole_tiles(program, wide):
    run = program(wide((3, 13, 13), size=5))
    first = run.plan.layers[0]
    half = dataclasses.replace(first, connection=dataclasses.replace(first.connection, units=1, row=16))
    plan = dataclasses.replace(run.plan, layers=(half, *run.plan.layers[1:]))
    found = run.built.spq_check(ctypes.byref(CPlan(plan).c), plan.arena_size)
    assert found == (0 if run.body == Body.PORTABLE else 1)


@pytest.mark.parametrize("streams", [False, True])
def test_c_refuses_any_part_of_the_arena_that_is_too_small(program, random_graph, streams):
    for seed in range(12):
        run = program(random_graph(seed))
        plan = plan_network(run.graph, body=run.body, streams=streams)

        def code(plan, run=run):
            return run.built.spq_check(ctypes.byref(CPlan(plan).c), plan.arena_size)

        assert code(plan) == 0
        for field in dataclasses.fields(plan.scratch):
            region = getattr(plan.scratch, field.name)
            if isinstance(region, Region) and region.size:
                small = {field.name: dataclasses.replace(region, size=region.size - 4)}
                assert code(dataclasses.replace(plan, scratch=dataclasses.replace(plan.scratch, **small))) == 2
        assert code(dataclasses.replace(plan, logits=dataclasses.replace(plan.logits, offset=plan.arena_size))) == 2
        for name in ("state", "spikes"):
            first = plan.layers[0]
            region = getattr(first, name)
            small = dataclasses.replace(first, **{name: dataclasses.replace(region, size=0)})
            assert code(dataclasses.replace(plan, layers=(small, *plan.layers[1:]))) == 2


@pytest.mark.slow
def test_c_refuses_what_it_was_built_without(random_graph):
    plain = native._declared(library(("-O1", "-DSPQ_PORTABLE")))
    refused = set()
    for seed in range(40):
        graph = random_graph(seed)
        for body in (Body.AVX2, Body.AVX512_SLICED):
            plan = plan_network(graph, body=body)
            connections = [layer.connection for layer in plan.layers]
            faster = any(c.form in (DENSE, SLICED) or c.quads is not None for c in connections)
            found = plain.spq_check(ctypes.byref(CPlan(plan).c), plan.arena_size)
            assert found == (4 if faster else 0)
            refused.add(found)
    assert refused == {0, 4}
