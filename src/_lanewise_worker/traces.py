"""Exceptions that cross between processes: as themselves, with real tracebacks and their chain.

Pickle drops tracebacks and causes. Here each traceback travels as a list of places, from which the other
side builds traceback objects whose frames show the far side's files, lines and functions, so that all
that formats, inspects or reports tracebacks shows them.
"""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Iterable, Sequence
from typing import Any

from _lanewise_worker.call import FarSideError

# How far causes and contexts are followed, and how many exceptions there are with all members of groups.
_MAX_CHAIN = 32
_MAX_LINKS = 1_024
# Of a longer traceback (a RecursionError has a thousand frames) the two ends are kept.
_MAX_FRAMES = 120
_MAX_LETTERS = 8_192

# A place: file, function, qualified name, module, line, first line of the function.
_Place = tuple[str, str, str, str, int, int]
# One exception in plain values: pickled or None, in words, places, the numbers of its cause, its context
# and of a group's members, whether the context is suppressed.
_Row = tuple[bytes | None, str, list[_Place], int | None, int | None, list[int | None], bool]


def pack_exception(error: BaseException, skip_frames: int = 0) -> bytes:
    """Turn an exception, its traceback and its chain into bytes. Never raises.

    Args:
        error: The exception.
        skip_frames: How many of the outermost frames are not the user's. What else of the chain came
            through the same frames is freed of them too.
    """
    try:
        return pickle.dumps(_Packing(_outermost(error, skip_frames)).rows_of(error), 5)
    except Exception as problem:  # noqa: BLE001 - because: what overridden attributes do is the user's
        words = f"{in_words(error)} (its traceback cannot be read: {in_words(problem)})"
        row: _Row = (None, words, [], None, None, [], False)
        return pickle.dumps([row], 5)


def unpack_exception(data: bytes) -> BaseException:
    """Make an exception again; what cannot be made is a FarSideError that tells it. Never raises."""
    try:
        rows: list[_Row] = pickle.loads(data)  # noqa: S301 - because: from the own worker; the user's part is inside and guarded
        errors = _Rebuilding(rows).errors()
        for error, (_, _, places, cause, context, _, suppress) in zip(errors, rows, strict=True):
            # Not by plain assignment: a frozen dataclass forbids it.
            for name, value in (
                ("__traceback__", _traceback(places)),
                ("__cause__", None if cause is None else errors[cause]),
                ("__context__", None if context is None else errors[context]),
                ("__suppress_context__", suppress),
            ):
                BaseException.__setattr__(error, name, value)
        return errors[0]
    except Exception as problem:  # noqa: BLE001 - because: a worker may send anything once its memory is spoilt
        return FarSideError("exception", f"an exception that cannot be read: {in_words(problem)}")


def in_words(error: BaseException) -> str:
    """Say type and message of an exception whatever its ``__str__`` does."""
    kind = type(error)
    text = _text(error)
    if len(text) > _MAX_LETTERS:
        text = f"{text[:_MAX_LETTERS]}... ({len(text)} characters)"
    return f"{kind.__module__}.{kind.__qualname__}: {text}"


def _text(error: BaseException) -> str:
    try:
        return f"{error!s}"  # never a subclass of str
    except Exception:  # noqa: BLE001 - because: it is the user's
        return "(its message cannot be shown)"


# --- from exceptions to rows ----------------------------------------------------------------------


class _Packing:
    """One exception with all that hangs on it, as rows. Owner: the thread that packs it."""

    def __init__(self, skipped: list[types.FrameType]) -> None:
        self._skipped = skipped
        self._rows: list[_Row] = []
        self._numbers: dict[int, int] = {}

    def rows_of(self, error: BaseException) -> list[_Row]:
        self._add(error, 0)
        return self._rows

    def _add(self, error: BaseException | None, depth: int) -> int | None:
        """Return the number of an exception's row; None where there are too many."""
        if error is None:
            return None
        if id(error) in self._numbers:
            return self._numbers[id(error)]
        number = len(self._rows)
        if depth >= _MAX_CHAIN or number >= _MAX_LINKS:
            return None
        self._numbers[id(error)] = number
        self._rows.append((None, "", [], None, None, [], False))  # takes the place
        members = [self._add(one, depth + 1) for one in _members(error)]
        pickled, words = _pickled(error, members)
        self._rows[number] = (
            pickled,
            words,
            _places(error.__traceback__, self._skipped),
            self._add(error.__cause__, depth + 1),
            self._add(error.__context__, depth + 1),
            members,
            error.__suppress_context__,
        )
        return number


def _members(error: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    # The group's own tuple, which has no cycles, whatever a subclass makes of the attribute.
    found: tuple[BaseException, ...] = vars(BaseExceptionGroup)["exceptions"].__get__(error)
    return found


def _pickled(error: BaseException, members: list[int | None]) -> tuple[bytes | None, str]:
    """Pickle an exception if it can be made again from that, and say it in words.

    Tried here, for many with constructors of their own cannot, and the receiver could only guess.
    """
    words = in_words(error)
    try:
        data = _dumps(error, members)
        # The members as they are: whether they can cross is seen where they are packed.
        again = _loads(data, _members(error))
        if _alike(again, error):
            return data, words
        why = "made again from its args, it is another one"
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 - because: constructors may raise anything
        why = in_words(problem)
    return None, f"{words} ({why})"


def _alike(again: Any, error: BaseException) -> bool:
    """Whether an exception that was made again is the same, as far as that can be told by looking.

    Arguments of the user's own types often compare and print by identity, so only their types count.
    """
    if type(again) is not type(error) or len(again.args) != len(error.args):
        return False
    plain = True
    for one, other in zip(again.args, error.args, strict=True):
        if type(one) is not type(other):
            return False
        if type(one) not in (str, bytes, int, float, bool, type(None)):
            plain = False
        elif repr(one) != repr(other):  # not ==, which nan does not pass
            return False
    return not plain or _text(again) == _text(error)


# --- from rows to exceptions ----------------------------------------------------------------------


class _Rebuilding:
    """Exceptions from rows, not yet chained. Owner: the thread that unpacks them."""

    def __init__(self, rows: list[_Row]) -> None:
        self._rows = rows
        self._made: dict[int, BaseException] = {}

    def errors(self) -> list[BaseException]:
        return [self._error(number) for number in range(len(self._rows))]

    def _error(self, number: int) -> BaseException:
        """Make one, its members before it."""
        if number not in self._made:
            pickled, words, _, _, _, members, _ = self._rows[number]
            made = [None if member is None else self._error(member) for member in members]
            self._made[number] = _rebuilt(pickled, words, made)
        return self._made[number]


def _rebuilt(
    pickled: bytes | None, words: str, members: Sequence[BaseException | None]
) -> BaseException:
    try:
        error = None if pickled is None else _loads(pickled, members)
        if isinstance(error, BaseException):
            return error
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 - because: its module may be missing here, or raise anything
        words = f"{words} (it cannot be made here: {in_words(problem)})"
    known = [member for member in members if member is not None]
    if known:  # what is inside is worth more than the name of what is around it
        return BaseExceptionGroup(words, known)
    return FarSideError("exception", words)


class _Pickler(pickle.Pickler):
    """Leaves the members of a group out: each crosses with its own traceback."""

    def __init__(self, file: io.BytesIO, numbers: dict[int, int]) -> None:
        super().__init__(file, 5)
        self._numbers = numbers

    def persistent_id(self, obj: Any) -> Any:
        return self._numbers.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, members: Sequence[BaseException | None]) -> None:
        super().__init__(file)
        self._members = members

    def persistent_load(self, pid: Any) -> Any:
        return self._members[pid]


def _dumps(error: BaseException, members: list[int | None]) -> bytes:
    if not members:
        return pickle.dumps(error, 5)
    places = {
        id(one): place
        for place, (one, number) in enumerate(zip(_members(error), members, strict=True))
        if number is not None
    }
    file = io.BytesIO()
    _Pickler(file, places).dump(error)
    return file.getvalue()


def _loads(data: bytes, members: Sequence[BaseException | None]) -> Any:
    if not members:
        return pickle.loads(data)  # noqa: S301 - because: from the own worker, or pickled here a moment ago
    return _Unpickler(io.BytesIO(data), members).load()


# --- tracebacks -----------------------------------------------------------------------------------


def _outermost(error: BaseException, count: int) -> list[types.FrameType]:
    frames: list[types.FrameType] = []
    trace = error.__traceback__
    while trace is not None and len(frames) < count:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames


def _places(trace: types.TracebackType | None, skipped: Iterable[types.FrameType]) -> list[_Place]:
    for frame in skipped:
        if trace is not None and trace.tb_frame is frame:
            trace = trace.tb_next
    traces = []
    while trace is not None:
        traces.append(trace)
        trace = trace.tb_next
    if len(traces) > _MAX_FRAMES:
        half = _MAX_FRAMES // 2
        traces = traces[:half] + traces[-half:]
    return [_place(one) for one in traces]


def _place(trace: types.TracebackType) -> _Place:
    frame = trace.tb_frame
    code = frame.f_code
    module = frame.f_globals.get("__name__")
    return (
        code.co_filename,
        code.co_name,
        code.co_qualname,
        module if type(module) is str else "",
        trace.tb_lineno or code.co_firstlineno,  # None where the compiler made up an instruction
        code.co_firstlineno,
    )


def _traceback(places: list[_Place]) -> types.TracebackType | None:
    trace: types.TracebackType | None = None
    for place in reversed(places):
        frame = _frame(place)
        trace = types.TracebackType(trace, frame, max(frame.f_lasti, 0), place[4])
    return trace


def _stand_in() -> Any:
    """A generator's body, for its frame: a generator that never ran has one already."""
    yield


_UNITS = len(_stand_in.__code__.co_code) // 2
_UNITS_PER_ENTRY = 8


def _frame(place: _Place) -> types.FrameType:
    """Return a frame that says it is at that place.

    A generator's frame can be had without running it: nobody's tracing sees it, and it has no caller
    (``f_back``), by which the exception would keep alive whatever the frames of this process hold.
    The code is that of a small function under another name.
    """
    file, name, qualified, module, line, first_line = place
    code = _stand_in.__code__.replace(
        co_filename=file,
        co_name=name,
        co_qualname=qualified,
        co_firstlineno=first_line,
        co_linetable=_line_table(line - first_line),
    )
    globals_ = {"__name__": module, "__file__": file, "__loader__": None}
    frame: types.FrameType = types.FunctionType(code, globals_)().gi_frame
    return frame


def _line_table(delta: int) -> bytes:
    """A line table that has all code on one line and no columns, so that no caret stands under a word.

    An entry is 0x80 | kind << 3 | units - 1, where kind 13 has a line and no columns, and the line's
    difference to the entry before, in sixes of bits with the sign in the lowest one (CPython's
    Objects/locations.md).
    """
    table = bytearray()
    units = _UNITS
    while units:
        step = min(units, _UNITS_PER_ENTRY)
        table.append(0x80 | 13 << 3 | step - 1)
        bits = delta << 1 if delta >= 0 else -delta << 1 | 1
        while bits > 0x3F:  # noqa: PLR2004 - because: six bits
            table.append(0x40 | bits & 0x3F)
            bits >>= 6
        table.append(bits)
        delta = 0
        units -= step
    return bytes(table)
