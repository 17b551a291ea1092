"""The native runtime: an integer graph run by C, with work in proportion to its spikes.

It computes what ``integer/reference.py`` computes, in every spike, stored code and logit.
"""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from ctypes import POINTER, c_int8, c_int32, c_int64, c_uint32, c_void_p
from dataclasses import replace
from typing import Any

import numpy as np

from ..dtypes import Array, Int8, Int32, Int64, UInt8, UInt32
from ..errors import MissingDependencyError, ModelError, RunError
from ..integer.compare import Trace, images_first
from ..integer.early_stop import Stopped
from ..integer.file import load_graph
from ..integer.graph import Graph, Shape
from ..integer.inputs import as_batch, as_inputs, check_count
from ..integer.memory import installed_memory, refuse_beyond_memory
from ..integer.program import Program
from ..integer.stream import Stream
from .layout import layer_of_most, plan_connections, plan_network
from .library import library
from .loaded_plan import LoadedPlan, address
from .native_stepper import NativeStepper
from .plan import LANES, Body, LayerPlan, NetworkPlan
from .structs import STRUCTS, TRACE

_SHARES = 4  # parts of a batch per thread, so that an image that takes longer holds up little
_MOST_THREADS = 256
_TRACED = 1 << 26  # bytes of traces at a time


class NativeProgram:
    """An integer graph, compiled and laid out for this machine.

    It can be copied and pickled. Safe to use from several threads; each call borrows an arena for each of its own. A
    program that is closed, by ``close``, a ``with`` block or when it is forgotten, has given back its threads and
    memory.

    Args:
        graph: what to run.
        built: the runtime to use, as ``build.library`` gives it; by default that for this CPU.
        guard: bytes left unused behind every part of an arena; tests watch them.
        body: to plan for, if not for the fastest that the build has.
        general: run every layer in the general form; benchmarks and tests compare both.

    Raises:
        MissingDependencyError: there is no working C compiler: the reference needs none.
        ModelError: the network is too large for the runtime, or for the memory of this machine.
    """

    def __init__(
        self,
        graph: Graph,
        built: ctypes.CDLL | None = None,
        guard: int = 0,
        body: Body | None = None,
        general: bool = False,
    ) -> None:
        self.graph = graph
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._guard = guard
        self.built = _declared(built or library())
        self._asked = (body, general)
        self.body = body_of(self.built) if body is None else body
        self._layers = plan_connections(graph, self.body, general=general)
        self.plan: NetworkPlan = plan_network(graph, guard, self.body, self._layers)
        refuse_beyond_memory(self.plan.arena_size, layer_of_most(graph, self._layers))
        self.images = LoadedPlan(self.plan)
        self._said_of_one = self.plan.answers
        self._each_step = any(readout.over_time == "all" for readout in graph.readouts)
        self._frames = None if self.plan.shared else self.images
        _check(self.checked(self.plan.arena_size))

    @property
    def classes(self) -> int:
        """How many there are to tell apart."""
        return self.graph.classes

    def predict(self, images: Any, threads: int = 1) -> Int64:
        """The class of each image, int64 [N]: the first of the largest logits."""
        classes: Int64 = self.logits(images, threads).argmax(1).astype(np.int64)
        return classes

    def logits(self, images: Any, threads: int = 1) -> Int32:
        """Logits, int32 [N, classes], summed over time.

        Args:
            images: as ``Program`` takes them; read where they lie if they are contiguous.
            threads: that share the batch.

        Raises:
            DataError: the images have another dtype or shape, or the sequence is too long.
            ConfigError: ``threads`` is not a whole number above zero.
            RunError: the program is closed.
        """
        return self.run(self._checked(images), check_count("threads", threads))

    def run(self, batch: Array, threads: int) -> Int32:
        """The same for images or sequences that are known to fit."""
        return self._answers(_bytes(batch), threads)[0]

    def answers(self, *given: Array, threads: int = 1) -> list[Int32]:
        """What each readout says, as ``Program.answers`` has it, to arrays that fit, one for each input."""
        return self._answers(_side_by_side(given), threads)

    def stop_early(self, given: Array, margin: int, threads: int = 1) -> Stopped:
        """Images or sequences that are known to fit, which take steps until they are decided."""
        self.check_open()
        batch = _bytes(given)
        count = batch.shape[-2]
        said, steps = np.empty((count, self._said_of_one), np.int32), np.empty(count, np.int32)
        self._in_parts(
            count, threads, lambda part: self._run(batch, part.start, said[part], taken=steps[part], margin=margin)
        )
        return Stopped(self.told(said)[0].reshape(count, self.classes), steps.astype(np.int64))

    def trace(self, *given: Any) -> Trace:
        """Spikes and stored codes of every layer and step, and all answers: the same run, written down on its way."""
        self.check_open()
        batch = _side_by_side(as_inputs(self.graph, given))
        count, steps = batch.shape[-2], self.graph.timesteps if batch.ndim == 2 else len(batch)
        hidden = self.plan.hidden
        words = [layer.connection.words for layer in hidden]
        stored = [layer.stored * layer.connection.words * LANES for layer in hidden]
        said = self._said(count, steps)
        parts = []
        size = max(1, _TRACED // max(1, steps * sum(stored)))
        for start in range(0, count, size):
            part = min(size, count - start)
            spikes = [np.empty((part, steps, n), np.uint32) for n in words]
            codes = [np.empty((part, steps, n), np.int8) for n in stored]
            self._run(batch, start, said[start : start + part], _trace_pointers(spikes, codes))
            layers = zip(hidden, self.graph.shapes, spikes, codes, strict=True)
            parts.append([plain(layer, shape, *arrays) for layer, shape, *arrays in layers])
        trace = Trace(answers=images_first(self.graph.readouts, self.told(said)))
        for i, layer in enumerate(self.graph.layers):
            trace.add(
                layer.name,
                np.concatenate([part[i][0] for part in parts], 1),
                np.concatenate([part[i][1] for part in parts], 1),
            )
        return trace

    def _answers(self, batch: UInt8, threads: int) -> list[Int32]:
        self.check_open()
        count = batch.shape[-2]
        said = self._said(count, self.graph.timesteps if batch.ndim == 2 else len(batch))
        self._in_parts(count, threads, lambda part: self._run(batch, part.start, said[part]))
        return self.told(said)

    def _in_parts(self, count: int, threads: int, run: Callable[[slice], None]) -> None:
        """Run images 0 to ``count`` - 1, in one part or in those that threads share."""
        threads = 1 if threads == 1 else min(threads, count, self._most_threads())
        if threads == 1:
            run(slice(0, count))
            return
        size = -(-count // (threads * _SHARES))
        starts, taking = iter(range(0, count, size)), threading.Lock()

        def share() -> None:
            """Run one part after the other until none is left."""
            while True:
                with taking:
                    start = next(starts, None)
                if start is None:
                    return
                run(slice(start, start + size))

        others = self._submit(share, threads - 1)
        share()
        for other in others:
            other.result()  # an error of a thread is raised here

    def _said(self, count: int, steps: int) -> Int32:
        """Memory for all answers [N, answers], or those of each step [N, T, answers]."""
        return np.empty((count, steps, self._said_of_one) if self._each_step else (count, self._said_of_one), np.int32)

    def told(self, said: Int32) -> list[Int32]:
        """The answers of each readout in its shape, [N, ...] or [T, N, ...]."""
        if not self.plan.readouts:
            shape = self.graph.outputs[0]
            return [said if len(shape) == 1 else said.reshape(len(said), *shape)]
        found = []
        for plan, readout, shape in zip(self.plan.readouts, self.graph.readouts, self.graph.outputs, strict=True):
            part = said[..., plan.answer : plan.answer + plan.answers]
            if said.ndim == 3:
                part = part.swapaxes(0, 1) if readout.over_time == "all" else part[:, -1]
            places = part.reshape(*part.shape[:-1], -1, shape[0])
            found.append(np.ascontiguousarray(places.swapaxes(-1, -2).reshape(*part.shape[:-1], *shape)))
        return found

    def checked(self, arena_size: int) -> int:
        """What C says to this network: 0, or why it will not run it."""
        return int(self.built.spq_check(self.images.at, arena_size))

    def stream(self, sensor: tuple[int, int] | None = None) -> Stream:
        """The network for frames or events that come one by one; see ``Program.stream``."""
        return Stream(self.graph, self.stepper(), sensor)

    def stepper(self) -> NativeStepper:
        """What a stream runs; once the program is closed, no more."""
        self.check_open()
        return NativeStepper(self)

    def close(self) -> None:
        """Give back threads and memory, and end all streams; may be called again."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
            for loaded in (self.images, self._frames):
                if loaded is not None:
                    loaded.clear()
        if pool is not None:
            pool.shutdown(wait=True)

    def __enter__(self) -> NativeProgram:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Of a pickled program the graph: the runtime is built, or found in the cache, where it is read again."""
        self.check_open()
        return NativeProgram, (self.graph, None, self._guard, *self._asked)

    def __copy__(self) -> NativeProgram:
        """With the same graph and build of the runtime, and with threads and memory of its own."""
        self.check_open()
        return NativeProgram(self.graph, self.built, self._guard, *self._asked)

    def __deepcopy__(self, memo: dict[int, Any]) -> NativeProgram:
        self.check_open()
        return NativeProgram(deepcopy(self.graph, memo), self.built, self._guard, *self._asked)

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool is not None:
            pool.shutdown(wait=False)  # this may be one of its threads

    def _checked(self, images: Any) -> Array:
        self.check_open()
        return as_batch(self.graph, images)

    def check_open(self) -> None:
        if self._closed:
            raise RunError("this program is closed: make another from its graph")

    def _run(
        self,
        batch: UInt8,
        start: int,
        logits: Int32,
        trace: Any = None,
        taken: Int32 | None = None,
        margin: int = 0,
    ) -> None:
        """One call of C: the images of a contiguous batch, from ``start`` on, whose logits are wanted; with ``taken``
        they stop at a margin, and it is written how many steps each took."""
        static_input, image = batch.ndim == 2, batch.shape[-1]
        steps, frame = (0, 0) if static_input else (len(batch), image * batch.shape[1])
        loaded = self.images if static_input and taken is None else self.frames()
        first = address(batch) + start * image
        arena = loaded.borrowed()
        try:
            code = self.built.spq_batch(
                loaded.at,
                arena.address,
                loaded.plan.arena_size,
                first,
                len(logits),
                steps,
                frame,
                image,
                address(logits),
                None if taken is None else address(taken),
                margin,
                trace,
            )
        finally:
            if not self._closed:
                loaded.give_back(arena)
        _check(code)

    def frames(self) -> LoadedPlan:
        """The network laid out for frames that come one by one."""
        with self._lock:
            if self._frames is None:
                plan = plan_network(self.graph, self._guard, self.body, self._layers, streams=True)
                self._frames = LoadedPlan(plan, self.images.network.arrays)
            return self._frames

    def _most_threads(self) -> int:
        """As many as there is memory for arenas."""
        memory = installed_memory()
        return _MOST_THREADS if memory is None else max(1, min(_MOST_THREADS, memory // 2 // self.plan.arena_size))

    def _submit(self, work: Callable[[], None], threads: int) -> list[Future[None]]:
        with self._lock:
            self.check_open()
            if self._pool is None or self._process != os.getpid():  # threads do not survive a fork
                self._process = os.getpid()
                self._pool = ThreadPoolExecutor(_MOST_THREADS, "spquant")  # starts as many as there is work for
            return [self._pool.submit(work) for _ in range(threads)]


def load(path: str | os.PathLike[str], timesteps: int | None = None) -> Program:
    """The program in a ``.spq`` file, run by the native runtime; where it cannot be built, by the reference, with a
    warning.

    Args:
        timesteps: for which an image is shown; None: as many as in training.

    Raises:
        ConfigError: ``timesteps`` is not a whole number above zero.
        ModelError: so many steps could take answers out of 32 bits.
        FileFormatError: the file is missing, damaged, of another kind or of another version.

    Example:
        >>> program = load("model.spq")
        >>> program.predict(numpy.zeros((1, 1, 8, 8), numpy.uint8)).shape
        (1,)
    """
    graph = load_graph(path)
    if timesteps is not None:
        graph = replace(graph, timesteps=check_count("timesteps", timesteps))
    return program(graph)


def program(graph: Graph) -> Program:
    """The same for a graph."""
    try:
        return Program(graph, NativeProgram(graph))
    except (MissingDependencyError, ModelError) as error:
        warnings.warn(f"the reference runs this network, slowly: {error}", RuntimeWarning, stacklevel=3)
        return Program(graph)


def plain(layer: LayerPlan, shape: Shape, spikes: UInt32, codes: Int8) -> tuple[Any, Any]:
    """A layer's part of a trace, as C writes it [N, T, words], as [T, N, C, H, W] or [T, N, O]; codes of potentials and
    of currents as [T, N, 2, ...]."""
    c, kinds = layer.connection, layer.stored
    bits = np.unpackbits(spikes.astype("<u4").view(np.uint8), axis=-1, bitorder="little")
    found = []
    for array, many in ((bits, 1), (codes, kinds)):
        places = array.reshape(*spikes.shape[:2], many, c.out_height, c.out_width, c.tiles * LANES)[..., : c.outputs]
        kind = (many,) if many > 1 else ()
        found.append(
            np.ascontiguousarray(places.transpose(1, 0, 2, 5, 3, 4).reshape(*spikes.shape[1::-1], *kind, *shape))
        )
    return found[0], found[1]


def _side_by_side(given: tuple[Array, ...]) -> UInt8:
    """What all inputs are given: uint8 [N, bytes], or sequences [T, N, bytes]."""
    if len(given) == 1:
        return _bytes(given[0])
    frames = [_bytes(x) for x in given]
    steps = next((len(x) for x in frames if x.ndim == 3), 0)
    if steps:  # what is still is shown at every step
        frames = [x if x.ndim == 3 else np.broadcast_to(x, (steps, *x.shape)) for x in frames]
    return np.concatenate(frames, -1)


def _bytes(given: Array) -> UInt8:
    """Images [N, C, H, W], or frames [T, N, C, H, W], as bytes [N, size] or [T, N, size]."""
    given = np.ascontiguousarray(given)
    if given.dtype != np.uint8:  # a view costs as much as a small network's layer
        given = given.view(np.uint8)
    return given.reshape(*given.shape[:-3], -1)


def _trace_pointers(spikes: list[UInt32], codes: list[Int8]) -> Any:
    words = (POINTER(c_uint32) * len(spikes))(*(array.ctypes.data_as(POINTER(c_uint32)) for array in spikes))
    fields = (POINTER(c_int8) * len(codes))(*(array.ctypes.data_as(POINTER(c_int8)) for array in codes))
    return ctypes.byref(TRACE.ctype(words, fields))


def body_of(built: ctypes.CDLL) -> Body:
    """The fastest body that a build of the runtime has."""
    return Body(_declared(built).spq_body())


def _declared(built: ctypes.CDLL) -> ctypes.CDLL:
    network, trace = POINTER(STRUCTS[NetworkPlan].ctype), POINTER(TRACE.ctype)
    built.spq_body.argtypes = ()
    built.spq_body.restype = c_int32
    built.spq_check.argtypes = (network, c_uint32)
    built.spq_check.restype = c_int32
    built.spq_reset.argtypes = (network, c_void_p)
    built.spq_reset.restype = None
    built.spq_step.argtypes = (network, c_void_p, c_void_p, trace, c_int64)
    built.spq_step.restype = POINTER(c_int32)
    built.spq_batch.argtypes = (
        network,
        c_void_p,
        c_uint32,
        c_void_p,
        c_int64,
        c_int32,
        c_int64,
        c_int64,
        c_void_p,
        c_void_p,
        c_uint32,
        trace,
    )
    built.spq_batch.restype = c_int32
    return built


_CODES = {
    1: "an impossible shape",
    2: "an arena too small",
    3: "an impossible number of steps",
    4: "a form that it was built without",
}


def _check(code: int) -> None:
    if code != 0:
        raise RunError(f"the native runtime refused what it was given ({_CODES.get(code, code)}): report this")
