"""Values that one interpreter hands to another: what comes out is what went in, copied or lent."""

import array
import functools
import math
import pickle
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _lanewise_worker import views
from _lanewise_worker.codec import Encoded, encode
from _lanewise_worker.import_probe import refusal_in
from lanewise.lanes.functions import module_of
from lanewise.lanes.interpreter import imports
from lanewise.testing import calls

LARGE = 300_000


class Holds:
    """Pickles its buffer out of band, as arrays do."""

    def __init__(self, buffer):
        self.buffer = buffer

    def __reduce__(self):
        return Holds, (pickle.PickleBuffer(self.buffer),)


def crossed(value, keep=views.copied):
    encoded = encode(value)
    if isinstance(encoded, bytes):
        return pickle.loads(encoded)
    box = []
    views.put(box.append, encoded)
    return views.take(box.pop(), keep)


@pytest.mark.parametrize(
    "value",
    [
        b"x" * LARGE,
        bytearray(b"y" * LARGE),
        "é" * LARGE,
        [b"x" * LARGE, 1, {"two": bytearray(LARGE), "three": b"z" * LARGE}],
        array.array("d", range(50_000)),
        [bytes([n % 256]) * 1_000 for n in range(1_000)],
    ],
)
def test_large_values_arrive_equal(value):
    assert crossed(value) == value


def test_a_read_only_buffer_is_lent_and_a_writable_one_is_copied():
    source = bytearray(LARGE)
    lent = crossed(Holds(memoryview(source).toreadonly()), views.lent)
    own = crossed(Holds(source), views.lent)
    source[0] = 5
    assert (memoryview(lent.buffer)[0], own.buffer[0]) == (5, 0)
    own.buffer[0] = 6
    assert source[0] == 5


def test_what_comes_back_is_never_the_other_sides_memory():
    source = bytearray(LARGE)
    for given_, readonly in ((memoryview(source).toreadonly(), True), (source, False)):
        back = memoryview(crossed(Holds(given_)).buffer)
        source[0] += 1
        assert back[0] == source[0] - 1
        assert back.readonly is readonly


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b""),
        memoryview(b"abc"),
        memoryview(bytes(LARGE)),
        memoryview(bytearray(LARGE)),
        memoryview(bytes(LARGE)).cast("d"),
        memoryview(bytes(range(240))).cast("B", (4, 60)),
        memoryview(bytes(range(200)))[::3],
        memoryview(array.array("i", range(70_000))),
    ],
)
def test_views_keep_what_they_show(view):
    (back,) = crossed(views.wrapped((view,)))
    assert back.tolist() == view.tolist()
    assert back.readonly
    if view.nbytes and view.c_contiguous:
        assert (back.format, back.shape) == (view.format, view.shape)


def test_views_of_structures_are_refused_before_anything_is_sent():
    ctypes = pytest.importorskip("ctypes")

    class Pair(ctypes.Structure):
        _fields_ = (("left", ctypes.c_int), ("right", ctypes.c_double))

    with pytest.raises(TypeError, match="cast it to bytes"):
        encode(views.wrapped((memoryview((Pair * 3)()),)))


def test_arguments_without_views_are_left_alone():
    args = (1, "two", [memoryview(b"inside")])
    assert views.wrapped(args) is args


def test_the_other_sides_memory_is_let_go_of_even_where_a_value_cannot_be_made():
    encoded = encode([b"x" * LARGE])
    pieces = [memoryview(piece) for piece in encoded.stream]
    pieces[-1] = memoryview(b"broken")
    with pytest.raises(Exception, match=r".+"):
        views.take((tuple(pieces), ()), views.copied)
    for piece in pieces:
        with pytest.raises(ValueError, match="released"):
            piece.tobytes()


@given(st.binary(max_size=300), st.lists(st.integers(1, 40)), st.lists(st.integers(0, 60)))
def test_pieces_read_as_one_file_however_they_were_cut(data, cuts, reads):
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(memoryview(data)[at : at + cut])
        at += cut
    pieces.append(memoryview(data)[at:])
    file, seen = views.Pieces([one for one in pieces if one.nbytes]), b""
    for turn, size in enumerate(reads):
        if turn % 2:
            target = bytearray(size)
            seen += bytes(target[: file.readinto(target)])
        else:
            seen += file.read(size)
    assert seen == data[: sum(reads)]
    assert seen + file.read(len(data)) == data


@given(st.recursive(st.binary(max_size=50) | st.text(max_size=20) | st.integers(), st.lists))
def test_values_survive_any_cut_of_their_pickle(value):
    stream = pickle.dumps(value, 5)
    encoded = Encoded([stream[:1], stream[1:7], stream[7:]], [])
    box = []
    views.put(box.append, encoded)
    assert views.take(box.pop(), views.copied) == value


# --- what is imported for a function ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (calls.square, "lanewise.testing.calls"),
        (functools.partial(functools.partial(calls.square), 3), "lanewise.testing.calls"),
        (calls.ExpectedError("x").with_traceback, "lanewise.testing.calls"),
        (calls.ExpectedError, "lanewise.testing.calls"),
        (math.sqrt, "math"),
        ("a,b".split, "builtins"),
        (dict.fromkeys, "builtins"),
    ],
)
def test_the_module_behind_a_callable_is_found(function, module):
    assert module_of(function) == module


def test_refusals_are_told_from_other_errors():
    assert refusal_in(ValueError("subinterpreters")) is None
    assert refusal_in(ImportError("no module named x")) is None
    inner = ImportError("module a._b does not support loading in subinterpreters")
    outer = ImportError("read this")
    outer.__cause__ = inner
    assert refusal_in(outer) == str(inner)
    inner.__context__ = outer  # a circle
    assert refusal_in(outer) == str(inner)


@pytest.mark.parametrize(
    ("code", "out", "words"),
    [
        (0, b'noise\n{"refused": null}', None),
        (0, b'{"refused": "module a._b does not support loading in subinterpreters"}', "a._b"),
        (0, b'{"refused": "we have no subinterpreter support"}', "an extension"),
        (-11, b"", "signal 11"),
        (3, b"noise", "exit code 3"),
        (0, b"[]", "exit code 0"),
    ],
)
def test_what_a_trial_answered_is_read(code, out, words):
    done = subprocess.CompletedProcess([], code, out, b"trace\nlast words")
    why = imports._read("some.module", done)
    if words is None:
        assert why is None
    else:
        assert words in why
        assert "some.module" in why
