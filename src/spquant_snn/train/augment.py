"""Augmentation of whole batches of uint8 tensors: which transforms are on is data, a generator alone decides each draw.

Pixels that come from outside the image are zero, as the network's own padding is. All frames of a sequence are changed
alike, and their counts are moved whole, to the nearest pixel, where the pixels of images are mixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError, DataError

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Changes a batch of images [N, C, H, W] or sequences [N, T, C, H, W] at random."""

_LIMITS = {"rotate": 180.0, "scale": 0.9, "shear": 1.0, "drop": 1.0}


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
        polarity: of sequences, whether brighter and darker events change places, in half of them.
        delay: of sequences, whole frames, at most this many sooner or later; the frames that are missing are empty.
        drop: of sequences, share of the events that is left out at most, 0 to 1; which share is drawn for each.

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
    polarity: bool = False
    delay: int = 0
    drop: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "polarity"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"augmentation: {name} must be true or false, not {getattr(self, name)!r}")
        for name in ("shift", "crop_padding", "cutout", "delay"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                unit = "frames" if name == "delay" else "pixels"
                raise ConfigError(f"augmentation: {name} must be a whole number of {unit}, 0 or more, not {value!r}")
        for name in ("rotate", "scale", "shear", "translate", "drop"):
            value, most = getattr(self, name), _LIMITS.get(name, math.inf)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not 0 <= value <= most:
                upper = f" to {most:g}" if math.isfinite(most) else " or more"
                raise ConfigError(f"augmentation: {name} must be a number, 0{upper}, not {value!r}")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch; the batch itself is left as it is.

        Args:
            images: uint8 [N, C, H, W], or sequences [N, T, C, H, W].
            generator: source of every draw; its state alone decides the result.

        Returns:
            uint8 of the same shape; the batch itself where every transform is off, which int8 needs.

        Raises:
            DataError: the images are of another shape or dtype, smaller than the cutout, or no sequences where what is
                on is for these.
        """
        if images.dtype == torch.int8 and self == Augmentation():
            return images
        if images.dtype != torch.uint8 or images.ndim not in (4, 5):
            found = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise DataError(
                f"augmentation takes uint8 [N, C, H, W] or [N, T, C, H, W], not {found}: augment before scaling"
            )
        if self.cutout > min(images.shape[-2:]):
            size = f"{images.shape[-2]}x{images.shape[-1]}"
            raise DataError(f"a cutout of {self.cutout} pixels does not fit into {size} images: make it smaller")
        if not len(images):
            return images
        if images.ndim == 5:
            moved = self._moved(self._in_time(images, generator).flatten(1, 2), "nearest", generator)
            return moved.reshape(images.shape)
        if self.polarity or self.delay or self.drop:
            raise DataError(
                "polarity, delay and drop are for sequences [N, T, C, H, W], not for images: leave them out"
            )
        return self._moved(images, "bilinear", generator)

    def _in_time(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """The changes that only sequences [N, T, C, H, W] have."""
        if self.polarity:
            chosen = _integers(len(frames), 2, generator, frames.device) == 1
            frames = torch.where(chosen[:, None, None, None, None], frames.flip(2), frames)
        if self.delay:
            frames = _delay(frames, self.delay, generator)
        return _drop(frames, self.drop, generator) if self.drop else frames

    def _moved(self, images: Tensor, mode: str, generator: torch.Generator) -> Tensor:
        """The changes in space, of all channels [N, C, H, W] of an image alike."""
        if self.flip:
            images = _flip(images, generator)
        for padding in (self.shift, self.crop_padding):
            if padding:
                images = _crop(images, padding, generator)
        if self.rotate or self.scale or self.shear or self.translate:
            images = _resample(images, self._sampling(images.shape, generator), mode)
        if self.cutout:
            images = _cutout(images, self.cutout, generator)
        return images

    def _sampling(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """[N, 2, 3]: where each output position, in units of half an image from its centre, takes its value."""
        count, _, height, width = shape
        draws = torch.rand(5, count, generator=generator, device=generator.device, dtype=torch.float32) * 2 - 1
        angle = draws[0] * math.radians(self.rotate)
        size = 1 + draws[1] * self.scale
        slope = draws[2] * self.shear
        cosine, sine = angle.cos() / size, angle.sin() / size
        sampling = torch.empty(count, 2, 3, device=generator.device, dtype=torch.float32)
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
        # not a mirrored digit; and a mirrored arm is the other arm, circling the other way round
        "nmnist": Augmentation(shift=2, rotate=8.0, scale=0.08, drop=0.1, polarity=True),
        "dvs-gesture": Augmentation(shift=4, rotate=10.0, scale=0.1, drop=0.2, delay=1),
        "cifar10-dvs": Augmentation(shift=4, flip=True, drop=0.2),
        "n-caltech101": Augmentation(shift=4, flip=True, drop=0.2),
        "gestures": Augmentation(shift=3, rotate=8.0, scale=0.08, drop=0.2, delay=1, polarity=True),
    }
    return table.get(name.partition(":")[0], Augmentation())


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


def _resample(images: Tensor, sampling: Tensor, mode: str) -> Tensor:
    grid = F.affine_grid(sampling.to(images.device), list(images.shape), align_corners=False)
    values = F.grid_sample(images.float(), grid, mode=mode, padding_mode="zeros", align_corners=False)
    return values.round_().clamp_(0, 255).to(torch.uint8)


def _cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    row, column = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    top = _integers(count, height - side + 1, generator, images.device)[:, None]
    left = _integers(count, width - side + 1, generator, images.device)[:, None]
    rows = (row >= top) & (row < top + side)  # [N, H]
    columns = (column >= left) & (column < left + side)  # [N, W]
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def _delay(frames: Tensor, most: int, generator: torch.Generator) -> Tensor:
    count, steps = frames.shape[:2]
    most = min(most, steps)
    begin = _integers(count, 2 * most + 1, generator, frames.device)
    padded = F.pad(frames, (0, 0, 0, 0, 0, 0, most, most))
    chosen = begin[:, None] + torch.arange(steps, device=frames.device)
    return padded[torch.arange(count, device=frames.device)[:, None], chosen]


def _drop(frames: Tensor, most: float, generator: torch.Generator) -> Tensor:
    share = (
        torch.rand(len(frames), generator=generator, device=generator.device, dtype=torch.float32).to(frames.device)
        * most
    )
    place = frames.nonzero(as_tuple=True)  # few pixels have events
    left = torch.binomial(frames[place].float().cpu(), 1 - share[place[0]].cpu(), generator=generator)
    thinned = frames.clone()
    thinned[place] = left.to(torch.uint8).to(frames.device)
    return thinned


def _integers(count: int, below: int, generator: torch.Generator, device: torch.device) -> Tensor:
    # a GPU takes them when it comes to it
    return torch.randint(below, (count,), generator=generator, device=generator.device).to(device, non_blocking=True)
