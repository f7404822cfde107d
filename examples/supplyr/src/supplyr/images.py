"""Read the size of a PNG or JPEG from its header, in microseconds and without decoding it."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8"
_MAX_JPEG_SEGMENTS = 500  # real files have dozens; bounds the time a hostile one can take
# Start-of-frame markers; C4, C8 and CC in that range mean something else.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class InvalidImageError(ValueError):
    """The bytes are not an image that SUPPLYR accepts; the message says why."""


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise InvalidImageError("the PNG ends within its header; the upload was probably cut off")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        if at + 9 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte before a marker
            at += 1
            continue
        if marker in _FRAME_MARKERS:
            height_px = int.from_bytes(data[at + 5 : at + 7], "big")
            return int.from_bytes(data[at + 7 : at + 9], "big"), height_px
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise InvalidImageError(
        "the JPEG has no frame header; it is damaged or was cut off, upload it again"
    )


def image_size_px(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels as the header declares them.

    Raises InvalidImageError for anything that is not a PNG or JPEG, and for a size of zero.
    """
    if data.startswith(_PNG_SIGNATURE):
        size_px = _png_size(data)
    elif data.startswith(_JPEG_SIGNATURE):
        size_px = _jpeg_size(data)
    else:
        raise InvalidImageError(
            f"not a PNG or JPEG (it starts with {data[:8]!r}); export the logo as PNG or JPEG"
        )
    if min(size_px) < 1:
        raise InvalidImageError(f"the header declares {size_px[0]} x {size_px[1]} pixels")
    return size_px


def longer_edge_px(data: bytes) -> int:
    """Return the longer edge in pixels, or 0 for what is not an image. Never raises."""
    try:
        return max(image_size_px(data))
    except InvalidImageError:
        return 0
