"""The calls of a node: what their lane hears of them, whatever frames come together."""

import asyncio
import os
import pickle

import pytest

from _lanewise_worker import far, wire
from lanewise import LaneUnavailableError
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.exchanges import frame_of
from lanewise.lanes.cluster.node_calls import NodeCalls
from lanewise.lanes.cluster.protocol import CallHead, Definition
from lanewise.lanes.process.handles import Content, HandleBook


class FakeLane:
    """A process lane whose calls end at once."""

    def __init__(self):
        self.handles = HandleBook()
        self.ran = 0

    async def run(self, function, variant, args, kwargs, terms):
        self.ran += 1
        return far.RETURNED, far.PLAIN, b"answer"

    async def stream(self, function, variant, args, kwargs, terms):
        for number in range(3):
            yield far.RETURNED, far.PLAIN, bytes([number])


class Node:
    """The calls of a node with such a lane, and what they said."""

    def __init__(self):
        self.lane = FakeLane()
        self.frames = wire.Frames()
        self.said = []
        self.calls = NodeCalls(self.lane, 1, self._say)

    def _say(self, frame):
        self.said += [(kind, seq, bytes(body)) for kind, _, _, seq, body in self.frames.feed(frame)]

    def feed(self, *frames):
        """Frames come in one message."""
        self.calls.feed(b"".join(b"".join(frame_of(kind, 1, *rest)) for kind, *rest in frames))

    async def ended(self):
        """Wait until no call is left; return what was told of each, its kind alone."""
        while self.calls.is_busy:
            await asyncio.wait(self.calls._running.values())
        return [(kind, seq) for kind, seq, _ in self.said]


def _body(function=7, shares=()):
    head = CallHead(function, "f", "m", far.PLAIN, None, False, False, 0, shares, ())
    return b"".join(protocol.headed(head))


DEFINE = (protocol.DEFINE, 7, pickle.dumps(tuple(Definition(b"", "f", "m", ""))))


@pytest.fixture
def memory():
    """A descriptor of a shared object's memory, for a node that closes it."""
    return os.memfd_create("shared")


def _is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_a_call_and_its_cancellation_in_one_message_end_once():
    node = Node()
    node.feed(DEFINE, (protocol.CALL, 3, _body()), (protocol.CANCEL, 3))
    assert await node.ended() == [(protocol.FAILED, 3)]
    assert pickle.loads(node.said[0][2]) is None
    assert node.lane.ran == 0


async def test_a_call_that_is_cancelled_later_is_told_once_as_well():
    node = Node()
    node.feed(DEFINE, (protocol.CALL, 3, _body(shares=(5,))))
    await asyncio.sleep(0)
    node.feed((protocol.CANCEL, 3))
    assert await node.ended() == [(protocol.FAILED, 3)]


async def test_a_stream_and_its_end_in_one_message_end_once_and_send_nothing():
    node = Node()
    node.feed(DEFINE, (protocol.STREAM, 3, _body()), (protocol.STOP, 3))
    assert await node.ended() == [(protocol.ENDED, 3)]


async def test_a_stream_and_its_cancellation_in_one_message_leave_nothing():
    node = Node()
    node.feed(DEFINE, (protocol.STREAM, 3, _body()), (protocol.CANCEL, 3))
    assert await node.ended() == [(protocol.FAILED, 3)]
    assert not node.calls._rooms


async def test_a_function_that_did_not_get_there_sends_its_calls_elsewhere():
    node = Node()
    node.feed((protocol.CALL, 3, _body()))
    assert await node.ended() == [(protocol.FAILED, 3)]
    error = pickle.loads(node.said[0][2])
    assert isinstance(error, LaneUnavailableError)
    assert error.withdrawn


async def test_a_shared_object_that_comes_after_nobody_needs_it_goes_at_once(memory):
    node = Node()
    node.feed((protocol.FORGET, 5))
    node.calls.shared(5, Content([1], memory, b""))
    assert not _is_open(memory)
    assert not node.calls._shares


async def test_a_call_that_waits_for_such_an_object_gets_it(memory):
    node = Node()
    node.feed(DEFINE, (protocol.CALL, 3, _body(shares=(5,))))
    await asyncio.sleep(0)
    node.feed((protocol.FORGET, 5))
    node.calls.shared(5, Content([1], memory, b""))
    assert await node.ended() == [(protocol.ANSWER, 3)]
    await asyncio.sleep(0)
    assert not _is_open(memory)
    assert not node.calls._shares


async def test_a_shared_object_goes_when_nobody_needs_it_any_more(memory):
    node = Node()
    node.calls.shared(5, Content([1], memory, b""))
    assert _is_open(memory)
    node.feed((protocol.FORGET, 5))
    assert not _is_open(memory)


async def test_calls_whose_shared_object_does_not_come_have_not_begun():
    node = Node()
    node.feed(DEFINE, (protocol.CALL, 3, _body(shares=(5,))))
    node.calls.shared(5, OSError("no room"))
    assert await node.ended() == [(protocol.FAILED, 3)]
    assert pickle.loads(node.said[0][2]).withdrawn
