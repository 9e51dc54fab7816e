"""The thumbnail function against Pillow, on pictures with edges, gradients, noise and transparency."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from isolet.errors import Raised
from running import Guest, http_event

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(HERE)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = random.Random(1)
    made = Image.new("RGBA", (width, height))
    made.putdata(
        [
            (
                255 * x // width,
                255 if (x // 20 + y // 20) % 2 else 255 * y // height,
                noise.randrange(64) + (128 if (x - width / 2) ** 2 + (y - height / 2) ** 2 < height**2 / 9 else 0),
                255 * y // height,
            )
            for y in range(height)
            for x in range(width)
        ]
    )
    return made.convert(mode)


def packed(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def post(guest: Guest, image: bytes, **query: str) -> Any:
    return guest.invoke(http_event("POST", "/thumbnail", body=image, queryStringParameters=query))


def seen(answer: Any) -> Image.Image:
    assert answer["statusCode"] == 200, answer
    return Image.open(io.BytesIO(answer["body"]))


def on_grey(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, (128, 128, 128, 255)), image.convert("RGBA")).convert(
        "RGB"
    )


def likeness_db(a: Image.Image, b: Image.Image) -> float:
    """Peak signal-to-noise ratio: above 35 hardly an eye tells them apart."""
    assert (a.size, a.mode) == (b.size, b.mode)
    squares = ImageStat.Stat(ImageChops.difference(a, b)).sum2
    mean = sum(squares) / len(squares) / (a.width * a.height)
    return 99.0 if mean == 0 else 10 * math.log10(255**2 / mean)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_png_is_resampled_as_pillow_does(guest: Guest, mode: str) -> None:
    image = picture(400, 300, mode)
    made = seen(post(guest, packed(image, "PNG"), width="128"))
    assert (made.format, made.size) == ("PNG", (128, 96))
    expected = image.convert("RGBA").resize((128, 96), Image.Resampling.LANCZOS)
    # Pillow rounds and clamps between its two passes, and rounds colours to their opacity before: as seen, on grey.
    assert likeness_db(on_grey(made), on_grey(expected)) > 38


@pytest.mark.parametrize(("mode", "subsampling"), [("RGB", 0), ("RGB", 2), ("L", 0)])
def test_jpeg_is_resampled_as_pillow_does(guest: Guest, mode: str, subsampling: int) -> None:
    image = packed(picture(400, 300, mode), "JPEG", quality=95, subsampling=subsampling)
    made = seen(post(guest, image, width="128", format="png"))
    expected = Image.open(io.BytesIO(image)).convert("RGB").resize((128, 96), Image.Resampling.LANCZOS)
    # Decoders differ in how they enlarge the colours, which JPEG stores at half size.
    assert likeness_db(made.convert("RGB"), expected) > (30 if subsampling else 45)


def test_a_jpeg_comes_back_as_one_of_the_asked_quality(guest: Guest) -> None:
    image = packed(picture(400, 300), "JPEG", quality=95)
    fine, coarse = (post(guest, image, width="200", quality=quality) for quality in ("95", "20"))
    assert (seen(fine).format, seen(fine).size) == ("JPEG", (200, 150))
    assert len(coarse["body"]) * 2 < len(fine["body"])
    assert fine["headers"]["content-type"] == "image/jpeg"
    assert (fine["headers"]["x-original-size"], fine["headers"]["x-thumbnail-size"]) == ("400x300", "200x150")


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ({}, (320, 240)),
        ({"width": "100"}, (100, 75)),
        ({"height": "100"}, (133, 100)),
        ({"width": "100", "height": "60"}, (80, 60)),
        ({"width": "4000"}, (400, 300)),
        ({"width": "1"}, (1, 1)),
    ],
)
def test_the_thumbnail_fits_the_box_and_is_never_larger(
    guest: Guest, box: dict[str, str], size: tuple[int, int]
) -> None:
    assert seen(post(guest, packed(picture(400, 300), "PNG"), **box)).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_image_is_turned_as_the_camera_was_held(guest: Guest, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = packed(picture(120, 80), "JPEG", quality=95, exif=exif.tobytes(), subsampling=0)
    made = seen(post(guest, image, width="60", format="png"))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(image))).convert("RGB")
    assert likeness_db(made.convert("RGB"), upright.resize(made.size, Image.Resampling.LANCZOS)) > 40


def test_transparency_becomes_white_in_a_jpeg(guest: Guest) -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    made = seen(post(guest, packed(image, "PNG"), format="jpeg", width="32"))
    assert made.getpixel((16, 16)) == (255, 255, 255)


def test_a_plain_event_carries_the_image_in_base64(guest: Guest) -> None:
    image = packed(picture(40, 30), "PNG")
    answer = guest.invoke({"image": base64.b64encode(image).decode(), "width": 20})
    assert (answer["contentType"], answer["width"], answer["height"]) == ("image/png", 20, 15)
    assert answer["from"] == {"width": 40, "height": 30, "format": "png", "bytes": len(image)}
    assert Image.open(io.BytesIO(answer["image"])).size == (20, 15)


def test_the_warm_up_event_is_one_that_the_function_takes(guest: Guest) -> None:
    answer = guest.invoke(json.loads((HERE / "event.json").read_text()))
    assert (answer["contentType"], answer["width"]) == ("image/jpeg", 8)


def bomb() -> bytes:
    """A PNG whose head claims a billion pixels."""
    image = bytearray(packed(picture(10, 10), "PNG"))
    image[16:24] = (40_000).to_bytes(4, "big") + (40_000).to_bytes(4, "big")
    image[29:33] = zlib.crc32(image[12:29]).to_bytes(4, "big")
    return bytes(image)


WRONG = [
    (b"", {}, 400, "there is no image"),
    (b"hello", {}, 415, "neither JPEG nor PNG"),
    (b"\xff\xd8\xff\xe1", {}, 400, "damaged"),
    (bomb(), {}, 413, "40000 × 40000 pixels"),
    (None, {"width": "x"}, 400, 'width must be a whole number from 1 on, was "x"'),
    (None, {"height": "0"}, 400, "height must be"),
    (None, {"width": "5000"}, 400, "at most 4096"),
    (None, {"quality": "101"}, 400, "quality must be 1 to 100"),
    (None, {"format": "gif"}, 400, "format must be jpeg or png"),
]


@pytest.mark.parametrize(("image", "query", "status", "reason"), WRONG, ids=[reason for *_, reason in WRONG])
def test_what_cannot_be_served_is_refused_with_the_reason(
    guest: Guest, image: bytes | None, query: dict[str, str], status: int, reason: str
) -> None:
    answer = post(guest, packed(picture(10, 10), "PNG") if image is None else image, **query)
    assert answer["statusCode"] == status
    assert reason in answer["body"]


def test_a_cut_image_is_refused(guest: Guest) -> None:
    for form in ("PNG", "JPEG"):
        image = packed(picture(100, 100), form)
        assert post(guest, image[: len(image) // 2])["statusCode"] == 400


def test_only_post_is_served(guest: Guest) -> None:
    answer = guest.invoke(http_event("GET", "/thumbnail"))
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "POST")


def test_a_plain_event_without_an_image_is_an_error(guest: Guest) -> None:
    with pytest.raises(Raised) as caught:
        guest.invoke({})
    assert caught.value.raised_type == "Refused"


@pytest.mark.slow
def test_real_photographs(guest: Guest) -> None:
    sys.path.insert(0, str(HERE))
    try:
        from photographs import photographs
    finally:
        sys.path.remove(str(HERE))
    for name, image in photographs().items():
        made = seen(post(guest, image, width="320", format="png")).convert("RGB")
        original = Image.open(io.BytesIO(image)).convert("RGB")
        assert likeness_db(made, original.resize(made.size, Image.Resampling.LANCZOS)) > 40, name
