"""The general form against the reference: every spike, every stored code, every answer of every readout."""

import copy
import ctypes
import dataclasses
import pickle
from functools import cache

import numpy as np
import pytest

from general_graphs import general_graph, general_inputs
from spquant_snn.errors import DataError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.connection import image
from spquant_snn.integer.program import Program
from spquant_snn.integer.stepper import ReferenceStepper
from spquant_snn.runtime.forms import forms
from spquant_snn.runtime.plan import Body, Region
from spquant_snn.runtime.structs import CPlan

GUARD, MARK = 256, 0xA5


def regions_of(plan):
    """The parts of an arena."""
    found = [plan.logits, *_regions(plan.scratch)]
    for layer in plan.layers:
        found += [layer.state, layer.spikes, *(() if layer.terms is None else _regions(layer.terms))]
    if plan.general is not None:
        found += [*_regions(plan.general), *(past.region for past in plan.general.pasts)]
        found += [readout.integrator for readout in plan.general.readouts]
        found += [region for readout in plan.general.readouts for region in _regions(readout.terms)]
    return found


def _regions(plan):
    values = [getattr(plan, field.name) for field in dataclasses.fields(plan)]
    flat = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return [part for part in flat if type(part).__name__ == "Region"]


def agree(run, graph, given, *case, expected=None):
    """Nothing differs, and nothing was written between the parts of the arena; ``case`` is named if not."""
    plan = run.images if all(x.ndim == 4 for x in given) else run.frames()
    arena = plan.borrowed()
    arena.block[:] = MARK
    plan.give_back(arena)
    expected = reference_trace(graph, *given) if expected is None else expected
    difference = first_difference(expected, run.trace(*given))
    assert difference is None, f"{case}: {difference}"
    for i, (wanted, said) in enumerate(zip(expected.answers, run.answers(*given), strict=True)):
        steps = graph.readouts[i].over_time == "all"
        assert np.array_equal(wanted, said.swapaxes(0, 1) if steps else said), (*case, "readout", i)
    mask = np.ones(plan.plan.arena_size, bool)
    for region in regions_of(plan.plan):
        mask[region.offset : region.offset + region.size] = False
    assert (arena.block[mask] == MARK).all(), case


@cache  # for all builds
def known(seed):
    graph = general_graph(seed)
    given = general_inputs(graph, 3, seed)
    return graph, given, reference_trace(graph, *given)


@pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 300), marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_general_graphs_run_as_the_reference(program, seeds):
    for seed in seeds:
        graph, given, expected = known(seed)
        agree(program(graph, guard=GUARD), graph, given, "seed", seed, expected=expected)


def without_neighbours(graph):
    """The graph with the largest distances wherever there is nothing at that distance; and how many there are."""
    far, count = 2**31 - 1, 0

    def of_term(term, shape):
        nonlocal count
        c = term.connection
        if not c.convolves:
            return term
        kernel, places, size = c.codes.shape[2:], c.places(c.pooled_shape(shape)), image(c.pooled_shape(shape))[1:]
        held = {
            "dilation": tuple(far if one == 1 else d for one, d in zip(kernel, c.dilation, strict=True)),
            "stride": tuple(far if one == 1 else s for one, s in zip(places[-2:], c.stride, strict=True)),
            "spread": tuple(far if one == 1 else s for one, s in zip(size, c.spread, strict=True)),
        }
        count += sum(far in value for value in held.values())
        return dataclasses.replace(term, connection=dataclasses.replace(c, **held))

    layers = [
        layer
        if layer.gate is not None  # which takes no dilation
        else dataclasses.replace(layer, terms=tuple(of_term(t, graph.sources[t.source]) for t in layer.terms))
        for layer in graph.layers
    ]
    return dataclasses.replace(graph, layers=tuple(layers)), count


def test_a_distance_to_nothing_is_never_counted_up_to(program):
    """The largest dilation of a kernel of one place, stride to one output, spread of one input."""
    met = 0
    for seed in range(80):
        graph = general_graph(seed)
        far, count = without_neighbours(graph)
        met += count
        if count:
            given = general_inputs(graph, 2, seed)
            agree(program(far, guard=GUARD), far, given, "seed", seed)
            for a, b in zip(reference.answers(graph, *given), reference.answers(far, *given), strict=True):
                assert np.array_equal(a, b), seed
    assert met > 40


def test_sequences_run_as_the_reference(program):
    for seed in range(40):
        graph, steps = general_graph(seed), 1 + seed % 4
        if steps > graph.longest:
            continue
        given = general_inputs(graph, 2, seed, steps)
        agree(program(graph, guard=GUARD), graph, given, "seed", seed, "of", steps, "frames")


def test_packed_codes_run_as_the_reference(program):
    for seed in range(40):
        graph = general_graph(seed)
        run = program(graph, guard=GUARD, body=Body.PACKED)
        agree(run, graph, general_inputs(graph, 2, seed), "seed", seed)


def test_rows_run_alike_in_the_general_form(program, random_graph, random_images, with_gates):
    for seed in range(40):
        graph = random_graph(seed) if seed % 2 else with_gates(random_graph(seed), seed)
        run, images = program(graph, general=True), random_images(graph, 2, seed)
        assert all(layer.terms is not None for layer in run.plan.layers)
        assert first_difference(reference_trace(graph, images), run.trace(images)) is None, seed


def test_several_threads_and_copies_say_the_same(program):
    graph = general_graph(3)
    given = general_inputs(graph, 9, 3)
    run = program(graph)
    expected = run.answers(*given)
    for other in (run, copy.copy(run), pickle.loads(pickle.dumps(run))):
        found = other.answers(*given, threads=3)
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_stepper_goes_on_from_where_a_copy_of_it_was(program):
    seeds = [s for s in range(60) if len(general_graph(s).inputs) == 1 and not general_graph(s).inputs[0].signed]
    for seed in seeds[:20]:
        graph = general_graph(seed)
        frames = general_inputs(graph, 1, seed, min(4, graph.longest))[0][:, 0]
        expected, stepper = ReferenceStepper(graph), program(graph).stepper()
        for t, frame in enumerate(frames):
            if t == 2:
                stepper = pickle.loads(pickle.dumps(stepper))
            assert np.array_equal(expected.step(frame), stepper.step(frame)), (seed, t)


def without_a_region(plan):
    """The plan again and again, each time without one of the parts of its arena."""
    if isinstance(plan, Region):
        if plan.size:
            yield dataclasses.replace(plan, size=0)
        return
    if isinstance(plan, tuple):
        for i, part in enumerate(plan):
            yield from ((*plan[:i], other, *plan[i + 1 :]) for other in without_a_region(part))
        return
    for field in dataclasses.fields(plan) if dataclasses.is_dataclass(plan) else ():
        if field.name not in ("pools", "slices", "packed", "past"):  # without a past a term takes what is there now
            for other in without_a_region(getattr(plan, field.name)):
                yield dataclasses.replace(plan, **{field.name: other})


@pytest.mark.slow
def test_c_refuses_a_network_without_any_part_of_its_arena(program):
    refused = 0
    for seed in range(20):
        run = program(general_graph(seed))
        plan = run.frames().plan
        for less in without_a_region(plan):
            found = run.built.spq_check(ctypes.byref(CPlan(less).c), less.arena_size)
            assert found != 0, seed
            refused += 1
    assert refused > 200


def test_c_refuses_a_term_of_what_is_not_there_yet(program):
    run = program(general_graph(0), general=True)
    plan = run.frames().plan
    layer = plan.layers[0]
    later = dataclasses.replace(layer.terms.terms[0], source=len(run.graph.sources) - 1, past=Region(0, 0))
    terms = dataclasses.replace(layer.terms, terms=(later, *layer.terms.terms[1:]))
    wrong = dataclasses.replace(plan, layers=(dataclasses.replace(layer, terms=terms), *plan.layers[1:]))
    assert run.built.spq_check(ctypes.byref(CPlan(wrong).c), wrong.arena_size) != 0


def test_inputs_that_do_not_fit_are_refused(program):
    graph = next(graph for graph in map(general_graph, range(100)) if len(graph.inputs) == 2)
    with pytest.raises(DataError, match="takes 2 inputs, not 1"):
        Program(graph, program(graph)).answers(general_inputs(graph, 2)[0])
    with pytest.raises(DataError, match="takes 2 inputs, not 1"):
        program(graph).trace(general_inputs(graph, 2)[0])


def test_forms_are_named_with_the_reason(random_graph):
    assert {form.form for form in forms(random_graph(1))} == {"row"}
    found = [form for seed in range(100) for form in forms(general_graph(seed))]
    assert all(bool(form.reason) == (form.form == "general") for form in found)
    reasons = {form.reason for form in found}
    for part in ("in the step before", "synaptic currents", "dilated or transposed", "weighed", "its input has signs"):
        assert any(part in reason for reason in reasons), part
    assert str(found[0]).startswith("layer0: ")
