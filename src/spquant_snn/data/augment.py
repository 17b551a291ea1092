"""Augmentation of whole batches of uint8 tensors: which transforms are on is data, a generator alone decides each draw.

Pixels that come from outside the image are zero, as the network's own padding is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError, DataError

_LIMITS = {"rotate": 180.0, "scale": 0.9, "shear": 1.0}


@dataclass(frozen=True)
class Augmentation:
    """Random changes that keep the class; all off by default, applied in this order, drawn for each image alone.

    Args:
        flip: left-right, half of the images.
        shift: whole pixels, at most this many each way.
        crop_padding: pad every side by this many pixels, crop the original size at random.
        rotate: degrees, at most this many each way. This and the next three share one bilinear resampling.
        scale: share by which the image grows or shrinks at most, 0 to 0.9.
        shear: pixels that a row moves sideways per row, at most this many each way, 0 to 1.
        translate: pixels, fractions too, at most this many each way.
        cutout: side in pixels of a square, wholly inside the image, that is set to zero.

    Raises:
        ConfigError: a value is negative, not finite, out of range or of another type.
    """

    shift: int = 0
    crop_padding: int = 0
    flip: bool = False
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    cutout: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool):
            raise ConfigError(f"augmentation: flip must be true or false, not {self.flip!r}")
        for name in ("shift", "crop_padding", "cutout"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ConfigError(f"augmentation: {name} must be a whole number of pixels, 0 or more, not {value!r}")
        for name in ("rotate", "scale", "shear", "translate"):
            value, most = getattr(self, name), _LIMITS.get(name, math.inf)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not 0 <= value <= most:
                upper = f" to {most:g}" if math.isfinite(most) else " or more"
                raise ConfigError(f"augmentation: {name} must be a number, 0{upper}, not {value!r}")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch; the batch itself is left as it is.

        Args:
            images: uint8 [N, C, H, W].
            generator: source of every draw; its state alone decides the result.

        Returns:
            uint8 [N, C, H, W]; the batch itself where every transform is off.

        Raises:
            DataError: the images are of another shape or dtype, or smaller than the cutout.
        """
        if images.dtype != torch.uint8 or images.ndim != 4:
            found = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise DataError(f"augmentation takes uint8 [N, C, H, W], not {found}: augment before scaling")
        if self.cutout > min(images.shape[2:]):
            size = f"{images.shape[2]}x{images.shape[3]}"
            raise DataError(f"a cutout of {self.cutout} pixels does not fit into {size} images: make it smaller")
        if not len(images):
            return images
        if self.flip:
            images = _flip(images, generator)
        for padding in (self.shift, self.crop_padding):
            if padding:
                images = _crop(images, padding, generator)
        if self.rotate or self.scale or self.shear or self.translate:
            images = _resample(images, self._sampling(images.shape, generator))
        if self.cutout:
            images = _cutout(images, self.cutout, generator)
        return images

    def _sampling(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """[N, 2, 3]: where each output position, in units of half an image from its centre, takes its value."""
        count, _, height, width = shape
        draws = torch.rand(5, count, generator=generator, device=generator.device) * 2 - 1
        angle = draws[0] * math.radians(self.rotate)
        size = 1 + draws[1] * self.scale
        slope = draws[2] * self.shear
        cosine, sine = angle.cos() / size, angle.sin() / size
        sampling = torch.empty(count, 2, 3, device=generator.device)
        sampling[:, 0, 0] = cosine
        sampling[:, 0, 1] = (cosine * slope - sine) * (height / width)
        sampling[:, 1, 0] = sine * (width / height)
        sampling[:, 1, 1] = sine * slope + cosine
        sampling[:, 0, 2] = draws[3] * self.translate * (2 / width)
        sampling[:, 1, 2] = draws[4] * self.translate * (2 / height)
        return sampling


def default_augmentation(name: str) -> Augmentation:
    """What suits the named data set; nothing for a name that has no entry here."""
    table = {
        "mnist": Augmentation(rotate=12.0, scale=0.12, shear=0.12, translate=2.0),
        "fashion-mnist": Augmentation(shift=2, flip=True),
        "cifar10": Augmentation(crop_padding=4, flip=True, cutout=8),
        "digits": Augmentation(rotate=8.0, scale=0.08, translate=0.75),
    }
    return table.get(name, Augmentation())


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    chosen = _integers(len(images), 2, generator, images.device) == 1
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    top = _integers(count, 2 * padding + 1, generator, images.device)
    left = _integers(count, 2 * padding + 1, generator, images.device)
    padded = F.pad(images, (padding, padding, padding, padding))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [N, C, 2p+1, 2p+1, H, W], a view
    return windows[torch.arange(count, device=images.device), :, top, left]


def _resample(images: Tensor, sampling: Tensor) -> Tensor:
    grid = F.affine_grid(sampling.to(images.device), list(images.shape), align_corners=False)
    values = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return values.round_().clamp_(0, 255).to(torch.uint8)


def _cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    row, column = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    top = _integers(count, height - side + 1, generator, images.device)[:, None]
    left = _integers(count, width - side + 1, generator, images.device)[:, None]
    rows = (row >= top) & (row < top + side)  # [N, H]
    columns = (column >= left) & (column < left + side)  # [N, W]
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _integers(count: int, below: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randint(below, (count,), generator=generator, device=generator.device).to(device)
