"""Values become bytes and values again, large ones without copies."""

from __future__ import annotations

import copyreg
import gc
import pickle
import threading
import weakref
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from _lanewise_worker import codec
from _lanewise_worker.codec import INLINE_BYTES, Encoded, decode, encode, encode_arguments

SIZES = [0, 1, 4_095, 4_096, 30_000, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 300_000]


@dataclass
class Record:
    name: str
    content: Any


class Counted:
    """Counts how often it is pickled."""

    def __init__(self, content: Any) -> None:
        self.content = content
        self.count = 0

    def __reduce_ex__(self, _protocol: Any) -> Any:
        self.count += 1
        return (list, (), None, iter([self.content]))


def crossed(value: Any) -> Any:
    """The value as it is on the other side."""
    encoded = encode(value)
    if isinstance(encoded, bytes):
        return decode(encoded)
    return decode(memoryview(b"".join(encoded.stream)), encoded.buffers)


def total_bytes(encoded: bytes | Encoded) -> int:
    if isinstance(encoded, bytes):
        return len(encoded)
    return encoded.stream_bytes + encoded.buffer_bytes


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", b"bytes", (1, "a"), [1, [2]], {"a": {1, 2}}, Record("x", (1,))],
)
def test_small_values_are_what_pickle_makes_of_them(value: Any) -> None:
    encoded = encode(value)
    assert type(encoded) is bytes
    assert encoded == pickle.dumps(value, 5)
    assert decode(encoded) == value
    assert encode(value) == encoded  # with a pickler that was used before


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, "a", None), {}), (([1],), {}), ((1,), {"b": b"x" * 100_000}), ((2,) * 40, {})],
)
def test_arguments_are_a_pair(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    encoded = encode_arguments(args, kwargs)
    stream = encoded if isinstance(encoded, bytes) else b"".join(encoded.stream)
    assert decode(stream) == (args, kwargs)


@pytest.mark.parametrize(
    "value",
    [7**200_000, "x" * 100_000, b"x" * 100_000, [0.5] * 50_000, {"a": "ä" * 50_000}],
    ids=["int", "str", "bytes", "list", "dict"],
)
def test_values_of_every_kind_are_large_from_one_length_on(value: Any) -> None:
    encoded = encode(value)
    assert isinstance(encoded, Encoded)
    assert encoded.stream_bytes == sum(map(len, encoded.stream)) >= INLINE_BYTES
    assert all(type(piece) is bytes for piece in encoded.stream)
    assert crossed(value) == value
    assert isinstance(encode_arguments((value,), {}), Encoded)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [bytes, bytearray, lambda size: array("b", bytes(size))])
def test_no_length_is_a_seam(size: int, make: Any) -> None:
    value = [make(size), {"again": (make(size), size)}]
    encoded = encode(value)
    assert isinstance(encoded, bytes) == (total_bytes(encoded) < INLINE_BYTES)
    assert crossed(value) == value


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        lambda data: (1, data),
        lambda data: [[[data]]],
        lambda data: {"a": {"b": [None, data]}},
        lambda data: Record("x", {"content": data}),
    ],
)
def test_large_bytes_are_handed_over_as_they_are_wherever_they_stand(wrap: Any) -> None:
    data = b"x" * 200_000
    encoded = encode(wrap(data))
    assert isinstance(encoded, Encoded)
    assert any(piece is data for piece in encoded.stream)
    assert crossed(wrap(data)) == wrap(data)


def test_a_bytearray_is_as_it_was_and_free_to_grow() -> None:
    data = bytearray(b"x" * 200_000)
    encoded = encode([data])
    assert isinstance(encoded, Encoded)
    data[:3] = b"yyy"
    data += b"more"
    assert decode(b"".join(encoded.stream)) == [bytearray(b"x" * 200_000)]


@pytest.mark.parametrize("character", ["x", "ä", "\U0001f600", "\ud800"])
def test_large_text_arrives_lone_surrogates_too(character: str) -> None:
    texts = [character * 100_000, "y" + character * 70_000]
    encoded = encode(texts)
    assert isinstance(encoded, Encoded)
    # What is freed by now would be overwritten here.
    filler = [bytes([n]) * 300_000 for n in range(20)]
    assert decode(b"".join(encoded.stream)) == texts
    assert len(filler) == 20


def test_buffers_of_a_large_value_are_its_own_memory() -> None:
    content = bytearray(200_000)
    encoded = encode(pickle.PickleBuffer(content))
    assert isinstance(encoded, Encoded)
    assert [one.nbytes for one in encoded.buffers] == [200_000]
    assert encoded.buffer_bytes == 200_000
    assert encoded.buffers[0].format == "B"
    content[7] = 42
    assert encoded.buffers[0][7] == 42


@pytest.mark.parametrize("make", [bytes, bytearray])
def test_buffers_know_whether_they_are_read_only(make: Any) -> None:
    encoded = encode(pickle.PickleBuffer(make(100_000)))
    assert isinstance(encoded, Encoded)
    assert encoded.buffers[0].readonly == (make is bytes)


@pytest.mark.parametrize("make", [bytes, bytearray])
@pytest.mark.parametrize("size", SIZES)
def test_buffers_of_a_small_value_stay_in_the_pickle(size: int, make: Any) -> None:
    value = pickle.PickleBuffer(make(size))
    encoded = encode(value)
    assert isinstance(encoded, bytes) == (total_bytes(encoded) < INLINE_BYTES)
    assert bytes(crossed(value)) == bytes(size)
    assert memoryview(crossed(value)).readonly == (make is bytes)


def test_of_many_buffers_only_the_first_stay_in_the_pickle() -> None:
    buffers = [pickle.PickleBuffer(bytearray([n]) * 8_192) for n in range(200)]
    encoded = encode(buffers)
    assert isinstance(encoded, Encoded)
    assert encoded.stream_bytes < 2 * INLINE_BYTES
    assert len(encoded.buffers) > 190
    assert [bytes(one) for one in crossed(buffers)] == [bytes([n]) * 8_192 for n in range(200)]


def test_small_buffers_stay_in_the_pickle_of_a_large_value() -> None:
    encoded = encode([pickle.PickleBuffer(bytearray(4_095)) for _ in range(100)])
    assert isinstance(encoded, Encoded)
    assert not encoded.buffers


@pytest.mark.parametrize("size", SIZES)
def test_a_value_is_pickled_once(size: int) -> None:
    for content in (bytes(size), bytearray(size), pickle.PickleBuffer(bytearray(size))):
        counted = Counted(content)
        encode([1, counted])
        assert counted.count == 1


def refusal(dump: Callable[[Any], Any]) -> str:
    # No pytest.raises: until Python 3.12 the collector crashes over cyclic garbage, like that of its
    # traceback, in which a PickleBuffer refers to a memoryview.
    try:
        dump(pickle.PickleBuffer(memoryview(bytearray(400_000))[::2]))
    except pickle.PicklingError as error:
        return str(error)
    return ""


def test_memory_that_is_not_contiguous_is_refused_in_pickles_words() -> None:
    expected = refusal(lambda value: pickle.dumps(value, 5))
    assert expected
    assert refusal(encode) == expected


class Refuses:
    def __reduce__(self) -> Any:
        raise KeyError("mine")


@pytest.mark.parametrize("value", [lambda: None, threading.Lock(), Refuses()], ids=str)
def test_errors_are_those_of_pickle(value: Any) -> None:
    with pytest.raises(Exception) as expected:
        pickle.dumps(value, 5)
    for wrapped in (
        value,
        [b"x" * 100_000, value],
        [pickle.PickleBuffer(bytearray(90_000)), value],
    ):
        with pytest.raises(type(expected.value)):
            encode(wrapped)
        assert encode([1]) == pickle.dumps([1], 5)


class Held:
    """Something that can be watched and pickled."""


@pytest.mark.parametrize("size", [10, 5_000, 200_000])
@pytest.mark.parametrize("last", [None, Refuses()])
def test_nothing_of_a_value_is_kept(size: int, last: Any) -> None:
    gc.disable()  # nothing may depend on the collector
    try:
        held = Held()
        content = bytearray(size)
        held.content = content  # type: ignore[attr-defined] # because: any attribute does
        gone = weakref.ref(held)
        try:
            encode([held, bytes(size), pickle.PickleBuffer(content), last])
        except KeyError as error:
            error.__traceback__ = None
        del held
        assert gone() is None
        content += b"nobody looks at it any more"
    finally:
        gc.enable()


class Nested:
    """Pickles something while it is pickled."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce__(self) -> Any:
        inner = encode([self.content])
        stream = inner if isinstance(inner, bytes) else b"".join(inner.stream)
        return decode, (stream,)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_pickle_within_a_pickle_is_one_of_its_own(size: int) -> None:
    assert crossed([1, Nested("x" * size), 2]) == [1, ["x" * size], 2]


def test_threads_do_not_get_in_each_others_way() -> None:
    barrier = threading.Barrier(4)

    def run(thread: int) -> bool:
        values = [[thread, n, "x" * n, b"y" * (n * 100)] for n in range(0, 1_500, 50)]
        barrier.wait(30)
        return all(crossed(value) == value for value in values * 5)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(4)))


def test_picklers_are_used_again() -> None:
    encode([1])
    spare = list(codec._spare)
    encode([2])
    assert codec._spare == spare


class Registered:
    """Pickled by what copyreg knows."""


def test_reducers_that_are_registered_later_count() -> None:
    encode([Held()])
    copyreg.pickle(Registered, lambda _: (int, ("42",)))
    try:
        assert decode(encode([Registered()])) == [42]
    finally:
        del copyreg.dispatch_table[Registered]


class TestArrays:
    """With numpy."""

    @pytest.fixture(autouse=True)
    def _numpy(self) -> None:
        self.np = pytest.importorskip("numpy")

    def same(self, sent: Any) -> None:
        found = crossed({"array": sent})["array"]
        assert found.dtype == sent.dtype
        assert found.shape == sent.shape
        self.np.testing.assert_array_equal(found, sent)
        # What is small comes in the pickle, where numpy itself decides.
        if isinstance(encode(sent), Encoded):
            assert found.flags.writeable == sent.flags.writeable

    @pytest.mark.parametrize("length", [0, 1, 511, 512, 8_191, 8_192, 100_000])
    def test_arrays_of_all_lengths_arrive(self, length: int) -> None:
        self.same(self.np.arange(length, dtype="f8"))

    def test_layouts_of_all_kinds_arrive(self) -> None:
        plain = self.np.arange(90_000, dtype="f8").reshape(300, 300)
        readonly = plain.copy()
        readonly.setflags(write=False)
        for layout in (
            plain,
            plain.T,
            self.np.asfortranarray(plain),
            plain[::2],
            plain[:, ::3],
            plain[::-1],
            plain[10:200],
            readonly,
            plain.reshape(3, 100, 300).transpose(1, 2, 0),
            self.np.zeros((0, 5)),
            self.np.zeros((5, 0, 2)),
            self.np.array(3.5),
            plain.astype(">i4"),
            plain.astype("c16"),
            self.np.zeros(20_000, dtype=[("a", "i4"), ("b", "f8", (3,))]),
            self.np.array(["x", None, {}] * 30_000, dtype=object),
            self.np.array(["text"] * 30_000),
        ):
            self.same(layout)

    def test_a_large_array_is_not_copied(self) -> None:
        sent = self.np.arange(100_000, dtype="f8")
        encoded = encode([sent, {"name": "x"}])
        assert isinstance(encoded, Encoded)
        assert encoded.buffer_bytes == sent.nbytes
        sent[5] = 77
        assert decode(b"".join(encoded.stream), encoded.buffers)[0][5] == 77

    def test_one_array_in_two_places_is_one_array_again(self) -> None:
        sent = self.np.arange(100_000)
        first, second = crossed([sent, sent])
        assert first is second
