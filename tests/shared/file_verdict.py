"""What must become of any file that claims to be a .spq file: one sentence of refusal, or a network that runs as the
reference runs it; either soon and in little memory."""

import os
import re
import time
import tracemalloc

import numpy as np

from general_graphs import general_inputs
from spquant_snn.errors import FileFormatError, ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.connection import image
from spquant_snn.integer.file import from_bytes, load_both, to_bytes
from spquant_snn.integer.inputs import check_images
from spquant_snn.integer.pool import Pool
from spquant_snn.runtime.native import NativeProgram

RAN, TOO_LARGE = "runs as the reference does", "is sound, but too large to run here"

_PATIENCE = 5.0  # seconds of processor time for all of it
_MEMORY = 256 << 20
_ARENA = 64 << 20
_WORK = 4_000_000  # products of the reference
_CALLS = 5_000  # products in whose time it calls what it calls for a layer and step
_LONGEST = 600  # of a message

_WORDS = (  # what makes one message of all that a check can say
    (r"^/.*?\.spq: |the file is damaged, |it holds a network that cannot be run ", ""),
    (r"; the graph cannot be run|: copy or .*", ""),
    (r"\(?layer ('[^']*'|\"[^\"]*\"): |\): export it again", ""),
    (r"\b(connections|inputs|layers|readouts|timesteps|the header)\b[\w.\[\]]*", "a field"),
    (r" is .*, not (one of|an object|a list|a line|a whole number|a number).*", r" is not \1"),
    (r"('[^']*'|\"[^\"]*\"|(Pool|Upsample)\(.*\)|\(char.*|Infinity|NaN)", "..."),
    (r"\b(ternary|bits\d|u?int\d+|float32|sum|max)\b|(starts with) \w+", r"\2 ..."),
    (r"[(\[][\d, ]*[)\]]|-?\d[\d.,e+]*", "N"),
    (r"not JSON.*", "not JSON"),
)


def verdict_of(path, built=None):
    """What becomes of the file at ``path``: ``RAN``, ``TOO_LARGE`` or the check that refused it.

    Args:
        built: the native runtime, as ``build.library`` gives it; None: the reference alone.

    Raises:
        AssertionError: it takes too long or too much memory, a message is no sentence, or the runtime disagrees with
            the reference.
        Exception: any other error is a defect too.
    """
    tracemalloc.start()
    try:
        start, size = time.process_time(), os.path.getsize(path)
        try:
            graph, sample = load_both(path)
        except FileFormatError as error:
            outcome = _sentence(error, os.fspath(path))
        else:
            if sample is not None:
                check_images(graph, sample.inputs())
            outcome = _run(graph, built)
        peak, seconds = tracemalloc.get_traced_memory()[1], time.process_time() - start
    finally:
        tracemalloc.stop()
    assert seconds < _PATIENCE, f"{seconds:.1f} s"
    assert peak < _MEMORY, f"{peak:,} bytes"
    ran = outcome in (RAN, TOO_LARGE)
    assert ran or peak < 20 * size + (4 << 20), f"{peak:,} bytes to refuse {size:,}"
    return outcome


def _run(graph, built):
    data = to_bytes(graph)
    assert to_bytes(from_bytes(data)) == data
    if _work(graph) > _WORK:
        return TOO_LARGE
    given = [general_inputs(graph, 1, seed) for seed in (len(data), len(data) + 1)]
    expected = [reference.answers(graph, *images) for images in given]
    if built is None:
        return RAN
    try:
        program = NativeProgram(graph, built)
    except ModelError as error:
        return _sentence(error, "layer ")
    with program:
        if program.plan.arena_size > _ARENA:
            return TOO_LARGE
        for images, said in zip(given, expected, strict=True):
            for a, b in zip(said, program.answers(*images), strict=True):
                assert (a == b).all(), f"answers {b.tolist()}, the reference gives {a.tolist()}"
    return RAN


def _work(graph):
    """About how many products the reference takes: windows are copied, pools read each of their inputs."""
    work = sum(int(np.prod(shape)) for shape in graph.sources)
    for term in graph.terms:
        connection, shape = term.connection, graph.sources[term.source]
        for step in connection.pools:
            shape = (image(shape)[0], *step.size(*image(shape)[1:]))
            work += int(np.prod(shape)) * (step.kernel[0] * step.kernel[1] if isinstance(step, Pool) else 1)
        if connection.convolves:
            pool = connection.sum_pool.kernel if connection.sum_pool else (1, 1)
            places = int(np.prod(connection.places(shape)))
            work += places * (connection.codes.size + len(connection.codes) * pool[0] * pool[1])
            work += image(shape)[0] * int(np.prod(connection.padded_size(shape)))
        else:
            work += connection.codes.size
    return (work + _CALLS * len(graph.terms)) * graph.timesteps


def _sentence(error, begins):
    """The check that a message stands for: the message without its numbers, names and places."""
    text = str(error)
    assert text.startswith(begins), text
    assert text.isprintable(), text
    assert len(text) < _LONGEST + len(begins), text
    for found, put in _WORDS:
        text = re.sub(found, put, text)
    return text
