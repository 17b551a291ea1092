"""Folders of images: every image with the class of its folder, and a sentence for each way that one can be wrong."""

import builtins
import os
import pickle

import numpy as np
import pytest

from spquant_snn.data import ImageFolder, as_splits
from spquant_snn.errors import ConfigError, DataError, MissingDependencyError

Image = pytest.importorskip("PIL.Image")


def picture(path, value, size=(6, 8), colour=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3) if colour else size, value, np.uint8)
    Image.fromarray(image).save(path)


@pytest.fixture
def tree(tmp_path):
    """cat: 0 1 2 3, of which 3 lies deeper; dog: 10 11 12."""
    for value in range(3):
        picture(tmp_path / "dog" / f"{value}.png", 10 + value)
        picture(tmp_path / "cat" / f"{value}.PNG", value)
    picture(tmp_path / "cat" / "more" / "3.png", 3)
    (tmp_path / "cat" / "notes.txt").write_text("of no interest")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_items_are_images_and_the_classes_of_their_folders(tree):
    folder = pickle.loads(pickle.dumps(ImageFolder(tree)))  # as a worker process gets it
    assert folder.classes == ("cat", "dog")
    assert [(int(image[0, 0, 0]), label) for image, label in folder] == [
        *((value, 0) for value in range(4)),
        *((value, 1) for value in (10, 11, 12)),
    ]
    assert folder.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    image, _ = folder[-1]
    assert (image.dtype, image.shape) == (np.uint8, (1, 6, 8))
    data = as_splits((folder, folder))
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 10, 11, 12]


def test_colour_anywhere_makes_all_images_coloured(tree):
    picture(tree / "dog" / "red.png", 200, colour=True)
    assert ImageFolder(tree)[0][0].shape == (3, 6, 8)
    assert ImageFolder(tree, mode="L")[6][0].shape == (1, 6, 8)


def test_images_of_other_sizes_are_refused_or_scaled(tree):
    picture(tree / "dog" / "2.png", 12, size=(9, 9))
    with pytest.raises(DataError, match=r"2\.png has 9x9 pixels, the first image 6x8: .* by size=\(6, 8\)"):
        list(ImageFolder(tree))
    assert {image.shape for image, _ in ImageFolder(tree, size=4)} == {(1, 4, 4)}
    sizes = [image.size for image, _ in ImageFolder(tree, transform=lambda image: image)]
    assert sizes[-1] == (9, 9)  # which is left to the transform


def test_the_classes_of_the_training_set_hold_for_the_test_set(tree):
    os.rename(tree / "cat", tree / "ant")
    test = ImageFolder(tree, classes=("ant", "cow", "dog"))
    assert set(test.labels.tolist()) == {0, 2}
    with pytest.raises(DataError, match="holds a folder 'ant', which is none of the classes cat, dog"):
        ImageFolder(tree, classes=("cat", "dog"))
    os.rename(tree / "ant", tree / ".ant")
    os.rename(tree / "dog", tree / ".dog")
    with pytest.raises(DataError, match="holds no folders"):
        ImageFolder(tree, classes=("cat", "dog"))


def test_files_that_cannot_be_read_stop_or_are_passed_over_and_counted(tree, capsys):
    (tree / "cat" / "1.PNG").write_bytes(b"\x89PNG, but no more")
    with pytest.raises(DataError, match=r"1\.PNG cannot be used .*pass over such files with skip_unreadable=True"):
        list(ImageFolder(tree))
    folder = ImageFolder(tree, skip_unreadable=True)
    assert [int(image[0, 0, 0]) for image, _ in folder] == [0, 2, 3, 10, 11, 12]
    assert len(folder.skipped) == 1
    assert "1 of 7 files are passed over, such as: " in capsys.readouterr().err
    for path in tree.glob("*/**/*.[pP]*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no image in .* can be read, such as"):
        ImageFolder(tree, skip_unreadable=True)
    with pytest.raises(DataError, match="it is no JPEG"):
        ImageFolder(tree)


def test_folders_that_hold_no_classes_or_no_images(tree, tmp_path):
    (tree / "owl").mkdir()
    with pytest.raises(DataError, match=r"owl holds no image .*: put some there, or delete the folder"):
        ImageFolder(tree)
    with pytest.raises(DataError, match="more holds no folders: put the images of each class"):
        ImageFolder(tree / "cat" / "more")
    for path in (tree / "none", tree / "cat" / "0.PNG"):
        with pytest.raises(DataError, match="cannot be read as a folder"):
            ImageFolder(path)
    (tree / "owl" / "x.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"x\.gif is an image of a kind that is not read"):
        ImageFolder(tree)


def test_links_are_followed_but_not_round_in_circles(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    picture(elsewhere / "0.png", 99)
    (tree / "elk").symlink_to(elsewhere)
    assert int(ImageFolder(tree)[-1][0].max()) == 99
    (tree / "cat" / "more" / "up").symlink_to(tree / "cat")
    with pytest.raises(DataError, match="up is a link to a folder that it lies in: delete the link"):
        ImageFolder(tree)
    (tree / "cat" / "more" / "up").unlink()
    (tree / "self").symlink_to(tree / "self")
    with pytest.raises(DataError, match=r"self cannot be followed \(Too many levels"):
        ImageFolder(tree)


def test_a_split_keeps_every_class_and_stays_when_images_are_added(tree):
    for value in range(20, 60):
        picture(tree / "cat" / f"{value}.png", value)
    whole = ImageFolder(tree)
    train, test = whole.split()
    assert sorted(train.paths + test.paths) == sorted(whole.paths)
    assert [int((part.labels == label).sum()) for part in (train, test) for label in (0, 1)] == [35, 2, 9, 1]
    for value in range(60, 64):
        picture(tree / "cat" / f"{value}.png", value)
    again = ImageFolder(tree).split()[1]
    assert len(set(test.paths) - set(again.paths)) <= 1
    for value in (1, 2):
        (tree / "dog" / f"{value}.png").unlink()
    with pytest.raises(DataError, match="dog holds one image, too few to set some apart"):
        ImageFolder(tree).split()
    with pytest.raises(ConfigError, match="between 0 and 1, not 1"):
        whole.split(1)


def test_without_pillow_a_line_says_how_to_install_it(tree, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match="pip install pillow"):
        ImageFolder(tree)
