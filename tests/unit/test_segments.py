"""Large values cross through shared memory that is used again when nothing refers to it, not earlier."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.segment_ends import Ends, block, descriptors

from _lanewise_worker import segments
from _lanewise_worker.codec import Encoded, decode, encode
from _lanewise_worker.shared_memory import ALIGN_BYTES

ON_LINUX = sys.platform == "linux"
MIB = 1 << 20


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
    named = with_a_name()
    before = descriptors()
    kept = [ends.sent(block())[1] for _ in range(40)]
    assert len(kept) == 40
    assert mapped() >= 40
    assert descriptors() == before
    assert with_a_name() == named


def with_a_name() -> list[str]:
    """What this process maps of /dev/shm; the folder itself also shows what other programs have there."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if "/dev/shm/" in line and not line.endswith(" (deleted)")]


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
