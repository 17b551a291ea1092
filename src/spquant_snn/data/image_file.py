"""Files of images (JPEG, PNG, BMP, PPM, WebP) as pixels, read by Pillow. Nothing of an image is lost without a word:
what has no form in 8 bits of grey or of red, green and blue is refused.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..dtypes import UInt8
from ..errors import ConfigError, DataError, MissingDependencyError
from ..io.reading import Flaw, guarded, read_bytes

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp")
UNREAD_SUFFIXES = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".exr", ".dng")
_FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")
_MOST_BYTES = 256 << 20  # of a file
_MOST_PIXELS = 1 << 26
_LONGEST_SIDE = 1 << 14
_REMEDY = "convert it to 8 bits of grey or RGB, or leave it out"
_KINDS = {"CMYK": "in CMYK, the colours of printing", "I": "of 32 bits a pixel", "F": "of floating-point pixels"}

Mode = Literal["L", "RGB"]


@dataclass(frozen=True)
class ImageForm:
    """What images are brought to.

    Args:
        mode: "RGB", or "L" for grey; None: as they are.
        size: (H, W) they are scaled to, so that they fill it, and cut at the longer side, evenly; None: as they are.
        background: grey level 0 .. 255 behind images that are transparent in places; None refuses these.

    Raises:
        ConfigError: a value that cannot be.
    """

    mode: Mode | None = None
    size: tuple[int, int] | None = None
    background: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in (None, "L", "RGB"):
            raise ConfigError(f'images have the mode "RGB" or "L", not {self.mode!r}')
        if self.size is not None and not (
            isinstance(self.size, tuple)
            and len(self.size) == 2
            and all(type(side) is int and 0 < side <= _LONGEST_SIDE for side in self.size)
        ):
            raise ConfigError(f"the size of images is (height, width) in pixels, not {self.size!r}")
        if self.background is not None and not (type(self.background) is int and 0 <= self.background <= 255):
            raise ConfigError(f"the background of images is a grey level from 0 to 255, not {self.background!r}")

    def with_mode(self, mode: Mode) -> ImageForm:
        """The same, of that mode."""
        return replace(self, mode=mode)


def read_image(path: str | os.PathLike[str], form: ImageForm = ImageForm(), remedy: str = _REMEDY) -> Any:
    """A file of one image as an image of Pillow, "L" or "RGB", turned as its EXIF data say.

    Raises:
        DataError: it cannot be read, is damaged, or is of a kind or a mode that is not taken.
        MissingDependencyError: Pillow is not installed.
    """
    require_pillow()
    with guarded(path, remedy, wrong="cannot be used", unread=DataError, damaged=DataError):
        return decode_image(read_bytes(path, _MOST_BYTES), form)


def decode_image(content: bytes, form: ImageForm) -> Any:
    """The same of the content of a file. To be called within ``guarded``, after ``require_pillow``.

    Raises:
        Flaw, Exception: whatever Pillow raises where it is damaged.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[24:25] == b"\x10":
        raise Flaw("it has 16 bits a channel")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damage that stops Pillow raises; so do images too large for us, below
        try:
            image: Image.Image = Image.open(io.BytesIO(content), formats=_FORMATS)
        except UnidentifiedImageError:
            raise Flaw("it is no JPEG, PNG, BMP, PPM or WebP image") from None
        if image.width * image.height > _MOST_PIXELS:
            raise Flaw(f"it has {image.width:,} x {image.height:,} pixels, more than {_MOST_PIXELS:,}")
        if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1:
            raise Flaw("it is a moving picture")
        image.load()
        return in_form(ImageOps.exif_transpose(image), form)


def in_form(image: Any, form: ImageForm) -> Any:
    """An image of Pillow in a form. To be called within ``guarded``."""
    from PIL import Image, ImageOps

    image = _in_mode(image, form)
    if form.size is not None and image.size != form.size[::-1]:
        image = ImageOps.fit(image, form.size[::-1], Image.Resampling.BILINEAR)
    return image


def pixels_of(image: Any) -> UInt8:
    """An image of Pillow, "L" or "RGB", as uint8 [C, H, W]."""
    pixels = np.asarray(image, np.uint8)
    return np.array(pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0), order="C")


def require_pillow() -> None:
    """Raise MissingDependencyError where Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("images are read by Pillow, which is not installed: pip install pillow") from error


def _in_mode(image: Any, form: ImageForm) -> Any:
    """An image in the mode that is asked for, or else as grey or RGB, whichever it is."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = _on_background(image, form.background)
    elif image.mode == "P":
        image = image.convert("RGB")
    if image.mode not in ("L", "RGB"):
        said = "of 16 bits a pixel" if image.mode.startswith("I;16") else _KINDS.get(image.mode)
        raise Flaw(f"it is {said or f'of mode {image.mode}'}")
    return image if form.mode in (None, image.mode) else image.convert(form.mode)


def _on_background(image: Any, background: int | None) -> Any:
    """An image without its transparency, of which nothing is lost where it is opaque all over."""
    from PIL import Image

    grey = image.mode in ("L", "LA")
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] < 255:
        if background is None:
            raise Flaw("it is transparent in places, and no background was given, such as background=255 for white")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (background,) * 3 + (255,)), image)
    return image.convert("RGB").getchannel("R") if grey else image.convert("RGB")
