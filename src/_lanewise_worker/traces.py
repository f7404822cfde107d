"""Exceptions that cross between processes: as themselves, with real tracebacks and their chain.

Pickle drops tracebacks and causes. Here each traceback travels as a list of places, from which the other
side builds traceback objects whose frames show the far side's files, lines and functions, so that all
that formats, inspects or reports tracebacks shows them.
"""

from __future__ import annotations

import pickle
import sys
import types
from typing import Any

from _lanewise_worker.call import FarSideError

_MAX_LINKS = 32
# Of a longer traceback (a RecursionError has a thousand frames) the two ends are kept.
_MAX_FRAMES = 120

# A place: file, function, qualified name, line, first line of the function.
_Place = tuple[str, str, str, int, int]


class _Packed:
    """One exception of a chain, in plain values."""

    __slots__ = ("cause", "context", "pickled", "places", "suppress", "words")

    def __init__(self) -> None:
        self.pickled: bytes | None = None
        self.words = ""
        self.places: list[_Place] = []
        self.cause: int | None = None
        self.context: int | None = None
        self.suppress = False


def pack_exception(error: BaseException, skip_frames: int = 0) -> bytes:
    """Turn an exception, its traceback and its chain into bytes. Never raises.

    Args:
        error: The exception.
        skip_frames: How many of the outermost frames are not the user's.
    """
    links: list[_Packed] = []
    _pack(error, links, {}, skip_frames)
    return pickle.dumps(
        [
            (link.pickled, link.words, link.places, link.cause, link.context, link.suppress)
            for link in links
        ],
        5,
    )


def unpack_exception(data: bytes) -> BaseException:
    """Make an exception again; what cannot be made is a FarSideError that tells it. Never raises."""
    rows = pickle.loads(data)  # noqa: S301 - because: from the own worker; the user's part is inside and guarded
    errors = [_rebuilt(pickled, words) for pickled, words, *_ in rows]
    for error, (_, _, places, cause, context, suppress) in zip(errors, rows, strict=True):
        error.__traceback__ = _traceback(places)
        error.__cause__ = None if cause is None else errors[cause]
        error.__context__ = None if context is None else errors[context]
        error.__suppress_context__ = suppress
    return errors[0]


def _pack(
    error: BaseException, links: list[_Packed], seen: dict[int, int], skip_frames: int
) -> int | None:
    if id(error) in seen:
        return seen[id(error)]
    if len(links) >= _MAX_LINKS:
        return None
    link = _Packed()
    seen[id(error)] = len(links)
    links.append(link)
    link.pickled, link.words = _pickled(error)
    link.places = _places(error.__traceback__, skip_frames)
    link.suppress = error.__suppress_context__
    if error.__cause__ is not None:
        link.cause = _pack(error.__cause__, links, seen, 0)
    if error.__context__ is not None:
        link.context = _pack(error.__context__, links, seen, 0)
    return seen[id(error)]


def _pickled(error: BaseException) -> tuple[bytes | None, str]:
    """Pickle an exception if it can be made again from that, else say it in words.

    Tried here, for many with constructors of their own cannot, and the receiver could only guess.
    """
    try:
        data = pickle.dumps(error, 5)
        again = pickle.loads(data)  # noqa: S301 - because: pickled here a moment ago
        if type(again) is type(error) and str(again) == str(error):
            return data, ""
    except Exception:  # noqa: BLE001, S110 - because: constructors may raise anything; told in words below
        pass
    return None, in_words(error)


def in_words(error: BaseException) -> str:
    """Say type and message of an exception whatever its ``__str__`` does."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - because: it is the user's
        text = "(its message cannot be shown)"
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}: {text}"


def _rebuilt(pickled: bytes | None, words: str) -> BaseException:
    if pickled is None:
        return FarSideError("exception", words)
    try:
        error = pickle.loads(pickled)  # noqa: S301 - because: from the own worker
    except Exception as problem:  # noqa: BLE001 - because: its module may be missing on this side
        return FarSideError(
            "exception", f"an exception that cannot be made here: {in_words(problem)}"
        )
    if isinstance(error, BaseException):
        return error
    return FarSideError("exception", f"something that is no exception here: {error!r}")


# --- tracebacks ---------------------------------------------------------------------------------


def _places(trace: types.TracebackType | None, skip_frames: int) -> list[_Place]:
    places: list[_Place] = []
    while trace is not None:
        if skip_frames:
            skip_frames -= 1
        else:
            code = trace.tb_frame.f_code
            places.append(
                (
                    code.co_filename,
                    code.co_name,
                    code.co_qualname,
                    trace.tb_lineno,
                    code.co_firstlineno,
                )
            )
        trace = trace.tb_next
    if len(places) > _MAX_FRAMES:
        half = _MAX_FRAMES // 2
        places = places[:half] + places[-half:]
    return places


def _traceback(places: list[_Place]) -> types.TracebackType | None:
    trace: types.TracebackType | None = None
    for place in reversed(places):
        frame = _frame(place)
        trace = types.TracebackType(trace, frame, frame.f_lasti, place[3])
    return trace


def _stand_in() -> types.FrameType:
    return sys._getframe()  # noqa: SLF001 - because: the only way to a frame of one's own


def _nowhere(units: int) -> bytes:
    """A line table in which that many code units have no location.

    An entry is 0x80 | kind << 3 | units - 1, and kind 15 means none (CPython's Objects/locations.md).
    """
    full, rest = divmod(units, 8)
    return b"\xff" * full + (bytes([0xF8 | (rest - 1)]) if rest else b"")


_NOWHERE = _nowhere(len(_stand_in.__code__.co_code) // 2)


def _frame(place: _Place) -> types.FrameType:
    """Return a frame that says it is at that place.

    A frame is made by running code; the code is a copy of a small function under another name. Its line
    table knows no place at all, so that the traceback's own line is shown and no caret under a wrong word.
    """
    file, name, qualified, _, first_line = place
    code = _stand_in.__code__.replace(
        co_filename=file,
        co_name=name,
        co_qualname=qualified,
        co_firstlineno=first_line,
        co_linetable=_NOWHERE,
    )
    function: Any = types.FunctionType(
        code, {"sys": sys, "__name__": "", "__file__": file, "__loader__": None}
    )
    frame: types.FrameType = function()
    return frame
