"""What a worker on a node does with a call that is bytes."""

import importlib
import pickle
import sys

import pytest

from _lanewise_worker import far
from _lanewise_worker.call import FarSideError
from _lanewise_worker.codec import encode
from _lanewise_worker.traces import unpack_exception
from lanewise.lanes.cluster.gateway import _misfit
from lanewise.lanes.cluster.protocol import NodeFacts


def add(a, b=1):
    return a + b


def fail(words):
    raise ValueError(words)


def stop():
    next(iter(()))


def first_changed(buffer):
    buffer[0] = 7
    return bytes(buffer[:2])


def unportable():
    return lambda: None


def count(stop, closed):
    try:
        yield from range(stop)
    finally:
        closed.append(stop)


def _call(kind, function, *args, digest="", **kwargs):
    definition = pickle.dumps((function, "default"))
    call = kind(definition, function.__qualname__, function.__module__, digest)
    written, body = far.write(encode((args, kwargs)))
    return pickle.loads(pickle.dumps(call))(body, written)


def _value(answer):
    what, written, data = answer
    assert what == far.RETURNED
    return far.read(data, written)


def test_a_call_gets_its_arguments_and_gives_its_result():
    assert _value(_call(far.FarCall, add, 2)) == 3
    assert _value(_call(far.FarCall, add, 2, b=5)) == 7


def test_a_call_may_bring_its_function_along():
    written, body = far.write(encode((add, "default", (1,), {"b": 1})))
    assert _value(far.FarCall(b"", "add")(body, written)) == 2


@pytest.mark.parametrize(
    ("function", "args", "kind"), [(fail, ("no",), ValueError), (stop, (), RuntimeError)]
)
def test_what_a_call_raises_is_its_answer(function, args, kind):
    what, _, data = _call(far.FarCall, function, *args)
    assert what == far.RAISED
    assert type(unpack_exception(data)) is kind


def test_a_function_may_change_the_buffers_that_it_is_given():
    data = bytearray(200_000)
    assert _value(_call(far.FarCall, first_changed, data)) == b"\x07\x00"
    assert data[0] == 0


def test_a_result_that_cannot_come_back_is_told():
    what, _, data = _call(far.FarCall, unportable)
    error = unpack_exception(data)
    assert (what, type(error), error.what) == (far.RAISED, FarSideError, "result")


def test_a_call_whose_arguments_cannot_be_made_has_not_begun():
    what, _, data = far.FarCall(pickle.dumps((add, "default")), "add")(b"no pickle", far.PLAIN)
    assert (what, unpack_exception(data).what) == (far.NOT_BEGUN, "arguments")


def test_an_item_of_a_chunk_is_the_only_argument():
    item = far.FarItem(pickle.dumps((add, "default")), "add", "tests")
    assert _value(item(pickle.dumps(4))) == 5


def test_a_stream_gives_answers_and_closes_its_generator():
    closed = []
    stream = far.FarStream(b"", "count")
    body = pickle.dumps((count, "default", (5, closed), {}))
    items = stream(body, far.PLAIN)
    assert _value(next(items)) == 0
    items.close()
    assert [_value(one) for one in stream(body, far.PLAIN)] == [0, 1, 2, 3, 4]


def test_a_module_of_another_content_is_refused_before_the_call(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "far_application.py"
    file.write_text("def answer():\n    return 42\n")
    module = importlib.import_module("far_application")
    try:
        there = far.source_digest("far_application")
        assert _value(_call(far.FarCall, module.answer, digest=there)) == 42
        far._functions.clear()
        what, _, data = _call(far.FarCall, module.answer, digest="00" * 16)
        assert what == far.NOT_BEGUN
        assert "far_application is not the same on this node" in unpack_exception(data).words
        assert str(file) in unpack_exception(data).words
    finally:
        del sys.modules["far_application"]
        far._functions.clear()


HERE = "{}.{}.{}".format(*sys.version_info)


@pytest.mark.parametrize(
    ("python", "lanewise", "words"),
    [
        (HERE, "0.1.0", None),
        ("2.7.18", "0.1.0", "it runs Python 2.7.18"),
        (HERE, "0.0.9", "it has lanewise 0.0.9, and this program 0.1.0"),
    ],
)
def test_versions_that_do_not_fit_are_told_before_any_call(python, lanewise, words):
    facts = NodeFacts("host", "10.0.0.2", 4, 0, 1, python, lanewise, "2.60.0")
    why = _misfit(facts, {"lanewise": "0.1.0"})
    assert (why is None) if words is None else (words in why)
