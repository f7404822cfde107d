"""Exceptions cross between processes with type, traceback and chain."""

from __future__ import annotations

import bdb
import contextlib
import gc
import inspect
import io
import linecache
import math
import pdb  # noqa: T100 - because: what it shows is tested
import subprocess
import sys
import textwrap
import threading
import traceback
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from _lanewise_worker.call import FarSideError
from _lanewise_worker.traces import pack_exception, unpack_exception

SOURCE = Path(__file__).parents[2] / "src"


class DetailedError(Exception):
    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class TwoArgumentsError(Exception):
    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left}{right}")


class PrefixedError(Exception):
    def __init__(self, number: Any) -> None:
        super().__init__(f"number {number}")


class ReducedError(Exception):
    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left}{right}")
        self.parts = left, right

    def __reduce__(self) -> Any:
        return ReducedError, self.parts


class LeavesError(Exception):
    """Its constructor ends the process when it is made again."""

    def __init__(self, *args: Any) -> None:
        if args == ("again",):
            raise SystemExit(1)
        super().__init__("again")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class GoneError(Exception): ...


class Warned(ExceptionGroup): ...


class Labelled(ExceptionGroup):
    def __new__(cls, label: str) -> Self:
        return super().__new__(cls, label, [ValueError(label)])

    def __init__(self, label: str) -> None:
        self.args = (label, "something else")


@dataclass(frozen=True)
class ImmutableError(Exception):
    number: int


class SealedError(Exception):
    """Forbids assignments, as frozen dataclasses do."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class Opaque:
    """Prints and compares by identity."""


def crossed(error: BaseException, skip_frames: int = 0) -> BaseException:
    return unpack_exception(pack_exception(error, skip_frames))


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fails() -> None:
    raise ValueError("boom")


def fails_below(depth: int = 3) -> None:
    if depth:
        fails_below(depth - 1)
    fails()


def fails_from() -> None:
    try:
        fails()
    except ValueError as error:
        raise KeyError("k") from error


def fails_meanwhile() -> None:
    try:
        fails()
    except ValueError:
        raise KeyError("k")  # noqa: B904 - because: the implicit chain is what is tested


def fails_from_none() -> None:
    try:
        fails()
    except ValueError:
        raise KeyError("k") from None


def overflows() -> None:
    overflows()


def places(error: BaseException) -> list[tuple[str, int | None, str]]:
    return [
        (one.filename, one.lineno, one.name) for one in traceback.extract_tb(error.__traceback__)
    ]


def shown(error: BaseException) -> str:
    """A traceback in text, without carets: columns do not cross."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line for line in lines if set(line) - set(" ~^|"))


# --- exceptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("a", 1, None, math.nan),
        KeyError("k"),
        OSError(2, "No such file or directory", "/a", None, "/b"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        SyntaxError("invalid", ("file.py", 3, 5, "a b c\n", 3, 6)),
        SystemExit(3),
        StopIteration(5),
        ImportError("no", name="module", path="/a"),
        DetailedError("detailed"),
        ReducedError("a", "b"),
        subprocess.CalledProcessError(3, ["a"], b"out", b"err"),
    ],
    ids=repr,
)
def test_an_exception_arrives_as_itself(error: BaseException) -> None:
    again = crossed(error)
    assert type(again) is type(error)
    assert repr(again) == repr(error)
    assert str(again) == str(error)
    attributes = ("filename", "filename2", "errno", "lineno", "text", "name", "path", "value")
    for name in (*attributes, "code", "object", "returncode", "stderr", "number"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_notes_and_attributes_come_along() -> None:
    error = DetailedError("a", 5)
    error.add_note("look there")
    error.request = {"id": 7}  # type: ignore[attr-defined]
    again: Any = crossed(error)
    assert again.__notes__ == ["look there"]
    assert (again.code, again.request) == (5, {"id": 7})


def test_an_exception_that_forbids_assignments_has_its_traceback_and_chain() -> None:
    def work() -> None:
        try:
            fails()
        except ValueError as error:
            raise SealedError("s") from error

    again = crossed(raised(work))
    assert type(again) is SealedError
    assert places(again)[-1][2] == "work"
    assert isinstance(again.__cause__, ValueError)


def test_arguments_that_print_by_identity_do_not_make_another_exception() -> None:
    again = crossed(ValueError(Opaque()))
    assert type(again) is ValueError
    assert type(again.args[0]) is Opaque


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TwoArgumentsError("a", "b"), "TwoArgumentsError: ab (builtins.TypeError: "),
        (PrefixedError(5), "PrefixedError: number 5 (made again"),
        (LeavesError(), "LeavesError: again (builtins.SystemExit: 1)"),
        (ImmutableError(3), "ImmutableError: 3 (dataclasses.FrozenInstanceError"),
        (ValueError(threading.Lock()), "cannot pickle '_thread.lock' object"),
        (type("Local", (Exception,), {})("a"), "Local: a ("),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_made_again_is_told_in_words(error: BaseException, words: str) -> None:
    again = crossed(error)
    assert isinstance(again, FarSideError)
    assert again.what == "exception"
    assert words in again.words


def test_an_attribute_that_cannot_be_pickled_is_told_too() -> None:
    error = DetailedError("detailed")
    error.code = threading.Lock()  # type: ignore[assignment]
    again = crossed(raised(lambda: _raise(error)))
    assert isinstance(again, FarSideError)
    assert "DetailedError: detailed (" in again.words
    assert places(again)[-1][2] == "_raise"


def _raise(error: BaseException) -> None:
    raise error


def test_an_exception_without_words_crosses() -> None:
    assert type(crossed(MuteError("a"))) is MuteError


def test_the_words_of_a_huge_message_are_short() -> None:
    again = crossed(TwoArgumentsError("x" * 1_000_000, ""))
    assert isinstance(again, FarSideError)
    assert len(again.words) < 20_000


def test_a_class_that_is_missing_here_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pack_exception(raised(lambda: _raise(GoneError("away"))))
    monkeypatch.delattr(sys.modules[__name__], "GoneError")
    again = unpack_exception(data)
    assert isinstance(again, FarSideError)
    assert "GoneError: away (it cannot be made here: builtins.AttributeError" in again.words
    assert places(again)[-1][2] == "_raise"


def test_bytes_that_are_no_exception_are_told_in_words() -> None:
    assert isinstance(unpack_exception(b"\x80\x05garbage"), FarSideError)


# --- tracebacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function", [fails, fails_below, fails_from, fails_meanwhile, fails_from_none]
)
def test_the_traceback_reads_as_it_does_there(function: Callable[[], None]) -> None:
    error = raised(function)
    again = crossed(error)
    assert shown(again) == shown(error)
    assert "fails" in shown(again)


def test_no_caret_stands_under_a_wrong_word() -> None:
    text = "".join(traceback.format_exception(crossed(raised(fails_below))))
    assert "^" not in text
    assert "~" not in text


def test_frames_say_where_they_are() -> None:
    error = raised(fails_below)
    again = crossed(error)
    pairs = zip(
        traceback.walk_tb(again.__traceback__), traceback.walk_tb(error.__traceback__), strict=True
    )
    for (frame, line), (original, original_line) in pairs:
        assert line == frame.f_lineno == original_line
        for name in ("co_filename", "co_name", "co_qualname", "co_firstlineno"):
            assert getattr(frame.f_code, name) == getattr(original.f_code, name)
        assert frame.f_globals["__name__"] == __name__
        assert frame.f_globals["__file__"] == __file__
        assert frame.f_globals["__loader__"] is None
        assert all(
            end is None and column is None for _, _, column, end in frame.f_code.co_positions()
        )


@pytest.mark.parametrize("line", [1, 40, 63, 64, 4_000, 1_000_000])
@pytest.mark.parametrize("first", [1, 40, 100_000])
def test_any_line_is_shown_exactly(line: int, first: int) -> None:
    code = compile("raise ValueError", "somewhere.py", "exec")
    code = code.replace(co_firstlineno=first, co_linetable=code.co_linetable)
    error = raised(lambda: exec(code, {}))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    moved = types.TracebackType(None, trace.tb_frame, trace.tb_lasti, line)
    again = crossed(error.with_traceback(moved))
    assert again.__traceback__ is not None
    assert again.__traceback__.tb_lineno == line
    assert again.__traceback__.tb_frame.f_lineno == line
    assert again.__traceback__.tb_frame.f_code.co_firstlineno == first


def test_debuggers_list_the_lines() -> None:
    again = crossed(raised(fails))
    output = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO("where\nlist\nargs\nup\nquit\n"), stdout=output)
    debugger.reset()
    with contextlib.suppress(bdb.BdbQuit):
        debugger.interaction(None, again.__traceback__)
    assert 'raise ValueError("boom")' in output.getvalue()
    assert "fails()" in output.getvalue()


def test_inspect_shows_the_lines() -> None:
    again = crossed(raised(fails))
    inner = inspect.getinnerframes(again.__traceback__)[-1]  # type: ignore[arg-type]
    assert inner.function == "fails"
    assert inner.code_context == ['    raise ValueError("boom")\n']


def test_a_file_that_is_missing_here_is_no_trouble(tmp_path: Path) -> None:
    file = tmp_path / "gone.py"
    code = compile("def f():\n    1 / 0\nf()", str(file), "exec")
    again = crossed(raised(lambda: exec(code, {"__name__": "gone"})))
    linecache.checkcache()
    assert f'File "{file}", line 2, in f' in shown(again)


def test_lanewises_own_frames_are_dropped_wherever_they_show() -> None:
    def work() -> None:
        error = raised_here()
        told = RuntimeError("in other words")
        told.__cause__ = error
        raise told.with_traceback(error.__traceback__)

    def raised_here() -> BaseException:
        try:
            fails_below(1)
        except ValueError as error:
            return error
        raise AssertionError

    again = crossed(raised(work), skip_frames=2)
    assert [name for _, _, name in places(again)] == [
        "raised_here",
        "fails_below",
        "fails_below",
        "fails",
    ]
    assert again.__cause__ is not None
    assert places(again.__cause__)[0][2] == "raised_here"


def test_more_frames_are_skipped_than_there_are() -> None:
    assert crossed(raised(fails), skip_frames=100).__traceback__ is None


def test_of_a_long_traceback_the_ends_are_kept() -> None:
    error = raised(overflows)
    again = crossed(error)
    assert type(again) is RecursionError
    there, here = places(error), places(again)
    assert len(there) > 200
    assert here == there[:60] + there[-60:]


def test_it_can_cross_twice() -> None:
    error = raised(fails_from)
    assert shown(crossed(crossed(error))) == shown(error)


def test_it_can_be_raised_again_here() -> None:
    again = crossed(raised(fails))
    with pytest.raises(ValueError, match="boom") as caught:
        raise again
    assert [entry.name for entry in caught.traceback][-2:] == ["raised", "fails"]
    traceback.clear_frames(again.__traceback__)


def test_it_keeps_nothing_of_this_process_alive() -> None:
    class Held: ...

    def receive(data: bytes) -> tuple[BaseException, weakref.ref[Held]]:
        held = Held()
        return unpack_exception(data), weakref.ref(held)

    data = pack_exception(raised(lambda: _raise(DetailedError("d"))))
    gc.disable()
    try:
        again, held = receive(data)
        assert held() is None
        for frame, _ in traceback.walk_tb(again.__traceback__):
            assert frame.f_back is None
        gone = weakref.ref(again)
        del again, frame
        assert gone() is None
    finally:
        gc.enable()


# --- chains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [fails_from, fails_meanwhile, fails_from_none])
def test_the_chain_comes_along(function: Callable[[], None]) -> None:
    error = raised(function)
    again = crossed(error)
    assert type(again.__cause__) is type(error.__cause__)
    assert type(again.__context__) is ValueError
    assert again.__suppress_context__ is error.__suppress_context__
    assert places(again.__context__)[-1][2] == "fails"
    # In most chains the cause is the context too.
    assert (again.__cause__ is again.__context__) == (error.__cause__ is error.__context__)


def test_what_cannot_cross_is_replaced_in_its_place() -> None:
    def work() -> None:
        try:
            _raise(TwoArgumentsError("a", "b"))
        except TwoArgumentsError as error:
            raise KeyError("k") from error

    again = crossed(raised(work))
    assert type(again) is KeyError
    assert isinstance(again.__cause__, FarSideError)
    assert "TwoArgumentsError: ab" in again.__cause__.words
    assert places(again.__cause__)[-1][2] == "_raise"


def test_a_chain_may_bite_its_tail() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    again = crossed(first)
    assert again.__cause__ is not None
    assert again.__cause__.__cause__ is again


def test_a_long_chain_is_cut() -> None:
    error = newest = ValueError(0)
    for number in range(1, 5_000):
        newest = ValueError(number)
        newest.__context__, error = error, newest
    again: BaseException | None = crossed(newest)
    numbers = []
    while again is not None:
        numbers.append(again.args[0])
        again = again.__context__
    assert numbers == list(range(4_999, 4_967, -1))


# --- groups ---------------------------------------------------------------------------------------


def group() -> None:
    errors = [
        raised(function) for function in (fails, fails_from, lambda: _raise(DetailedError("d", 4)))
    ]
    raise ExceptionGroup("several", [*errors, Warned("inner", [errors[0]])])  # type: ignore[type-var]


def test_members_of_a_group_have_their_tracebacks_and_chains() -> None:
    error = raised(group)
    again = crossed(error)
    assert isinstance(again, ExceptionGroup)
    assert shown(again) == shown(error)
    value_error, key_error, detailed, inner = again.exceptions
    assert places(value_error)[-1][2] == "fails"
    assert isinstance(key_error.__cause__, ValueError)
    assert isinstance(detailed, DetailedError)
    assert detailed.code == 4
    assert type(inner) is Warned
    assert inner.exceptions[0] is value_error


def test_a_member_that_cannot_cross_is_replaced_and_the_rest_stays() -> None:
    again = crossed(ExceptionGroup("several", [ValueError("a"), TwoArgumentsError("a", "b")]))
    assert type(again) is ExceptionGroup
    first, second = again.exceptions
    assert type(first) is ValueError
    assert isinstance(second, FarSideError)
    assert "TwoArgumentsError: ab" in second.words


def test_a_group_that_cannot_cross_becomes_a_plain_one_with_its_members() -> None:
    again = crossed(raised(lambda: _raise(Labelled("label"))))
    assert type(again) is ExceptionGroup
    assert "Labelled: label" in again.message
    assert repr(again.exceptions) == "(ValueError('label'),)"
    assert places(again)[-1][2] == "_raise"


def test_a_group_of_more_than_exceptions() -> None:
    again = crossed(BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("a")]))
    assert type(again) is BaseExceptionGroup
    assert [type(one) for one in again.exceptions] == [KeyboardInterrupt, ValueError]


def test_a_member_may_have_its_group_as_cause() -> None:
    member = ValueError("a")
    member.__cause__ = ExceptionGroup("g", [member])
    again = crossed(member)
    assert isinstance(again.__cause__, ExceptionGroup)
    assert again.__cause__.exceptions[0] is again


def test_a_large_group_crosses_whole() -> None:
    again = crossed(ExceptionGroup("g", [ValueError(number) for number in range(3_000)]))
    assert isinstance(again, ExceptionGroup)
    assert [one.args[0] for one in again.exceptions] == list(range(3_000))


# --- between processes ----------------------------------------------------------------------------


def test_between_two_processes(tmp_path: Path) -> None:
    script = tmp_path / "far_side.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from _lanewise_worker.traces import pack_exception

            class OnlyThere(Exception):
                pass

            def divide(number):
                return number / 0

            def work():
                try:
                    divide(1)
                except ZeroDivisionError as error:
                    error.add_note("noted there")
                    raise OSError(2, "No such file", "/there") from error

            def strange():
                raise OnlyThere("far away")

            for function in (work, strange):
                try:
                    function()
                except Exception as error:
                    data = pack_exception(error, skip_frames=1)
                    sys.stdout.buffer.write(len(data).to_bytes(4, "big") + data)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    length = int.from_bytes(done.stdout[:4], "big")
    again = unpack_exception(done.stdout[4 : 4 + length])
    assert isinstance(again, OSError)
    assert again.filename == "/there"
    text = shown(again)
    assert f'File "{script}", line 9, in divide\n    return number / 0' in text
    assert "noted there" in text
    assert "in <module>" not in text
    strange = unpack_exception(done.stdout[8 + length :])
    assert isinstance(strange, FarSideError)
    assert "__main__.OnlyThere: far away (it cannot be made here" in strange.words
    assert places(strange) == [(str(script), 19, "strange")]
