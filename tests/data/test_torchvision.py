"""Data sets and transforms of torchvision, by look-alikes of what they do; the package itself is not needed."""

import numpy as np
import pytest
import torch

from spquant_snn.data import ImageFolder, as_splits

Image = pytest.importorskip("PIL.Image")


class FakeMNIST:
    """As torchvision.datasets.MNIST: tensors within, images of Pillow out of it, through a transform."""

    classes = ("0 - zero", "1 - one", "2 - two")

    def __init__(self, transform=None):
        self.data = torch.arange(4, dtype=torch.uint8).view(4, 1, 1).expand(4, 6, 8).contiguous()
        self.targets = torch.tensor([0, 1, 0, 1])
        self.transform = transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image = Image.fromarray(self.data[index].numpy())
        return image if self.transform is None else self.transform(image), int(self.targets[index])


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


def to_tensor(image):
    """As torchvision.transforms.ToTensor."""
    array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(array.transpose(2, 0, 1).copy()).float() / 255


@pytest.mark.parametrize("transform", [None, to_tensor, Compose([to_tensor])])
def test_a_data_set_of_images_gives_the_same_pixels_through_a_transform(transform):
    data = as_splits((FakeMNIST(transform), FakeMNIST(transform)))
    assert torch.equal(torch.from_numpy(data.train.images[:, 0]), FakeMNIST().data)
    assert data.task.names == FakeMNIST.classes


def test_transforms_are_called_on_the_images_of_a_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 6), (255, 0, 51)).save(tmp_path / name / "1.png")
    folder = ImageFolder(tmp_path, transform=Compose([lambda image: image.resize((4, 4)), to_tensor]))
    image, _ = folder[0]
    assert image.shape == (3, 4, 4)
    assert image[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert as_splits((folder, folder)).train.images[0, :, 0, 0].tolist() == [255, 0, 51]
