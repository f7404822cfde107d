"""What workers print reaches the parent's own streams, and harms neither side."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.interpreters import far_side

from _lanewise_worker.replay import OutputRelay

# --- what a worker prints -------------------------------------------------------------------------


def settled(code: str) -> tuple[list[bool], subprocess.CompletedProcess[bytes]]:
    """Run code that calls ``settle()``; return what that said, and the process."""
    done = far_side(
        """
        import contextlib, ctypes, io, json, os, sys
        from _lanewise_worker.reporting import capture_output

        report = os.dup(2)
        output = capture_output()
        said = []

        def settle():
            said.append(output.settle())

        """
        + textwrap.indent(textwrap.dedent(code), " " * 8)
        + """
        os.write(report, b"\\n#" + json.dumps(said).encode())
        os._exit(0)
        """
    )
    before, _, report = done.stderr.rpartition(b"\n#")
    done.stderr = before
    return json.loads(report), done


def test_what_is_printed_goes_to_the_descriptors_in_order() -> None:
    said, done = settled(
        """
        settle()
        print("out", "ü")
        print("no line end", end="")
        settle()
        settle()
        print("err", file=sys.stderr)
        sys.stderr.write("\\udcff")
        settle()
        settle()
        """
    )
    assert said == [False, True, False, True, False]
    assert done.stdout == "out ü\nno line end".encode()
    assert done.stderr == b"err\n\\udcff"


def test_streams_are_what_programs_expect() -> None:
    said, done = settled(
        """
        for number, name in ((1, "stdout"), (2, "stderr")):
            stream = getattr(sys, name)
            assert stream is getattr(sys, f"__{name}__")
            assert stream.fileno() == number
            assert (stream.encoding, stream.errors) == ("utf-8", "backslashreplace")
            assert (stream.name, stream.mode) == (f"<{name}>", "w")
            assert stream.line_buffering
        assert not sys.stdout.isatty()
        sys.stdout.buffer.write(b"bytes")
        settle()
        """
    )
    assert said == [True]
    assert done.stdout == b"bytes"


def test_a_line_is_written_at_its_end_and_not_before() -> None:
    _, done = settled(
        """
        print("held", end="")
        os.write(1, b"first ")
        print()
        os.write(1, b"last")
        """
    )
    assert done.stdout == b"first held\nlast"


def test_output_of_compiled_code_goes_the_same_way() -> None:
    said, done = settled(
        """
        print("before")
        libc = ctypes.CDLL(None)
        libc.puts(b"compiled")
        libc.fflush(None)
        print("after")
        settle()
        libc.puts(b"again")
        libc.fflush(None)
        settle()
        """
    )
    assert done.stdout == b"before\ncompiled\nafter\nagain\n"
    assert said == [True, False]


def test_redirected_output_is_not_ours() -> None:
    said, done = settled(
        """
        with contextlib.redirect_stdout(io.StringIO()) as elsewhere:
            print("elsewhere")
            settle()
        print("here")
        settle()
        """
    )
    assert said == [False, True]
    assert done.stdout == b"here\n"


@pytest.mark.parametrize(
    "close", ["sys.stdout.close()", "sys.stdout.buffer.close()", "sys.stdout.detach().close()"]
)
def test_after_a_call_that_closed_its_output_the_next_one_can_print(close: str) -> None:
    said, done = settled(
        f"""
        print("before")
        {close}
        settle()
        print("after")
        print("err", file=sys.stderr)
        settle()
        sys.__stdout__.write("also")
        settle()
        """
    )
    assert said == [True, True, True]
    assert done.stdout == b"before\nafter\nalso"
    assert done.stderr == b"err\n"


def test_what_the_user_put_in_its_place_stays() -> None:
    _, done = settled(
        """
        mine = io.StringIO()
        sys.stdout.close()
        sys.stdout = mine
        settle()
        print("mine")
        settle()
        assert mine.getvalue() == "mine\\n"
        sys.stdout = sys.__stdout__
        print("ours")
        settle()
        """
    )
    assert done.stdout == b"ours\n"


def test_streams_that_nobody_refers_to_stay_open() -> None:
    said, _ = settled(
        """
        sys.stdout = sys.__stdout__ = io.StringIO()
        settle()
        """
    )
    assert said == [False]


@pytest.mark.parametrize("close", ["os.close(1)", "os.dup2(os.open('/dev/full', 1), 1)"])
def test_a_descriptor_that_takes_nothing_harms_nobody(close: str) -> None:
    said, done = settled(
        f"""
        print("before")
        {close}
        sys.stdout.buffer.write(b"lost")
        settle()
        print("err", file=sys.stderr)
        settle()
        """
    )
    assert said[0] is True
    assert done.stdout == b"before\n"
    assert done.stderr == b"err\n"


def test_threads_may_print_while_the_worker_settles() -> None:
    said, done = settled(
        """
        import threading
        def work():
            for number in range(2000):
                print("x" * 10, end="")
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            output.settle()
        output.settle()
        settle()
        """
    )
    assert said == [False]
    assert done.stdout == b"x" * 60_000


# --- what the parent does with it -----------------------------------------------------------------


class Target(io.StringIO):
    """A stream that keeps what was written even when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


@contextlib.contextmanager
def streams() -> Iterator[tuple[Target, Target]]:
    """This process's own streams: not by a fixture, after which pytest puts its own in their place."""
    with (
        contextlib.redirect_stdout(out := Target()),
        contextlib.redirect_stderr(err := Target()),
    ):
        yield out, err


def test_whole_lines_are_passed_on() -> None:
    with streams() as (out, err):
        relay = OutputRelay()
        relay.feed("stdout", b"one\ntw")
        relay.feed("stderr", b"err")
        relay.feed("stdout", b"o\nthree")
        assert (out.pieces, err.pieces) == (["one\n", "two\n"], [])
        relay.flush()
        assert (out.pieces, err.pieces) == (["one\n", "two\n", "three"], ["err"])


def test_lines_of_two_workers_do_not_mix() -> None:
    with streams() as (out, _):
        one, other = OutputRelay(), OutputRelay()
        for _ in range(3):
            one.feed("stdout", b"aa")
            other.feed("stdout", b"bb")
        one.feed("stdout", b"\n")
        other.feed("stdout", b"\n")
        assert out.getvalue() == "aaaaaa\nbbbbbb\n"


def test_characters_may_arrive_in_pieces() -> None:
    with streams() as (out, _):
        relay = OutputRelay()
        data = "ä€😀\n".encode()
        for position in range(len(data)):
            relay.feed("stdout", data[position : position + 1])
            relay.flush(final=False)
        relay.feed("stdout", b"\xff\xe2\x82")
        relay.flush()
        assert out.getvalue() == "ä€😀\n\\xff\\xe2\\x82"


def test_a_progress_bar_moves() -> None:
    with streams() as (out, _):
        relay = OutputRelay()
        relay.feed("stdout", b"10 %\r20 %\r")
        assert out.getvalue() == "10 %\r20 %\r"


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    with streams() as (_, err):
        relay = OutputRelay()
        for _ in range(1_000):
            relay.feed("stderr", b"x" * 1_000)
        assert len(err.getvalue()) > 900_000
        assert len(relay.tail()) == 4_096
        relay.flush()
        assert err.getvalue() == "x" * 1_000_000


def test_a_quiet_relay_keeps_the_tail_only() -> None:
    with streams() as (out, err):
        relay = OutputRelay(echo=False)
        relay.feed("stdout", b"out\n")
        relay.feed("stderr", b"err\nrest")
        relay.flush()
        assert [out.getvalue(), err.getvalue()] == ["", ""]
        assert relay.tail() == "err\nrest"


def test_the_tail_is_the_last_twenty_lines() -> None:
    relay = OutputRelay(echo=False)
    relay.feed("stderr", b"".join(b"line %d\n" % number for number in range(100)))
    relay.feed("stdout", b"not this\n")
    relay.feed("stderr", b"and this")
    assert relay.tail().split("\n") == [f"line {number}" for number in range(80, 100)] + [
        "and this"
    ]


def broken_stream(kind: str) -> Any:
    if kind == "absent":
        return None
    if kind == "strange":
        return object()
    stream: Any = io.TextIOWrapper(io.BytesIO(), "utf-8")
    stream.close()
    return stream


@pytest.mark.parametrize("kind", ["absent", "strange", "closed"])
def test_streams_that_are_broken_harm_nobody(kind: str) -> None:
    relay = OutputRelay()
    with contextlib.redirect_stdout(broken_stream(kind)):
        relay.feed("stdout", b"x\n")


def test_a_full_pipe_harms_nobody() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    raw: Any = io.FileIO(write_fd, "w")
    relay = OutputRelay()
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BufferedWriter(raw))) as stream:
        for _ in range(100):
            relay.feed("stdout", b"x" * 10_000 + b"\n")
        os.close(read_fd)
        relay.feed("stdout", b"nobody reads\n")
    with contextlib.suppress(OSError):
        stream.close()


def test_what_a_stream_cannot_encode_is_escaped() -> None:
    buffer = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(buffer, "ascii")):
        OutputRelay().feed("stdout", "ä\n".encode())
        assert buffer.getvalue() == b"\\xe4\n"


def test_a_crash_is_recognised_however_long_its_report_is() -> None:
    done = far_side(
        """
        import ctypes, faulthandler, sys, threading
        from _lanewise_worker.reporting import capture_output

        capture_output()
        faulthandler.enable(file=sys.stderr)
        print("before the crash", file=sys.stderr)

        def deep(levels):
            if levels:
                deep(levels - 1)
            else:
                ctypes.string_at(0)

        deep(80)
        """,
        check=False,
    )
    assert done.returncode < 0
    relay = OutputRelay(echo=False)
    for position in range(0, len(done.stderr), 100):
        relay.feed("stderr", done.stderr[position : position + 100])
    assert relay.fault().startswith("Fatal Python error: Segmentation fault")
    assert "in deep" in relay.fault()
    assert len(relay.fault()) <= 4_096
    assert "before the crash" not in relay.fault()


def test_a_report_that_was_cut_off_is_recognised() -> None:
    relay = OutputRelay(echo=False)
    relay.feed("stderr", b"a\nFatal Python error: Abor")
    assert relay.fault() == "Fatal Python error: Abor"


def test_without_a_crash_there_is_no_fault() -> None:
    relay = OutputRelay(echo=False)
    relay.feed("stderr", b"said: Fatal Python error\n")
    assert relay.fault() == ""
