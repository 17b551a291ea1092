"""What the header says of frames: what the data set says, and that it is not known where nothing does."""

import pytest

from spquant_snn.export.c import export_c
from spquant_snn.export.frame_meaning import frame_meaning


@pytest.mark.parametrize(
    ("dataset", "steps", "says"),
    [
        ("nmnist", 10, ("frame[0][y][x] those that made a pixel darker", "stops at 255", "evenly into 10 frames")),
        ("dvs-gesture:32", None, ("frame[1][y][x]", "How long a frame lasts, this file does not know")),
        ("shd", 100, ("Spikes of an artificial cochlea", "A frame lasts 0.014 s")),
        ("ssc:140", None, ("1 s divided by the frames of a recording",)),
        (None, 4, ("One of the 4 steps of a recording", "this file does not know")),
        ("mnist", None, ("still images",)),
    ],
)
def test_what_a_frame_is_is_said_as_far_as_it_is_known(random_graph, dataset, steps, says):
    found = " ".join(frame_meaning(random_graph(12), dataset, steps))
    assert [part for part in says if part not in found] == []


def test_the_header_says_it_and_names_the_network(random_graph, random_images, tmp_path):
    graph = random_graph(12)
    export_c(graph, random_images(graph, 1), tmp_path / "x", "x", dataset="nmnist", steps=7)
    text = " ".join((tmp_path / "x" / "model.h").read_text().replace("\n *", " ").split())
    assert "**A frame** of model_step: Events of a camera" in text
    assert "divided evenly into 7 frames" in text
    assert "#define MODEL_HASH 0x" in text
