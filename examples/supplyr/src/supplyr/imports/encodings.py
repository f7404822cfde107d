"""Find out how an upload writes its text. Never guesses where a wrong guess corrupts names."""

import codecs
from typing import NamedTuple

from supplyr.spreadsheet import CatalogueError

# Longer marks first: that of UTF-32 starts with that of UTF-16.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What people may choose where the bytes do not say it themselves.
CHOICES = ("utf-8", "cp1252", "iso8859-15", "cp1250", "cp1251", "mac-roman", "utf-16")
FALLBACK = "cp1252"


class Decoded(NamedTuple):
    """The text of an upload, how it was written, and what to tell the uploader (or nothing)."""

    text: str
    encoding: str
    notice: str


def _marked(data: bytes) -> str:
    return next((name for mark, name in _MARKS if data.startswith(mark)), "")


def _decode(data: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(data.decode(encoding), encoding, "")
    except (UnicodeDecodeError, UnicodeError) as error:
        at = getattr(error, "start", 0)
        raise CatalogueError(
            f"the file is not {encoding} (at byte {at:,}); choose another encoding, or save it as"
            " 'CSV UTF-8' in Excel"
        ) from error


def decode(data: bytes, encoding: str = "") -> Decoded:
    """Return the text of a CSV upload.

    A byte-order mark decides; else `encoding` if it is given; else UTF-8, and Windows-1252 for what
    is not UTF-8, with a notice so that a person looks at the preview. Raises CatalogueError for
    bytes that are not that, or not text at all.
    """
    if encoding and encoding not in CHOICES:
        raise CatalogueError(
            f"{encoding!r} is not an encoding to choose from: {', '.join(CHOICES)}"
        )
    marked = _marked(data)
    if marked or encoding:
        return _decode(data, marked or encoding)
    if b"\0" in data[:4096]:
        raise CatalogueError(
            "the file holds zero bytes: it is not a CSV, or one in UTF-16 without its mark; save it"
            " as 'CSV UTF-8', or choose utf-16"
        )
    try:
        return Decoded(data.decode("utf-8"), "utf-8", "")
    except UnicodeDecodeError as error:
        return _fallback(data, error.start)


def _fallback(data: bytes, at: int) -> Decoded:
    try:
        text = data.decode(FALLBACK)
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"the file is neither UTF-8 (byte {at:,}) nor Windows-1252 (byte {error.start:,});"
            " save it as 'CSV UTF-8' in Excel, or choose its encoding"
        ) from error
    return Decoded(
        text,
        FALLBACK,
        "The file is not UTF-8 and was read as Windows-1252: check accented letters below.",
    )
