"""Large values cross through shared memory that is used again when nothing refers to it, not earlier."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import socket
import struct
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from _lanewise_worker import segments
from _lanewise_worker.codec import Encoded, decode, encode
from _lanewise_worker.segments import Receiver, Sender
from _lanewise_worker.shared_memory import ALIGN_BYTES

ON_LINUX = sys.platform == "linux"
MIB = 1 << 20


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


class Ends:
    """Both ends of one direction."""

    def __init__(self, keep_bytes: int = 512 * MIB) -> None:
        self.near, self.far = socket.socketpair()
        self.far.settimeout(30)
        self.sender = Sender(self.pass_fd, keep_bytes=keep_bytes)
        self.receiver = Receiver(self.take_fd)

    def pass_fd(self, fd: int) -> None:
        socket.send_fds(self.near, [b"+"], [fd])

    def take_fd(self) -> int:
        _, fds, _, _ = socket.recv_fds(self.far, 1, 1)
        return fds[0]

    def placed(self, value: Any) -> segments.Placement:
        encoded = encode(value)
        assert isinstance(encoded, Encoded)
        placement = self.sender.place(encoded)
        assert placement is not None, self.sender.trouble
        return placement

    def sent(self, value: Any) -> tuple[int, Any]:
        """Send a value; return its segment and what arrives."""
        placement = self.placed(value)
        placement.copy()
        number, stream, buffers = self.receiver.open(placement.header)
        assert number == placement.segment_id
        return number, decode(stream, buffers)

    def used(self, value: Any) -> int:
        """Send a value, of which nothing is kept; return its segment."""
        return self.sent(value)[0]

    def settle(self) -> list[int]:
        """Give back what nothing refers to; return that."""
        released = self.receiver.take_released()
        for number in released:
            self.sender.released(number)
        return released

    def trim(self) -> list[int]:
        dropped = self.sender.trim()
        for number in dropped:
            self.receiver.forget(number)
        return dropped

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    before = descriptors()
    ends = Ends()
    yield ends
    ends.close()
    gc.collect()
    assert descriptors() == before


@pytest.fixture(params=["ctypes", "without ctypes"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)


def block(size: int = 200_000, fill: int = 7) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(bytearray([fill]) * size)


# --- what arrives ---------------------------------------------------------------------------------


VALUES: dict[str, Callable[[], Any]] = {
    "stream only": lambda: [b"x" * 100_000, "y" * 70_000, list(range(5_000))],
    "one buffer": block,
    "both": lambda: {"a": block(), "b": b"z" * 300_000, "c": block(1_000_000, 3)},
    "read-only": lambda: pickle.PickleBuffer(bytes(300_000)),
    "empty buffers": lambda: [block(), block(0), pickle.PickleBuffer(b""), block(70_001)],
    "hundreds": lambda: [block(4_096 + n, n % 256) for n in range(600)],
    "odd lengths": lambda: [block(size) for size in (65_537, 4_097, 262_143, 262_144, 262_145)],
}


def plain(value: Any) -> Any:
    """The value with its buffers as bytes, and whether each may be written."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, (pickle.PickleBuffer, memoryview, bytearray)):
        view = memoryview(value)
        return bytes(view), view.readonly
    # A read-only buffer that stayed in the pickle.
    return (value, True) if value == b"" else value


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("name", VALUES)
def test_values_arrive_as_they_were(ends: Ends, name: str) -> None:
    for _ in range(3):
        number, found = ends.sent(VALUES[name]())
        assert plain(found) == plain(VALUES[name]())
        del found
        assert ends.settle() == [number] == [1]


def test_buffers_are_aligned(ends: Ends) -> None:
    _, found = ends.sent([block(65_537 + n) for n in range(20)])
    for view in found:
        if isinstance(view, memoryview):
            assert ctypes.addressof(ctypes.c_char.from_buffer(view)) % ALIGN_BYTES == 0


def test_what_arrives_is_the_receivers_own(ends: Ends) -> None:
    content = bytearray(200_000)
    _, found = ends.sent(pickle.PickleBuffer(content))
    found[5] = 9
    content[6] = 9
    assert (content[5], found[6]) == (0, 0)


@pytest.mark.skipif(not ON_LINUX, reason="says what Linux says")
def test_segments_have_no_name_and_keep_no_descriptor(ends: Ends) -> None:
    visible = sorted(Path("/dev/shm").iterdir())
    before = descriptors()
    kept = [ends.sent(block())[1] for _ in range(40)]
    assert len(kept) == 40
    assert descriptors() == before
    assert sorted(Path("/dev/shm").iterdir()) == visible


def test_a_copy_gives_the_lock_up() -> None:
    keeps_the_lock = 4  # FUNCFLAG_PYTHONAPI
    assert not type(ctypes.memmove)._flags_ & keeps_the_lock  # type: ignore[attr-defined] # because: undocumented


def test_copies_are_made_in_any_thread(ends: Ends) -> None:
    values = [block(300_000 + n, n) for n in range(8)]
    placements = [ends.placed(value) for value in values]
    threads = [threading.Thread(target=one.copy) for one in placements]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for value, placement in zip(values, placements, strict=True):
        _, stream, buffers = ends.receiver.open(placement.header)
        assert bytes(decode(stream, buffers)) == bytes(value)


# --- when a segment is used again -----------------------------------------------------------------


class Cycle:
    """Refers to itself, so only the collector ends it."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self.me = self


def raised_with(view: Any) -> BaseException:
    def use(local: Any) -> None:
        raise ValueError(len(local))

    try:
        use(view)
    except ValueError as error:
        return error
    raise AssertionError


KEEPERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda view: view,
    "a slice": lambda view: view[10:20],
    "an empty slice": lambda view: view[5:5],
    "a view": memoryview,
    "a view of a view": lambda view: memoryview(memoryview(view)[1:][1:]),
    "a cast": lambda view: view.cast("H"),
    "read-only": lambda view: view.toreadonly(),
    "a pickle buffer": lambda view: [pickle.PickleBuffer(view)],
    "a ctypes array": (ctypes.c_char * 8).from_buffer,
    "an exporter": lambda view: view.obj,
    "a closure": lambda view: lambda: view,
    "an iterator": iter,
    "an exception": raised_with,
    "a cycle": Cycle,
}


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("name", KEEPERS)
def test_a_segment_is_in_use_while_something_refers_to_it(ends: Ends, name: str) -> None:
    number, found = ends.sent(block())
    keeper = KEEPERS[name](found)
    assert ends.settle() == []
    del found
    gc.collect()
    assert ends.settle() == []
    other = ends.used(block())
    assert other != number
    del keeper
    gc.collect()
    assert sorted(ends.settle()) == [number, other]
    assert ends.settle() == []


def test_copies_keep_nothing(ends: Ends) -> None:
    number, found = ends.sent(block())
    copies = [bytes(found), bytearray(found), found.tolist(), found[3]]
    del found
    assert ends.settle() == [number]
    assert len(copies) == 4


def test_one_of_many_buffers_keeps_the_segment(ends: Ends) -> None:
    number, found = ends.sent([block() for _ in range(10)])
    one = found[7]
    del found
    assert ends.settle() == []
    assert one[0] == 7
    del one
    assert ends.settle() == [number]


saved: list[Any] = []


class Saved(Cycle):
    """Brings its view back to life when the collector comes."""

    def __del__(self) -> None:
        saved.append(self.view)


class Reads(Cycle):
    """Looks at its view when the collector comes, and lets the owner look as well."""

    def __init__(self, view: Any, look: Callable[[], list[int]]) -> None:
        super().__init__(view)
        self.look = look

    def __del__(self) -> None:
        saved.append((self.look(), bytes(self.view[:3])))


@pytest.mark.usefixtures("either")
def test_what_a_finalizer_saves_from_the_collector_stays_in_use(ends: Ends) -> None:
    number, found = ends.sent(block())
    keeper = Saved(found)
    del found, keeper
    gc.collect()
    assert ends.settle() == []
    assert ends.settle() == []
    assert bytes(saved[0]) == bytes(block())
    saved.clear()
    assert ends.settle() == [number]
    assert ends.settle() == []


@pytest.mark.usefixtures("either")
def test_what_a_finalizer_reads_is_in_use_until_it_has_ended(ends: Ends) -> None:
    number, found = ends.sent(block())
    keeper = Reads(found, ends.settle)
    del found, keeper
    gc.collect()
    assert saved.pop() == ([], bytes([7, 7, 7]))
    assert ends.settle() == [number]


def test_views_may_end_in_any_thread(ends: Ends) -> None:
    expected = []
    for _ in range(20):
        number, found = ends.sent(block())
        expected.append(number)
        box = [found]
        del found
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join(30)
        assert ends.settle() == [number]
    assert expected == [1] * 20


def test_a_value_that_cannot_be_made_again_gives_its_segment_back(ends: Ends) -> None:
    placement = ends.placed(block())
    placement.copy()
    number, stream, buffers = ends.receiver.open(placement.header)
    stream[0] = 255
    caught = None
    try:
        decode(stream, buffers)
    except Exception as error:
        caught = error
    del stream, buffers
    assert caught is not None
    assert ends.settle() == []  # its traceback shows it
    caught = None
    assert ends.settle() == [number]


def test_done_ends_the_pickle_and_not_the_buffers(ends: Ends) -> None:
    placement = ends.placed(block())
    placement.copy()
    number, stream, buffers = ends.receiver.open(placement.header)
    ends.receiver.done(number)
    with pytest.raises(ValueError, match="released"):
        stream[0]
    ends.receiver.done(number)
    assert buffers[0][0] == 7
    del buffers
    assert ends.settle() == [number]  # though somebody has the stream's husk
    ends.receiver.done(number)
    ends.receiver.done(99)


def test_a_pickle_that_is_being_read_is_not_taken_away(ends: Ends) -> None:
    placement = ends.placed([b"x" * 100_000])
    placement.copy()
    number, stream, buffers = ends.receiver.open(placement.header)
    reader = memoryview(stream)
    export = (ctypes.c_char * 4).from_buffer(stream)
    ends.receiver.done(number)
    assert reader[0] == export.raw[0]
    del stream, buffers, reader, export
    assert ends.settle() == [number]


class TestArrays:
    """With numpy."""

    @pytest.fixture(autouse=True)
    def _numpy(self) -> None:
        self.np = pytest.importorskip("numpy")

    @pytest.mark.usefixtures("either")
    @pytest.mark.parametrize(
        "derive",
        [
            lambda array: array,
            lambda array: array[3:9],
            lambda array: array[::-2],
            lambda array: array.T,
            lambda array: array.reshape(100, -1),
            lambda array: array.view("u1"),
            memoryview,
            lambda array: memoryview(array)[4:].toreadonly(),
            lambda array: array[:0],
            lambda array: array.flat,
            Cycle,
            raised_with,
        ],
    )
    def test_whatever_is_derived_keeps_the_segment(self, ends: Ends, derive: Any) -> None:
        sent = self.np.arange(50_000, dtype="f8")
        number, found = ends.sent(sent)
        self.np.testing.assert_array_equal(found, sent)
        derived = derive(found)
        del found
        gc.collect()
        assert ends.settle() == []
        del derived
        gc.collect()
        assert ends.settle() == [number]

    def test_results_of_arithmetic_keep_nothing(self, ends: Ends) -> None:
        number, found = ends.sent(self.np.arange(50_000))
        result = found + 1
        del found
        assert ends.settle() == [number]
        assert result[0] == 1

    def test_flags_and_layout_stay(self, ends: Ends) -> None:
        readonly = self.np.zeros(50_000)
        readonly.setflags(write=False)
        fortran = self.np.asfortranarray(self.np.arange(90_000).reshape(300, 300))
        _, found = ends.sent([readonly, fortran, self.np.zeros((0, 3)), fortran[::2]])
        assert not found[0].flags.writeable
        assert found[1].flags.writeable
        assert found[1].flags.f_contiguous
        assert found[2].shape == (0, 3)
        self.np.testing.assert_array_equal(found[3], fortran[::2])


# --- which segment is used ------------------------------------------------------------------------


def test_the_smallest_one_that_fits_is_used(ends: Ends) -> None:
    large, small, medium = (ends.used(block(size)) for size in (3 * MIB, MIB, 2 * MIB))
    assert sorted(ends.settle()) == sorted([large, small, medium])
    assert ends.used(block(MIB // 2)) == small
    ends.settle()
    assert ends.used(block(MIB + 400_000)) == medium


def test_small_messages_leave_much_larger_segments_alone(ends: Ends) -> None:
    large = ends.used(block(20 * MIB))
    ends.settle()
    small = ends.used(block(70_000))
    assert small != large


def test_the_smallest_messages_use_segments_again(ends: Ends) -> None:
    for _ in range(10):
        assert ends.used(block(65_536)) == 1
        ends.settle()


def test_sizes_waste_little() -> None:
    for wanted in [1, MIB - 1, MIB, MIB + 1, 100_000_000, (5 << 30) + 1]:
        rounded = segments._rounded(wanted)
        assert wanted <= rounded <= max(wanted * 1.25, 1 << 18)
        assert segments._rounded(rounded) == rounded


def test_trim_drops_what_was_not_used_since_the_last_time(ends: Ends) -> None:
    first, kept = ends.sent(block())
    second = ends.used(block())
    ends.settle()
    assert ends.trim() == []
    assert ends.used(block()) == second
    ends.settle()
    third = ends.used(block(MIB))
    ends.settle()
    assert ends.trim() == []
    assert sorted(ends.trim()) == [second, third]
    assert ends.trim() == []
    del kept
    assert ends.settle() == [first]
    assert ends.trim() == []
    assert ends.trim() == [first]
    assert ends.used(block()) == 4


def test_trim_keeps_so_much_and_what_was_used_last() -> None:
    ends = Ends(keep_bytes=3 * MIB)
    kept = [ends.sent(block(MIB - 1_000))[1] for _ in range(5)]
    while kept:
        kept.pop(0)
        ends.settle()
    assert sorted(ends.trim()) == [1, 2]
    ends.close()


@pytest.mark.skipif(not ON_LINUX, reason="asks Linux")
def test_what_is_dropped_is_unmapped_on_both_sides(ends: Ends) -> None:
    before = mapped()
    ends.sent(block())
    ends.settle()
    assert mapped() == before + 2
    ends.trim()
    ends.trim()
    assert mapped() == before


def mapped() -> int:
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return sum("memfd:lanewise-segment" in line for line in lines)


@pytest.mark.skipif(not ON_LINUX, reason="asks Linux")
def test_views_outlive_everything_else() -> None:
    before = mapped()
    ends = Ends()
    _, found = ends.sent(block())
    ends.receiver.forget(1)
    ends.close()
    ends.close()
    assert bytes(found) == bytes(block())
    assert mapped() == before + 1
    del found
    assert mapped() == before
    assert ends.receiver.take_released() == []


def test_no_further_segments_when_too_many_are_kept(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_MAX_SEGMENTS", 3)
    kept = [ends.sent(block())[1] for _ in range(3)]
    encoded = encode(block())
    assert isinstance(encoded, Encoded)
    assert ends.sender.place(encoded) is None
    assert "still referred to" in str(ends.sender.trouble)
    kept.pop()
    ends.settle()
    assert ends.used(block()) == 3


# --- calls that are not sent, descriptors out of order --------------------------------------------


def test_a_message_that_is_not_sent_leaves_its_segment_to_the_next(ends: Ends) -> None:
    first = ends.placed(block(MIB))
    first.copy()
    first.abandon()
    assert ends.sent(block(MIB, 3))[1][5] == 3
    assert ends.settle() == [1]
    again = ends.placed(block(MIB))
    again.abandon()
    assert ends.sent(block(MIB, 4))[1][5] == 4


def test_descriptors_may_come_in_another_order_than_messages(ends: Ends) -> None:
    placements = [ends.placed(block(200_000, fill)) for fill in range(5)]
    placements[0].abandon()
    for fill in (4, 2, 1, 3):
        placements[fill].copy()
        _, stream, buffers = ends.receiver.open(placements[fill].header)
        assert bytes(decode(stream, buffers)) == bytes([fill]) * 200_000
    del stream, buffers
    assert sorted(ends.settle()) == [2, 3, 4, 5]
    assert not ends.trim()  # the first one is still unknown over there
    assert sorted(ends.trim()) == [2, 3, 4, 5]
    assert ends.used(block(200_000, 9)) == 1


def test_a_copy_after_the_end_says_so(ends: Ends) -> None:
    placement = ends.placed(block())
    ends.sender.close()
    with pytest.raises(ValueError, match="closed"):
        placement.copy()
    placement.abandon()


@pytest.mark.parametrize("header", [b"", b"x", b"\0" * 28, b"\0" * 29, bytes(400)])
def test_headers_without_sense_are_refused(ends: Ends, header: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        ends.receiver.open(header)


def test_a_header_that_goes_beyond_its_segment_is_refused(ends: Ends) -> None:
    placement = ends.placed(block())
    placement.copy()
    head = bytearray(placement.header)
    head[-9:-1] = struct.pack("=Q", 1 << 40)
    with pytest.raises(ValueError, match="does not fit"):
        ends.receiver.open(bytes(head))
    gc.collect()
    assert ends.settle() == [1]
    assert ends.used(block()) == 1


def test_a_descriptor_of_something_else_is_refused(ends: Ends) -> None:
    placement = ends.placed(block())
    os.close(ends.take_fd())
    read, write = os.pipe()
    ends.pass_fd(read)
    os.close(read)
    os.close(write)
    with pytest.raises(ValueError, match="no segment"):
        ends.receiver.open(placement.header)


# --- trouble --------------------------------------------------------------------------------------


def test_what_cannot_be_passed_goes_another_way(ends: Ends) -> None:
    encoded = encode(block())
    assert isinstance(encoded, Encoded)
    before = descriptors()
    ends.far.close()
    assert ends.sender.place(encoded) is None
    assert "200," in str(ends.sender.trouble)
    assert descriptors() == before - 1


def test_a_segment_that_cannot_be_mapped_goes_back(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    placement = ends.placed(block())
    placement.copy()
    with monkeypatch.context() as patch:
        patch.setattr(segments, "map_shared", refuse)
        with pytest.raises(OSError, match="allocate"):
            ends.receiver.open(placement.header)
    assert ends.settle() == [1]
    number, found = ends.sent(block(200_000, 5))
    assert (number, found[0]) == (1, 5)
    del found
    assert ends.settle() == [1]


@pytest.mark.parametrize("missing", ["memfd_create", "posix_fallocate"])
def test_other_systems_have_a_slower_way(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delattr(os, missing, raising=False)
    for _ in range(2):
        number, found = ends.sent(block(3 * MIB))
        assert bytes(found) == bytes(block(3 * MIB))
        del found
        assert ends.settle() == [number] == [1]


LIMITED = """
    import os, pickle, resource, socket, sys
    from _lanewise_worker.codec import encode
    from _lanewise_worker.segments import Sender

    kind, limit = sys.argv[1], int(sys.argv[2])
    near, far = socket.socketpair()
    def pass_fd(fd):
        socket.send_fds(near, [b"+"], [fd])
    sender = Sender(pass_fd)
    encoded = encode(pickle.PickleBuffer(bytearray(8 << 20)))
    first = sender.place(encode(pickle.PickleBuffer(bytearray(1 << 20))))
    assert first is not None, sender.trouble
    first.copy()
    which = getattr(resource, kind)
    if kind == "RLIMIT_AS":
        with open("/proc/self/statm") as file:
            limit += int(file.read().split()[0]) * resource.getpagesize()
    if kind == "RLIMIT_NOFILE":
        limit = max(map(int, os.listdir("/dev/fd"))) - 1
        fillers = []
    resource.setrlimit(which, (limit, resource.getrlimit(which)[1]))
    if kind == "RLIMIT_NOFILE":
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
    for _ in range(3):
        assert sender.place(encoded) is None
        assert sender.trouble.startswith("no shared memory of 8,388"), sender.trouble
    first.abandon()
    again = sender.place(encode(pickle.PickleBuffer(bytearray(1 << 20))))
    assert again is not None
    again.copy()
    sender.close()
    near.close()
    far.close()
    print("fine")
"""


@pytest.mark.skipif(not ON_LINUX, reason="limits differ")
@pytest.mark.parametrize(
    ("kind", "limit"), [("RLIMIT_FSIZE", 4 * MIB), ("RLIMIT_AS", 4 * MIB), ("RLIMIT_NOFILE", 0)]
)
def test_limits_of_the_system_are_no_errors(kind: str, limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(LIMITED), kind, str(limit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


# --- two processes --------------------------------------------------------------------------------


FAR_SIDE = """
    import pickle, socket, struct, sys
    from _lanewise_worker.codec import decode, encode
    from _lanewise_worker.segments import Receiver, Sender

    line, side = socket.socket(fileno=int(sys.argv[1])), socket.socket(fileno=int(sys.argv[2]))
    receiver = Receiver(lambda: socket.recv_fds(side, 1, 1)[1][0])
    sender = Sender(lambda fd: socket.send_fds(side, [b"+"], [fd]))
    reader = line.makefile("rb")
    kept = []

    def say(kind, data=b""):
        line.sendall(struct.pack("=cI", kind, len(data)) + data)

    while head := reader.read(5):
        kind, length = struct.unpack("=cI", head)
        data = reader.read(length)
        if kind == b"m":
            number, stream, buffers = receiver.open(data)
            value = decode(stream, buffers)
            del stream, buffers
            value["block"][0] += 1
            kept.append(value["block"])
            value["block"] = pickle.PickleBuffer(value["block"])
            placement = sender.place(encode(value))
            placement.copy()
            say(b"m", placement.header)
            del value
        elif kind == b"k":
            kept.clear()
        elif kind == b"f":
            sender.released(struct.unpack("=Q", data)[0])
        elif kind == b"s":
            released = receiver.take_released()
            say(b"s", struct.pack(f"={len(released)}Q", *released))
"""


class FarSide:
    """Another process, which sends back what it gets, one higher at the first byte, and keeps it."""

    def __init__(self) -> None:
        self.line, far_line = socket.socketpair()
        self.side, far_side = socket.socketpair()
        for end in (self.line, self.side):
            end.settimeout(30)
        fds = (far_line.fileno(), far_side.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(FAR_SIDE), *map(str, fds)], pass_fds=fds
        )
        far_line.close()
        far_side.close()
        self.reader = self.line.makefile("rb")
        self.sender = Sender(lambda fd: socket.send_fds(self.side, [b"+"], [fd]))
        self.receiver = Receiver(lambda: socket.recv_fds(self.side, 1, 1)[1][0])

    def say(self, kind: bytes, data: bytes = b"") -> None:
        self.line.sendall(struct.pack("=cI", kind, len(data)) + data)

    def hear(self, expected: bytes) -> bytes:
        kind, length = struct.unpack("=cI", self.reader.read(5))
        assert kind == expected
        return self.reader.read(length)

    def returned(self, value: Any) -> tuple[int, Any]:
        """Send a value; return the segment that it took and what comes back."""
        encoded = encode(value)
        assert isinstance(encoded, Encoded)
        placement = self.sender.place(encoded)
        assert placement is not None
        placement.copy()
        self.say(b"m", placement.header)
        _, stream, buffers = self.receiver.open(self.hear(b"m"))
        return placement.segment_id, decode(stream, buffers)

    def settle(self) -> list[int]:
        """What each side lets go of is the other's again; return what the far side let go of."""
        for number in self.receiver.take_released():
            self.say(b"f", struct.pack("=Q", number))
        self.say(b"s")
        data = self.hear(b"s")
        released = list(struct.unpack(f"={len(data) // 8}Q", data))
        for number in released:
            self.sender.released(number)
        return released

    def close(self) -> None:
        self.reader.close()
        self.line.close()
        self.side.close()
        assert self.process.wait(30) == 0
        self.sender.close()
        self.receiver.close()


def test_values_go_to_another_process_and_back() -> None:
    before = descriptors()
    far = FarSide()
    used = []
    results = []
    for turn in range(6):
        number, found = far.returned({"block": block(MIB, turn), "text": "x" * 100_000})
        used.append(number)
        assert bytes(found["block"]) == bytes([turn + 1]) + bytes([turn]) * (MIB - 1)
        results.append(found["block"])
        del found
        if turn == 2:
            assert far.settle() == []
            far.say(b"k")
            assert sorted(far.settle()) == [1, 2, 3]
    assert sorted(used[:3]) == sorted(used[3:]) == [1, 2, 3]
    # All that came back was kept here, and is as it was.
    for turn, result in enumerate(results):
        assert bytes(result[:2]) == bytes([turn + 1, turn])
    far.close()
    assert bytes(results[5][:2]) == bytes([6, 5])
    assert descriptors() == before
