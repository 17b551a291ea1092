"""Images of every kind: exact pixels where there is a form in 8 bits, else a sentence that says what it is."""

import io
import zlib

import numpy as np
import pytest

from spquant_snn.data.image_file import ImageForm, pixels_of, read_image
from spquant_snn.errors import ConfigError, DataError

Image = pytest.importorskip("PIL.Image")
GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], -1)


def saved(folder, image, name="x.png", **options):
    image.save(folder / name, **options)
    return folder / name


def pixels(path, *form):
    return pixels_of(read_image(path, ImageForm(*form)))


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "webp"])
def test_colour_is_read_as_it_is(tmp_path, suffix):
    path = saved(tmp_path, Image.fromarray(COLOUR), f"x.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    assert np.array_equal(pixels(path), np.moveaxis(COLOUR, -1, 0))


def test_grey_bits_palettes_and_opaque_images_are_read_as_they_are(tmp_path):
    assert np.array_equal(pixels(saved(tmp_path, Image.fromarray(GREY))), GREY[None])
    bits = Image.fromarray(GREY > 100)
    assert np.array_equal(pixels(saved(tmp_path, bits)), 255 * (GREY > 100)[None])
    few = (COLOUR // 128 * 255).astype(np.uint8)
    palette = Image.fromarray(few).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    assert palette.mode == "P"
    assert np.array_equal(pixels(saved(tmp_path, palette)), np.moveaxis(few, -1, 0))
    opaque = Image.fromarray(np.dstack([COLOUR, np.full_like(GREY, 255)]))
    assert np.array_equal(pixels(saved(tmp_path, opaque)), np.moveaxis(COLOUR, -1, 0))


def test_transparent_images_need_a_background(tmp_path):
    alpha = np.where(GREY > 100, 255, 0).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(np.dstack([COLOUR, alpha])))
    with pytest.raises(DataError, match=r"transparent in places, and no background was given, such as background=255"):
        pixels(path)
    assert np.array_equal(pixels(path, None, None, 7), np.moveaxis(np.where(alpha[..., None], COLOUR, 7), -1, 0))
    path = saved(tmp_path, Image.fromarray(np.dstack([GREY, alpha]), "LA"))
    assert np.array_equal(pixels(path, None, None, 255), np.where(alpha, GREY, 255)[None])


def test_modes_and_sizes_that_are_asked_for(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREY))
    assert np.array_equal(pixels(path, "RGB"), np.stack([GREY] * 3))
    assert pixels(saved(tmp_path, Image.fromarray(COLOUR)), "L").shape == (1, 6, 8)
    flat = np.zeros((20, 60, 3), np.uint8)
    flat[:, 15:45] = 255  # what is over at the sides is cut
    assert (pixels(saved(tmp_path, Image.fromarray(flat)), None, (10, 10)) == 255).all()


def test_pictures_that_a_camera_held_upright_are_turned(tmp_path):
    image = Image.fromarray(COLOUR)
    exif = image.getexif()
    exif[274] = 6  # the row on top is the right side
    path = saved(tmp_path, image, exif=exif)
    assert np.array_equal(pixels(path), np.moveaxis(np.rot90(COLOUR, -1), -1, 0))


def jpeg(mode):
    content = io.BytesIO()
    Image.new(mode, (8, 6)).save(content, "JPEG")
    return content.getvalue()


def png(image):
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def moving():
    content = io.BytesIO()
    frames = [Image.new("L", (8, 6), value) for value in (0, 9)]
    frames[0].save(content, "PNG", save_all=True, append_images=frames[1:])
    return content.getvalue()


def huge():
    """A PNG that claims 10,000 x 10,000 pixels."""
    content = bytearray(png(Image.new("L", (1, 1))))
    content[16:24] = (10_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


BAD = {
    "no image": (b"hello", "it is no JPEG, PNG, BMP, PPM or WebP image"),
    "empty": (b"", "it is no JPEG, PNG"),
    "cut off": (jpeg("RGB")[:300], "cannot be used"),
    "CMYK": (jpeg("CMYK"), "it is in CMYK, the colours of printing"),
    "16 bits": (png(Image.fromarray(GREY.astype(np.uint16) * 256)), "it has 16 bits a channel"),
    "moving": (moving(), "it is a moving picture"),
    "huge": (huge(), "it has 10,000 x 10,000 pixels, more than"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_has_no_form_in_8_bits_is_refused_in_a_sentence(tmp_path, kind):
    content, said = BAD[kind]
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jpg cannot be used \(.*\): convert it to 8 bits") as caught:
        pixels(tmp_path / "x.jpg")
    assert said in str(caught.value)


def test_a_file_that_is_not_there_and_forms_that_cannot_be():
    with pytest.raises(DataError, match=r"x\.png cannot be read \(No such file"):
        read_image("x.png")
    for form in ({"mode": "CMYK"}, {"size": (0, 4)}, {"size": 8.0}, {"background": 256}):
        with pytest.raises(ConfigError, match="not "):
            ImageForm(**form)
