"""Work whose arguments or results are as big as itself: what encodes, decodes and copies. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lanewise.diagnose.session import Frame

# To send such a call to a process, its argument is pickled here and unpickled there, and what it
# gives comes back: a walk over the same objects that the work itself is.
_CODECS = (
    "json", "simplejson", "pickle", "copy", "csv", "plistlib", "yaml", "xml", "marshal",
    "bson", "msgpack", "cbor2",
)  # fmt: skip
_FILE = re.compile(
    rf"(?:python3\.\d+t?|Lib|(?:site|dist)-packages)[/\\]({'|'.join(_CODECS)})(?:[/\\]|\.py$)"
)
_ENCODER = re.compile(r"[/\\]json[/\\]encoder\.py$")


def codec_of(stack: Sequence[Frame], charged: Frame) -> str:
    """The codec that a user's function called, by its module; empty where it called none.

    Of json the encoder is told apart, for other libraries are faster there than in decoding.

    Args:
        stack: Innermost first.
        charged: The user's frame on it.
    """
    for frame in stack:
        if (frame.file, frame.qualname) == (charged.file, charged.qualname):
            return ""
        if found := _FILE.search(frame.file):
            return "json.encoder" if _ENCODER.search(frame.file) else found[1]
    return ""
