"""A stream: a network that takes frames, or the events of a camera, as they come, and answers after each."""

from __future__ import annotations

import threading
from collections import deque
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ..data.events import Events, checked, from_array, is_events
from ..data.frames import one_frame, shrink_to
from ..data.scores import decide
from ..dtypes import Array, Int32
from ..errors import ConfigError, DataError, RunError
from .graph import Graph
from .inputs import as_pixels, check_predicts, task_of
from .stepper import Stepper

_TIMED = 1000  # pushes whose times are kept
_PUSHED = "what was pushed"


@dataclass(frozen=True)
class Latency:
    """How long the last pushes took, 1,000 at most, from the call to its logits.

    Args:
        count: of these pushes.
        median, worst: in seconds; not a number before the first push.
    """

    count: int
    median: float
    worst: float

    def __str__(self) -> str:
        return f"{self.count:,} pushes: median {1e6 * self.median:.1f} us, worst {1e6 * self.worst:.1f} us"


class Stream:
    """A network that runs frame by frame; its neurons keep their state until ``reset``.

    The logits after T frames are those of a sequence of these T frames. ``Program.stream`` makes streams; any number of
    them may be open. A copy, pickled or not, goes on from the same frames by itself. Each is safe to use from several
    threads, one push after the other.

    Args:
        graph: the network.
        stepper: what runs it.
        sensor: (rows, columns) of the camera, where events will be pushed. Counts of neighbouring pixels are summed,
            so that they fill a frame of the network's size.

    Raises:
        ConfigError: the network has several inputs; or there is a sensor, and its events make no frames that it takes.

    Example:
        >>> with load("model.spq").stream() as stream:
        ...     logits = stream.push(numpy.zeros((1, 8, 8), numpy.uint8))
        >>> logits.shape, stream.steps
        ((10,), 1)
    """

    def __init__(self, graph: Graph, stepper: Stepper, sensor: tuple[int, int] | None = None) -> None:
        if len(graph.inputs) > 1:
            raise ConfigError(f"a stream gives a network one input, this one takes {len(graph.inputs)}: use answers()")
        self._graph = graph
        self._stepper: Stepper | None = stepper
        self._sensor, self._shrink = None, 1
        if sensor is not None:
            channels, *size = graph.input_shape
            self._shrink = shrink_to(sensor, (size[0], size[1]))
            self._sensor = (int(sensor[0]), int(sensor[1]))
            if channels != 2:
                raise ConfigError(
                    f"this network takes frames of {channels} channels, events make 2, darker and brighter: "
                    "open its stream without a sensor, and push frames"
                )
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=_TIMED)
        self.longest = graph.longest
        self._begin()

    @property
    def steps(self) -> int:
        """Frames that were pushed since the start or the last ``reset``."""
        return self._steps

    @property
    def lost(self) -> int:
        """Events of these frames that were not counted, as a pixel's count holds 255 at most."""
        return self._lost

    @property
    def logits(self) -> Int32:
        """The answer of the first readout so far, int32 [classes]: logits summed over the frames; where it answers at
        every step, that of the last."""
        return self._logits.copy()

    @property
    def latency(self) -> Latency:
        """How long a push takes; ``reset`` changes nothing about it."""
        seconds = np.array(self._seconds)
        if not len(seconds):
            return Latency(0, float("nan"), float("nan"))
        return Latency(len(seconds), float(np.median(seconds)), float(seconds.max()))

    def push(self, frame: Any) -> Int32:
        """Run one time step; returns the logits so far, int32 [classes]. A frame that is refused changes nothing.

        Args:
            frame: uint8, or int8 of a signed input, [C, H, W], or [H, W] where C is 1, [C, L] of a signal and [F] of a
                vector, in anything that ``numpy.asarray`` takes. Or the events of a stretch of time, one frame's:
                ``data.events.Events``, or a structured array with the fields t, x, y and p. They are counted as frames
                for training are; without events, that is a frame of zeros. Their times are not compared with those of
                earlier pushes.

        Raises:
            DataError: the frame has another dtype or shape, the events are damaged or lie outside the sensor, or with
                one more frame the logits could leave 32 bits.
            RunError: the stream is closed.
        """
        with self._lock:
            begun = perf_counter()
            stepper = self._open()
            if self._steps >= self.longest:
                raise DataError(
                    f"this stream has taken {self._steps} frames, its logits could leave 32 bits with another: reset it"
                )
            pixels, lost = self._counted(frame) if _has_fields(frame) else (self._checked(frame), 0)
            self._logits = stepper.step(pixels)
            self._steps += 1
            self._lost += lost
            found = self._logits.copy()
            self._seconds.append(perf_counter() - begun)
            return found

    def predict(self) -> int | Array:
        """The predicted class after the frames so far, the first of the largest logits; of other tasks, the prediction
        of ``Program.predict`` for one sequence of these frames, without its first axis.

        Raises:
            RunError: there was no frame yet.
            ConfigError: the network answers with maps.
        """
        check_predicts(self._graph)
        if not self._steps:
            raise RunError("this stream has seen no frame since its start or reset: push one first")
        task = task_of(self._graph)
        if task.kind == "classification":
            return int(self._logits.argmax())
        answer: Array = decide(task, self._graph.readout.values(self._logits[None], self._steps))[0]
        return answer

    def reset(self) -> None:
        """Forget all frames: the next one is the first of another sequence.

        Raises:
            RunError: the stream is closed.
        """
        with self._lock:
            self._open().reset()
            self._begin()

    def close(self) -> None:
        """Free the memory of the state; may be called again. Logits and counts can still be read."""
        with self._lock:
            self._stepper = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """With a copy of what the neurons store: a stream and its copy go on from here, each by itself."""
        with self._lock:
            state = self.__dict__ | {"_stepper": copy(self._stepper), "_seconds": self._seconds.copy()}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self._graph.input_shape))
        return f"Stream({shape} -> {self._graph.classes}, {self._steps:,} of at most {self.longest:,} frames)"

    def _begin(self) -> None:
        self._steps = self._lost = 0
        self._logits = np.zeros(self._graph.outputs[0], np.int32)

    def _open(self) -> Stepper:
        if self._stepper is None:
            raise RunError("this stream is closed: open another with stream()")
        return self._stepper

    def _checked(self, frame: Any) -> Array:
        array, wanted = as_pixels(frame, "frames", self._graph.inputs[0]), self._graph.input_shape
        channels, height, width = wanted
        if height == 1 and array.shape in ((channels, width), (channels,) if width == 1 else ()):
            array = array.reshape(wanted)  # a signal, or a vector
        if array.shape != wanted:
            if (1, *array.shape) != wanted:
                shape = "x".join(map(str, wanted))
                raise DataError(f"a stream takes one frame [{shape}] at a time, not {list(array.shape)}")
            array = array[None]
        return np.ascontiguousarray(array)

    def _counted(self, value: Any) -> tuple[Array, int]:
        """The frame of events, and how many of them its counts cannot hold."""
        if self._sensor is None:
            raise DataError("this stream knows no sensor for events: open it with stream(sensor=(rows, columns))")
        if isinstance(value, Events):
            if value.sensor != self._sensor:
                found, known = (f"{columns}x{rows}" for rows, columns in (value.sensor, self._sensor))
                raise DataError(
                    f"events of a sensor of {found} pixels, for a stream of {known}: check what camera it is"
                )
            events = checked(value.t, value.x, value.y, value.p, _PUSHED, self._sensor) if len(value) else value
        elif is_events(value) and value.shape == (0,):
            events = Events(value["t"], value["x"], value["y"], value["p"], self._sensor)
        else:
            events = from_array(value, _PUSHED, self._sensor)
        frames = one_frame(events, self._shrink)
        return frames.counts[0], frames.lost


def _has_fields(value: Any) -> bool:
    return isinstance(value, Events) or getattr(getattr(value, "dtype", None), "names", None) is not None
