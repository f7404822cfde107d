"""Make the three sizes in which the directory shows a supplier's logo."""

import io
from functools import lru_cache
from random import Random
from typing import NamedTuple

from lanewise import task
from PIL import Image, ImageDraw, UnidentifiedImageError

from supplyr.images import InvalidImageError, image_size_px, longer_edge_px

EDGES_PX = (256, 128, 48)
# 40 megapixels are 160 MB as RGBA: more than any logo needs, and what a worker can afford.
MAX_PIXELS = 40_000_000


class Thumbnails(NamedTuple):
    """PNG bytes; no edge is longer than the name says, and proportions are kept."""

    large_256_px: bytes
    medium_128_px: bytes
    small_48_px: bytes


def _decode(logo: bytes) -> Image.Image:
    width_px, height_px = image_size_px(logo)
    if width_px * height_px > MAX_PIXELS:
        raise InvalidImageError(
            f"the logo declares {width_px} x {height_px} pixels, more than the {MAX_PIXELS:,}"
            " allowed; if that is not a mistake, reduce it before the upload"
        )
    try:
        with Image.open(io.BytesIO(logo), formats=("PNG", "JPEG")) as image:
            if image.size != (width_px, height_px):
                raise InvalidImageError(
                    f"the header declares {width_px} x {height_px} pixels, but the image has"
                    f" {image.size[0]} x {image.size[1]}; export the logo again"
                )
            return image.convert("RGBA")
    except InvalidImageError:
        raise
    # Pillow reports damaged files in many ways, SyntaxError for broken PNG chunks among them.
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise InvalidImageError(
            f"the logo cannot be decoded ({error}); it is damaged or was cut off, upload it again"
        ) from error


def _encode(image: Image.Image, edge_px: int) -> bytes:
    small = image.copy()
    small.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def draw_logo(edge_px: int, seed: int = 1) -> Image.Image:
    """Return an `edge_px` x `edge_px` RGB logo: gradient, shapes and noise from `seed`."""
    rng = Random(seed)
    gradient = Image.linear_gradient("L").resize((edge_px, edge_px))
    image = Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180)))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        left, top = rng.randrange(edge_px), rng.randrange(edge_px)
        reach = 1 + rng.randrange(1 + edge_px // 3)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        shape = draw.ellipse if rng.randrange(2) else draw.rectangle
        shape((left, top, left + reach, top + reach), fill=colour)
    # Noise keeps the compressed size near that of a photograph; a plain drawing shrinks to nothing.
    noise = Image.frombytes("L", (edge_px, edge_px), rng.randbytes(edge_px * edge_px))
    return Image.blend(image, Image.merge("RGB", (noise, noise, noise)), 0.15)


@lru_cache(maxsize=8)
def _logo_png(edge_px: int) -> bytes:
    buffer = io.BytesIO()
    draw_logo(edge_px).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _thumbnail_inputs(size: int) -> tuple[bytes]:
    return (_logo_png(size),)


@task(size=longer_edge_px, inputs=_thumbnail_inputs, idempotent=True)
def make_thumbnails(logo: bytes) -> Thumbnails:
    """Return three PNG thumbnails of a PNG or JPEG logo; smaller logos are not enlarged.

    The size of a call is the longer edge in pixels. Raises InvalidImageError for what is not a
    readable PNG or JPEG and for more than MAX_PIXELS pixels, which are refused before decoding.
    """
    image = _decode(logo)
    large, medium, small = (_encode(image, edge_px) for edge_px in EDGES_PX)
    return Thumbnails(large, medium, small)
