"""A user's own images, signals, vectors and recordings in every command that takes a data set."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from one_layer import CLASSES, STEPS, one_layer
from spquant_snn.data.items import Items
from spquant_snn.export.boards import board_of
from spquant_snn.integer.file import load_both, save
from spquant_snn.integer.program import Program
from spquant_snn.integer.sample import choose_sample
from toolchains import needs

SHAPES = {"image": (2, 5, 4), "signal": (3, 1, 9), "vector": (12, 1, 1)}
COUNT = 7


@pytest.fixture(params=["image", "signal", "vector", "recording"])
def own(request, tmp_path):
    """Kind of the items; a network in model.spq, and items in x.npy as a user has them, with labels in y.npy of which
    the first is wrong."""
    shape = SHAPES.get(request.param, SHAPES["image"])
    graph, rng = one_layer(shape), np.random.default_rng(2)
    save(graph, tmp_path / "model.spq")
    steps = (5,) if request.param == "recording" else ()
    images = rng.integers(0, 256, (COUNT, *steps, *shape)).astype(np.uint8)
    labels = Program(graph).predict(images.swapaxes(0, 1) if steps else images)
    labels[0] = (labels[0] + 1) % CLASSES
    given = {"signal": images[..., 0, :], "vector": images[..., 0, 0]}.get(request.param, images)
    np.save(tmp_path / "x.npy", given)
    np.save(tmp_path / "y.npy", labels)
    return request.param


X, Y = ("--images", "x.npy"), ("--labels", "y.npy")


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_eval_compares_with_own_labels(own, backend, spquant):
    code, out, err = spquant("eval", "model.spq", *X, *Y, "--backend", backend, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["images"], found["dataset"]) == (COUNT, "x.npy")
    assert found["accuracy"] == pytest.approx(100 * 6 / 7)


def test_verify_compares_the_reference_with_c(own, spquant):
    code, out, err = spquant("verify", "model.spq", *X, "--count", 5)
    steps = 5 if own == "recording" else STEPS
    assert (code, err) == (0, "")
    assert out == f"equal on 5 images: {5 * 8 * steps} spikes, {5 * 8 * steps} stored codes, 15 logits\n"


@pytest.mark.parametrize("labels", [(), Y], ids=["without-labels", "with-labels"])
def test_a_report_counts_on_them(own, labels, spquant, tmp_path):
    code, _, err = spquant("report", "model.spq", *X, *labels, "--out", "x.html", "--raster", "0,6")
    assert (code, err) == (0, "")
    page = (tmp_path / "x.html").read_text("utf-8")
    assert "model.spq on x.npy" in page
    assert ("taken for class" in page) == bool(labels)


def test_firmware_is_exported_with_them(own, spquant, tmp_path):
    code, _, err = spquant("export", "model.spq", *X, "--target", "c", "--out", "c")
    assert (code, err) == (0, "")
    manifest = json.loads((tmp_path / "c" / "firmware.json").read_text("utf-8"))
    assert (manifest["title"], manifest["dataset"]) == ("model.spq", None)


def test_recordings_keep_their_frames_when_images_take_other_steps(own, spquant):
    for steps in (5, 9):
        code, _, err = spquant("export", "model.spq", *X, "--timesteps", steps, "--out", "other.spq")
        said = "spquant: recordings of x.npy keep their 5 frames: --dataset divides those of a data set\n"
        assert (code, err) == (0, said if (own, steps) == ("recording", 9) else "")


@pytest.mark.device
@pytest.mark.parametrize("own", ["signal", "recording"], indirect=True)
def test_firmware_runs_them(own, spquant):
    needs(board_of("cortex-m4"))
    spquant("export", "model.spq", *X, *Y, "--target", "c", "--out", "c")
    code, out, _ = spquant("run-firmware", "c", *X, *Y, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["images"], found["equal"], found["correct"]) == (COUNT, COUNT, COUNT - 1)
    assert found["steps"] == (5 if own == "recording" else None)
    assert 0 < found["least"] <= found["most"]


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y")], ids="-".join)
def test_both_may_lie_in_an_npz_file(names, spquant, tmp_path):
    save(one_layer((2, 5, 4)), tmp_path / "model.spq")
    images = np.zeros((4, 2, 5, 4), np.uint8)
    np.savez(tmp_path / "both.npz", **dict(zip(names, (images, np.zeros(4, np.int64)), strict=True)), other=images)
    assert spquant("eval", "model.spq", "--images", "both.npz", "--backend", "native")[0] == 0
    np.savez_compressed(tmp_path / "y.npz", labels=np.zeros(4, np.uint8))
    assert spquant("eval", "model.spq", "--images", "both.npz", "--labels", "y.npz", "--backend", "native")[0] == 0


def saved(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        np.save(path, *arrays.values(), allow_pickle=True)


ITEMS, ONES = np.zeros((4, 2, 5, 4), np.uint8), np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("name", "arrays", "labels", "said"),
    [
        ("a.npz", {"data": ITEMS, "t": ONES}, None, "the arrays data, t, and needs images and labels or x and y"),
        ("a.npy", {"a": ITEMS}, None, "compares answers with labels, and a.npy has none: add --labels"),
        ("a.npy", {"a": ITEMS[:, 0]}, ONES, "[4, 5, 4], and the network takes [N, 2x5x4] or sequences [N, T, 2x5x4]"),
        ("a.npy", {"a": ITEMS.transpose(0, 2, 3, 1)}, ONES, "[N, T, 2x5x4]: bring the channels to the front"),
        ("a.npy", {"a": ITEMS.astype(np.int32)}, ONES, "must be uint8, 0 to 255, not int32 [4, 2, 5, 4]: save them so"),
        ("a.npy", {"a": ITEMS[:0]}, ONES[:0], "there are no images in a.npy, it holds [0, 2, 5, 4]"),
        ("a.npy", {"a": ITEMS}, ONES[:3], "a.npy has 4 images and 3 labels: give one label for each image"),
        ("a.npy", {"a": ITEMS}, ONES + 3, "the labels of a.npy must be 0 to 2, found 3: number the classes"),
        ("a.npy", {"a": ITEMS}, ONES - 1, "the labels of a.npy hold -1: number the classes from 0"),
        ("a.npy", {"a": ITEMS}, np.array(list("abcd")), "labels of a.npy must be numbers, one or more for each"),
        ("a.npy", {"a": ITEMS}, np.zeros((4, 2)), "labels of a.npy are float64 [4, 2]: for classification, give one"),
        ("a.npy", {"a": np.array([{}, {}], object)}, ONES, "a.npy cannot be used (it holds Python objects)"),
        ("a.npz", {"a": np.array([{}, {}], object)}, ONES, "a.npz cannot be used (the array 'a' holds Python objects)"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(name, arrays, labels, said, spquant, tmp_path):
    save(one_layer((2, 5, 4)), tmp_path / "model.spq")
    saved(tmp_path / name, **arrays)
    more = ()
    if labels is not None:
        np.save(tmp_path / "y.npy", labels)
        more = Y
    code, out, err = spquant("eval", "model.spq", "--images", name, *more, "--backend", "reference")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--images", "nowhere.npy"), "there is no nowhere.npy: give images as an .npy or .npz file"),
        (("--images", "x.npy", "--labels", "z"), "there is no z: give labels as an .npy or .npz file"),
        (("--images", "text.npy"), "text.npy cannot be used (an array begins with"),
        (Y, "--labels are those of --images: give both, or leave --labels out"),
        ((*X, "--dataset", "digits"), "give either --images, for your own, or --dataset"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_options_that_lead_nowhere_are_refused(arguments, said, spquant, tmp_path):
    save(one_layer((2, 5, 4)), tmp_path / "model.spq")
    np.save(tmp_path / "x.npy", ITEMS)
    (tmp_path / "text.npy").write_text("some words of text, and no array at all")
    code, _, err = spquant("eval", "model.spq", *arguments, "--backend", "reference")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_a_file_is_not_compared_with_itself(spquant, tmp_path):
    save(one_layer((2, 5, 4)), tmp_path / "model.spq")
    np.save(tmp_path / "x.npy", ITEMS)
    code, _, err = spquant("verify", "model.spq", *X, "--backend", "reference")
    assert code == 2
    assert "model.spq holds the integer model alone, which the reference defines: compare C with it by" in err


# What a model remembers.


@pytest.fixture
def keeping(own, spquant, tmp_path):
    """A function: the options that name the items, of a model that keeps them, or not."""
    items = Items("x", np.load(tmp_path / "x.npy").reshape(COUNT, *((5,) if own == "recording" else ()), *_shape(own)))
    labelled = replace(items, labels=np.load(tmp_path / "y.npy"))
    save(one_layer(_shape(own)), tmp_path / "model.spq", choose_sample(labelled))
    return own


def _shape(own):
    return SHAPES.get(own, SHAPES["image"])


def test_a_model_that_keeps_a_sample_needs_no_data_set(keeping, spquant, tmp_path):
    code, out, err = spquant("verify", "model.spq")
    assert (code, err) == (0, "spquant: the sample in model.spq is used, 7 items: --images names others\n")
    assert out.startswith("equal on 7 images: ")
    assert spquant("report", "model.spq", "--out", "x.html", "--raster", "0")[0] == 0
    assert "taken for class" in (tmp_path / "x.html").read_text("utf-8")
    assert spquant("export", "model.spq", "--target", "c", "--out", "c")[::2] == (0, "")
    assert load_both(tmp_path / "c" / "model.spq")[1].labels.tolist() == np.load(tmp_path / "y.npy").tolist()
    assert spquant("export", "model.spq", "--target", "c", "--out", "d", "--no-remember-sample")[::2] == (0, "")
    assert load_both(tmp_path / "d" / "model.spq")[1] is None
    code, _, err = spquant("eval", "model.spq", "--backend", "reference")
    assert code == 2
    assert "does not say what it was trained on: add --images, for your own, or --dataset" in err


@pytest.fixture
def photos(tmp_path):
    """A network for grey images of 6x5, and a folder with two images of twice that size for each of three classes."""
    image = pytest.importorskip("PIL.Image")
    save(one_layer((1, 6, 5)), tmp_path / "model.spq")
    rng = np.random.default_rng(3)
    for name in ("cat", "dog", "emu"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(2):
            image.fromarray(rng.integers(0, 256, (12, 10), np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_a_folder_of_images_is_brought_to_the_size_of_the_network(photos, spquant):
    code, out, err = spquant("eval", "model.spq", "--images", "photos", "--backend", "reference", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["images"] == 6
    assert spquant("export", "model.spq", "--images", "photos", "--target", "c", "--out", "c")[0] == 0


def test_folders_that_do_not_fit_are_refused(photos, spquant, tmp_path):
    def refused(*options):
        code, _, err = spquant("eval", "model.spq", "--images", "photos", *options, "--backend", "reference")
        assert (code, err.count("\n")) == (2, 1)
        return err

    assert "photos is a folder, whose folders are the classes: leave the labels y.npy out" in refused(*Y)
    shutil.copytree(photos / "cat", photos / "fox")
    assert "photos holds 4 folders of classes, and the network has 3 classes, without names: give" in refused()
    save(one_layer((2, 6, 5)), tmp_path / "model.spq")
    assert "photos holds images, grey or RGB, and the network takes 2 channels: give an .npy file" in refused()
    shutil.rmtree(photos)
    photos.mkdir()
    save(one_layer((1, 6, 5)), tmp_path / "model.spq")
    assert "photos holds no folders" in refused()


def test_values_in_the_units_of_training_become_those_of_the_network(spquant, tmp_path):
    save(one_layer((2, 5, 4)), tmp_path / "model.spq")
    whole = np.random.default_rng(4).integers(0, 256, (6, 2, 5, 4)).astype(np.uint8)
    labels = Program(one_layer((2, 5, 4))).predict(whole)
    np.save(tmp_path / "x.npy", whole / np.float32(255))
    np.save(tmp_path / "y.npy", labels)
    code, out, err = spquant("eval", "model.spq", *X, *Y, "--backend", "native", "--json")
    assert (code, json.loads(out)["accuracy"], err) == (0, 100.0, "")
