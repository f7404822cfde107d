"""Whatever is sent arrives, and memory is used again when nothing refers to it: never earlier."""

from __future__ import annotations

import gc
import importlib.util
import pickle
import socket
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from _lanewise_worker.codec import INLINE_BYTES, Encoded, decode, encode, encode_arguments
from _lanewise_worker.segments import Receiver, Sender

HAS_NUMPY = importlib.util.find_spec("numpy") is not None

# Both sides of every threshold: of small buffers, of what goes inline, of foreign copies, of segments.
EDGES = (0, 1, 4_096, 8_192, INLINE_BYTES // 2, INLINE_BYTES, 262_144)
SIZES = st.one_of(
    st.integers(0, 200),
    st.builds(lambda edge, off: max(edge + off, 0), st.sampled_from(EDGES), st.integers(-70, 70)),
    st.integers(0, 400_000),
)


def filled(size: int, seed: int) -> bytes:
    """So many bytes, which tell their place."""
    return (bytes((seed + n * 7) % 256 for n in range(251)) * (size // 251 + 1))[:size]


CONTENT = st.builds(filled, SIZES, st.integers(0, 255))
LEAVES = st.one_of(
    st.none(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    CONTENT,
    CONTENT.map(bytearray),
    CONTENT.map(lambda data: array("B", data)),
    CONTENT.map(lambda data: data.decode("latin-1")),
    CONTENT.map(lambda data: pickle.PickleBuffer(bytearray(data))),
    CONTENT.map(pickle.PickleBuffer),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=12,
)


def plain(value: Any) -> Any:
    """The value with every buffer as its bytes."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(part) for part in value)
    if isinstance(value, (pickle.PickleBuffer, memoryview, bytearray)):
        return bytes(value)
    return value


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


class Ends:
    """Both ends of one direction."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.far.settimeout(30)
        self.sender = Sender(self._pass_fd, keep_bytes=2 << 20)
        self.receiver = Receiver(self._take_fd)

    def _pass_fd(self, fd: int) -> None:
        socket.send_fds(self.near, [b"+"], [fd])

    def _take_fd(self) -> int:
        _, fds, _, _ = socket.recv_fds(self.far, 1, 1)
        return fds[0]

    def sent(self, encoded: Encoded) -> tuple[int, Any]:
        placement = self.sender.place(encoded)
        assert placement is not None, self.sender.trouble
        placement.copy()
        number, stream, buffers = self.receiver.open(placement.header)
        return number, decode(stream, buffers)

    def settle(self) -> list[int]:
        released = self.receiver.take_released()
        for number in released:
            self.sender.released(number)
        return released

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()
        self.near.close()
        self.far.close()


def crossed(ends: Ends, encoded: bytes | Encoded) -> Any:
    if isinstance(encoded, bytes):
        assert len(encoded) < INLINE_BYTES
        return decode(encoded)
    assert encoded.stream_bytes + encoded.buffer_bytes >= INLINE_BYTES
    return ends.sent(encoded)[1]


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_values_arrive_as_they_were_through_memory_that_is_used_again(values: list[Any]) -> None:
    ends = Ends()
    for value in [*values, *values]:
        found = crossed(ends, encode(value))
        assert plain(found) == plain(value)
        assert type(found) is type(value) or isinstance(value, pickle.PickleBuffer)
        del found
        ends.settle()
        assert sorted(ends.sender._free) == sorted(ends.sender._segments)
    ends.close()


@given(
    st.lists(VALUES, max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
)
def test_arguments_arrive_as_they_were(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    ends = Ends()
    assert plain(crossed(ends, encode_arguments(args, kwargs))) == (plain(args), plain(kwargs))
    ends.close()


@pytest.mark.skipif(not HAS_NUMPY, reason="needs numpy")
@given(
    shape=st.lists(st.integers(0, 60), min_size=0, max_size=3),
    kind=st.sampled_from(["u1", "i4", "f8", "c16", ">i2", "S7", "?"]),
    changes=st.lists(
        st.sampled_from(["transpose", "reverse", "step", "fortran", "slice", "readonly"]),
        max_size=3,
    ),
    beside=st.sampled_from([1, 9_000]),
)
def test_arrays_arrive_as_they_were(
    shape: list[int], kind: str, changes: list[str], beside: int
) -> None:
    np = pytest.importorskip("numpy")
    sent = np.arange(int(np.prod(shape, dtype=int))).reshape(shape).astype(kind)
    for change in changes:
        if change == "transpose":
            sent = sent.T
        elif change == "reverse":
            sent = sent[::-1] if sent.ndim else sent
        elif change == "step":
            sent = sent[::2] if sent.ndim else sent
        elif change == "fortran":
            sent = np.asfortranarray(sent)
        elif change == "slice":
            sent = sent[1:] if sent.ndim else sent
        else:
            sent = sent.copy()
            sent.setflags(write=False)
    ends = Ends()
    found = crossed(ends, encode([sent, np.zeros(beside)]))[0]
    np.testing.assert_array_equal(found, sent)
    assert (found.dtype, found.shape) == (sent.dtype, sent.shape)
    del found
    ends.settle()
    assert sorted(ends.sender._free) == sorted(ends.sender._segments)
    ends.close()


class Kept:
    """A view that somebody keeps, and what is to be seen through it for as long."""

    def __init__(self, segment: int, view: Any, expected: bytes) -> None:
        self.segment = segment
        self.view = view
        self.expected = expected


class Saves:
    """Cyclic garbage that saves its view from the collector."""

    def __init__(self, view: Any, into: list[Any]) -> None:
        self.view = view
        self.into = into
        self.me = self

    def __del__(self) -> None:
        self.into.append(self.view)


class Segments(RuleBasedStateMachine):
    """Messages come and go in any order, and views of them are kept, derived and dropped."""

    kept = Bundle("kept")

    def __init__(self) -> None:
        super().__init__()
        gc.collect()
        self.descriptors = descriptors()
        self.ends = Ends()
        self.live: list[Kept] = []
        self.seed = 0
        # Descriptors that wait for a message.
        self.abandoned: set[int] = set()

    def _keep(self, segment: int, view: Any, expected: bytes) -> Kept:
        one = Kept(segment, view, expected)
        self.live.append(one)
        return one

    def _used(self) -> set[int]:
        return {one.segment for one in self.live}

    def _content(self, size: int) -> bytes:
        self.seed += 1
        return filled(size, self.seed)

    @rule(
        target=kept,
        sizes=st.lists(SIZES, min_size=1, max_size=4),
        readonly=st.booleans(),
        beside=st.integers(0, 100_000),
    )
    def send(self, sizes: list[int], beside: int, *, readonly: bool) -> Any:
        contents = [self._content(size) for size in (70_000 + sizes[0], *sizes)]
        make: Any = bytes if readonly else bytearray
        buffers = [pickle.PickleBuffer(make(content)) for content in contents]
        encoded = encode([buffers, b"x" * beside])
        assert isinstance(encoded, Encoded)
        segment, (views, _) = self.ends.sent(encoded)
        assert segment not in self._used()
        self.abandoned.discard(segment)
        kept = []
        for view, content in zip(views, contents, strict=True):
            # What stayed in the pickle is a copy.
            if isinstance(view, memoryview):
                assert view.readonly == readonly
                kept.append(self._keep(segment, view, content))
        return multiple(*kept)

    @rule(target=kept, one=kept, data=st.data())
    def derive(self, one: Kept, data: st.DataObject) -> Any:
        if one not in self.live:
            return multiple()
        low = data.draw(st.integers(0, len(one.expected)))
        high = data.draw(st.integers(low, len(one.expected)))
        how = data.draw(st.sampled_from(["slice", "view", "frombuffer" if HAS_NUMPY else "view"]))
        view = one.view[low:high]
        if how == "view":
            view = memoryview(view)
        elif how == "frombuffer" and high > low:
            numpy = pytest.importorskip("numpy")
            view = numpy.frombuffer(memoryview(view), dtype="u1")
        return self._keep(one.segment, view, one.expected[low:high])

    @rule(one=consumes(kept))
    def drop(self, one: Kept) -> None:
        if one in self.live:
            self.live.remove(one)
        one.view = None

    @rule(target=kept, one=kept)
    def survive_the_collector(self, one: Kept) -> Any:
        if one not in self.live:
            return multiple()
        saved: list[Any] = []
        Saves(one.view, saved)
        one.view = None
        self.live.remove(one)
        gc.collect()
        assert len(saved) == 1
        return self._keep(one.segment, saved.pop(), one.expected)

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0), value=st.integers(0, 255))
    def write(self, number: int, value: int) -> None:
        one = self.live[number % len(self.live)]
        if memoryview(one.view).readonly or not one.expected:
            return
        # Others look at the same memory: all of that segment are read again.
        one.view[number % len(one.expected)] = value
        for other in self.live:
            if other.segment == one.segment:
                other.expected = bytes(other.view)

    @rule()
    def settle(self) -> None:
        used = self._used()
        for number in self.ends.settle():
            assert number not in used
        free = set(self.ends.sender._free)
        assert free == set(self.ends.sender._segments) - used
        assert self.ends.settle() == []

    @rule()
    def trim(self) -> None:
        used = self._used()
        for number in self.ends.sender.trim():
            assert number not in used | self.abandoned
            self.ends.receiver.forget(number)

    @rule(size=st.integers(70_000, 1_000_000), copied=st.booleans())
    def abandon(self, size: int, *, copied: bool) -> None:
        encoded = encode(pickle.PickleBuffer(self._content(size)))
        assert isinstance(encoded, Encoded)
        placement = self.ends.sender.place(encoded)
        assert placement is not None
        assert placement.segment_id not in self._used()
        if placement._is_first:
            self.abandoned.add(placement.segment_id)
        if copied:
            placement.copy()
        placement.abandon()

    @invariant()
    def nothing_that_is_kept_changes(self) -> None:
        for one in self.live:
            assert bytes(one.view) == one.expected

    def teardown(self) -> None:
        for one in self.live:
            one.view = None
        self.live.clear()
        self.ends.settle()
        sender = self.ends.sender
        assert set(sender._free) == set(sender._segments)
        self.ends.close()
        gc.collect()
        assert descriptors() == self.descriptors


TestSegments = Segments.TestCase
TestSegments.settings = settings(max_examples=30, stateful_step_count=30)
