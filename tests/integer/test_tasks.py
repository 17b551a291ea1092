"""What a program answers to each task, in the units of its labels, and how its file keeps them."""

from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.data import Task
from spquant_snn.data.task import OutputFormat
from spquant_snn.errors import ConfigError, FileFormatError, ModelError
from spquant_snn.integer.connection import Connection
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.integer.graph import Graph, Input, Readout, Term
from spquant_snn.integer.inputs import task_of
from spquant_snn.integer.program import Program

IMAGES = np.arange(2 * 6, dtype=np.uint8).reshape(2, 1, 2, 3)
WEIGHTS = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, -2]], np.int8)


def graph(output_format, maps=False, scale=0.5, **options):
    """A network that only reads out, two outputs of an image or of each pixel."""
    codes = np.array([[[[1]]], [[[-2]]]], np.int8) if maps else WEIGHTS
    terms = (Term(Connection("out", codes, 3), 0),)
    readout = Readout("out", terms, 0, np.zeros(2, np.int32), scale, output_format=output_format, **options)
    return Graph((Input((1, 2, 3)),), 3, (), (readout,))


def test_numbers_are_said_in_the_unit_of_their_labels_whatever_the_steps():
    meant = OutputFormat(Task("regression", 2, ("a", "b"), "m"), (2.0, 10.0), (100.0, -1.0))
    program = Program(graph(meant))
    x = IMAGES.reshape(2, 6).astype(float)
    expected = np.stack([100 + (x[:, 0] + x[:, 1]), -1 - 10 * x[:, 5]], 1)
    assert program.predict(IMAGES).tolist() == expected.tolist()
    assert program.predict(np.stack([IMAGES] * 5)).tolist() == expected.tolist()
    stream = program.stream()
    stream.push(IMAGES[0])
    stream.push(IMAGES[0])
    assert stream.predict().tolist() == expected[0].tolist()
    assert program.task.unit == "m"


@pytest.mark.parametrize("over_time", ["largest", "sum", "last"])
def test_an_offset_is_that_of_whatever_is_said_over_time(over_time):
    meant = OutputFormat(Task("regression", 2), (1.0, 1.0), (100.0, 100.0))
    leak = np.full(2, 1 << 15, np.int32)  # one half
    program = Program(graph(meant, leak=leak, leak_shift=16, over_time=over_time))
    said = program.logits(IMAGES) * 0.5 / (3 if over_time == "sum" else 1)
    assert program.predict(IMAGES).tolist() == (100 + said).tolist()


def test_each_step_of_a_network_that_says_all_is_in_units():
    meant = OutputFormat(Task("regression", 2), (2.0, 10.0), (100.0, -1.0))
    program = Program(graph(meant, over_time="all"))
    found = program.values(IMAGES)
    assert found.shape == (3, 2, 2)
    assert found[:, 0, 0].tolist() == (100 + program.logits(IMAGES)[:, 0, 0]).tolist()
    with pytest.raises(ConfigError, match="answers at every time step"):
        program.predict(IMAGES)


def test_labels_and_classes_of_pixels_are_decided():
    labels = Program(graph(OutputFormat(Task("multilabel", 2)))).predict(IMAGES)
    assert (labels.dtype, labels.tolist()) == (np.int64, [[1, 0], [1, 0]])
    pixels = Program(graph(OutputFormat(Task("segmentation", 2)), maps=True)).predict(IMAGES)
    assert (pixels.dtype, pixels.shape, pixels.max()) == (np.int64, (2, 2, 3), 0)
    maps = Program(graph(OutputFormat(Task("regression", 2)), maps=True)).predict(IMAGES)
    assert maps[:, 0].tolist() == (IMAGES[:, 0] * 0.5).tolist()
    with pytest.raises(ConfigError, match="answers with maps of 2x2x3"):
        Program(graph(None, maps=True)).predict(IMAGES)


def test_a_file_keeps_what_answers_stand_for():
    meant = OutputFormat(Task("regression", 2, ("Länge", "b"), "m/s"), (1e-300, 1.58), (-1 / 3, 7.0))
    assert from_bytes(to_bytes(graph(meant))).readout.output_format == meant
    assert from_bytes(to_bytes(graph(None))).readout.output_format is None
    assert task_of(graph(None)) == Task("classification", 2)


@pytest.mark.parametrize(
    ("output_format", "says"),
    [
        (OutputFormat(Task("regression", 1)), "2 outputs answer to 1"),
        (OutputFormat(Task("classification", 3)), "2 outputs answer to 3"),
    ],
)
def test_a_task_of_other_outputs_is_refused(output_format, says):
    with pytest.raises(ModelError, match=says):
        graph(output_format)
    assert graph(OutputFormat(Task("classification", 1))).readout.output_format is not None


def test_damaged_formats_are_refused():
    meant = OutputFormat(Task("regression", 2, ("x", "y")), (2.0, 3.0))
    for part in ({"gains": (1.0,)}, {"gains": (0.0, 1.0)}, {"offsets": (float("nan"), 0.0)}):
        with pytest.raises(ConfigError):
            replace(meant, **part)
    held = graph(meant)
    object.__setattr__(held.readout.output_format, "gains", (2.0, -3.0))
    with pytest.raises(FileFormatError, match="gains must be finite numbers above zero"):
        from_bytes(to_bytes(held))
