"""Thumbnails of good, odd and hostile images."""

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from supplyr.images import InvalidImageError, image_size_px, longer_edge_px
from supplyr.thumbnails import EDGES_PX, draw_logo, make_thumbnails


def _bytes(image: Image.Image, image_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format)
    return buffer.getvalue()


LOGO_PNG = _bytes(draw_logo(40), "PNG")
LOGO_JPEG = _bytes(draw_logo(40), "JPEG")


def _png_declaring(width_px: int, height_px: int) -> bytes:
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_three_sizes_with_kept_proportions(image_format: str) -> None:
    logo = _bytes(draw_logo(600).crop((0, 0, 600, 300)), image_format)
    assert image_size_px(logo) == (600, 300)
    sizes = [Image.open(io.BytesIO(data)).size for data in make_thumbnails(logo)]
    assert sizes == [(edge, edge // 2) for edge in EDGES_PX]


def test_small_logos_are_not_enlarged() -> None:
    assert Image.open(io.BytesIO(make_thumbnails(LOGO_PNG).large_256_px)).size == (40, 40)


def test_same_logo_gives_same_bytes() -> None:
    assert make_thumbnails(LOGO_PNG) == make_thumbnails(LOGO_PNG)
    assert draw_logo(33).tobytes() == draw_logo(33).tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_png_modes(mode: str) -> None:
    logo = _bytes(Image.new(mode, (60, 50)), "PNG")
    assert Image.open(io.BytesIO(make_thumbnails(logo).small_48_px)).size == (48, 40)


def test_cmyk_jpeg() -> None:
    logo = _bytes(Image.new("CMYK", (60, 50), (0, 100, 100, 0)), "JPEG")
    assert Image.open(io.BytesIO(make_thumbnails(logo).small_48_px)).mode == "RGBA"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PNG or JPEG"),
        (b"<svg/>", "not a PNG or JPEG"),
        (_bytes(draw_logo(8), "GIF"), "not a PNG or JPEG"),
        (LOGO_PNG[:20], "cut off"),
        (LOGO_PNG[:-200], "cannot be decoded"),
        (LOGO_JPEG[:30], "no frame header"),
        (LOGO_JPEG[: len(LOGO_JPEG) // 2], "cannot be decoded"),
        (b"\xff\xd8" + b"\xff" * 100_000, "no frame header"),
        (_png_declaring(0, 10), "declares 0 x 10"),
        (_png_declaring(50_000, 50_000), "more than the 40,000,000 allowed"),
    ],
)
def test_unusable_images_are_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(InvalidImageError, match=message):
        make_thumbnails(data)


def test_size_is_cheap_and_never_raises() -> None:
    assert longer_edge_px(LOGO_JPEG) == 40
    assert longer_edge_px(b"nonsense") == 0


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([LOGO_PNG, LOGO_JPEG]),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_images_raise_nothing_else(logo: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(logo)
    for at, value in damage:
        data[at % len(data)] = value
    with contextlib.suppress(InvalidImageError):
        assert len(make_thumbnails(bytes(data))) == len(EDGES_PX)
