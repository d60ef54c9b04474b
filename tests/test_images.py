"""Pictures and films that people bring: read, or refused in one sentence."""

import io

from mer_tools.importing.films import read_video, video_fps
from mer_utils import MerError
from mer_utils.dataset import encode_png, list_frames, read_image, read_size

import cv2
import numpy as np
import pytest
from foreign import write_film
from PIL import Image

GREY = (np.add.outer(np.arange(30), np.arange(40)) * 3 % 256).astype(np.uint8)  # (H, W)
COLOUR = np.stack([GREY, 255 - GREY, np.zeros_like(GREY)], -1)  # (H, W, 3)


def save(array, kind="PNG", palette=0, **options):
    buffer, image = io.BytesIO(), Image.fromarray(array)
    (image.quantize(palette) if palette else image).save(buffer, kind, **options)
    return buffer.getvalue()


# a line of 160 bytes makes no 16 bits
@pytest.mark.parametrize("picture", [GREY, np.tile(GREY, (1, 4)), COLOUR])
@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_grey_and_colour_come_back(tmp_path, picture, kind):
    path = tmp_path / f"a b ü 1.{kind.lower()}"
    path.write_bytes(save(picture, kind))
    np.testing.assert_array_equal(read_image(path, colour=picture.ndim == 3), picture)  # red first
    assert read_size(path) == picture.shape[1::-1] and list_frames(tmp_path) == (path,)
    if picture is COLOUR:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(int)
        assert np.abs(read_image(path) - grey).max() <= 1


def damage(data):
    """Flip bytes in the middle of a file."""
    middle = slice(len(data) // 2, len(data) // 2 + 180, 3)
    spoilt = bytearray(data)
    spoilt[middle] = bytes(byte ^ 0xFF for byte in data[middle])
    return bytes(spoilt)


NOISE = np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)
JPEG = save(GREY, "JPEG", exif=b"Exif\0\0" + save(GREY, "JPEG"))  # two end marks: a thumbnail's
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter turn, as a camera notes how it was held
UNUSABLE = {
    "text": (b"this is text\n" * 100, "not readable as an image"),
    "GIF": (save(GREY, "GIF"), "not readable as an image"),
    "16 bits": (save(GREY.astype(np.uint16) * 257), "16 bits"),
    "16 bits a colour": (encode_png(COLOUR.astype(np.uint16)), "16 bits"),
    "transparent": (save(np.stack([GREY] * 4, -1)), r"transparency \(RGBA\); .* grey or RGB"),
    "palette": (save(COLOUR, "BMP", 64), r"palette.*\(P\)"),
    "cut PNG": (encode_png(GREY)[:-30], "cut off"),
    "cut JPEG": (JPEG[:-40], "cut off"),
    "cut BMP": (save(GREY, "BMP")[:-30], "cut off"),
    "damaged PNG": (damage(encode_png(NOISE)), "cut off"),
    "damaged JPEG": (damage(save(NOISE, "JPEG")), "cut off"),
    "turned": (save(GREY, "JPEG", exif=TURNED), "lies turned"),
}


def test_what_is_no_frame_is_refused(tmp_path, capfd):
    path = tmp_path / "7.png"
    for data, words in UNUSABLE.values():
        path.write_bytes(data)
        for colour in (False, True):
            with pytest.raises(MerError, match=words) as caught:
                read_image(path, colour)
            assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        if words != "cut off":  # that only the pixels show
            with pytest.raises(MerError, match=words):  # one rule for sizes, boxes and pixels
                read_size(path)
    with pytest.raises(MerError, match="cannot be read"):
        read_image(tmp_path)
    assert capfd.readouterr() == ("", "")  # no word of a library


@pytest.mark.parametrize("name", ["a film.avi", "b.mp4"])
def test_a_film_is_read_frame_by_frame(tmp_path, name, capfd):
    levels = 3 * np.arange(50, 62)
    film = np.tile(levels[:, None, None], (1, 48, 64)).astype(np.uint8)
    path = write_film(tmp_path / name, film, 60)
    frames = np.stack(list(read_video(path)))
    assert frames.shape == (12, 48, 64) and frames.dtype == np.uint8
    assert np.abs(frames.mean((1, 2)) - levels).max() < 4
    assert video_fps(path) == pytest.approx(60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(MerError, match=rf"{name}: .*(film|decoded)"):
        list(read_video(path))
    (tmp_path / "clip %03d.mp4").write_text("no film")
    for other, words in (("clip %03d.mp4", "not readable as a film"), ("0.mp4", "no such film")):
        with pytest.raises(MerError, match=words):
            list(read_video(tmp_path / other))
    assert capfd.readouterr() == ("", "")  # no word of the library
