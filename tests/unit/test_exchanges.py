"""One node as its gateway sees it: what is sent where Ray cannot take all of it."""

import queue
import threading

import pytest

from _lanewise_worker import wire
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.exchanges import Exchanges, frame_of


class FakeNode:
    """An actor whose messages may not be larger than so many bytes; it never has anything to say."""

    def __init__(self, most_bytes):
        self.most_bytes = most_bytes
        self.got = []
        self.unsent = []
        self.lost = []
        self.over = threading.Event()
        self.exchange = self  # as of an actor's handle

    def remote(self, number, data):
        if len(data) > self.most_bytes:
            raise MemoryError("the object store has no room")
        self.got.append((number, [frame[:1] + frame[3:4] for frame in wire.Frames().feed(data)]))
        return number

    def get(self, coming, timeout):
        self.over.wait()
        raise queue.Empty

    def on_unsent(self, frames, why):
        self.unsent += [(kind, seq) for kind, seq, _ in frames]

    def exchanges(self):
        return Exchanges(self, self, lambda _: None, self.on_unsent, self.lost.append)


@pytest.fixture
def node():
    node = FakeNode(100_000)
    yield node
    node.over.set()


def _sent(node, *frames):
    exchanges = node.exchanges()
    for kind, seq, size in frames:
        exchanges.send(kind, seq, frame_of(kind, 1, seq, bytes(size)))
    exchanges.flush()
    exchanges.end()


def test_where_a_call_is_too_large_all_else_is_sent(node):
    _sent(
        node,
        (protocol.DEFINE, 7, 1_000),
        (protocol.CALL, 1, 200_000),
        (protocol.CANCEL, 2, 0),
        (protocol.CREDIT, 3, 4),
        (protocol.STOP, 4, 0),
        (protocol.FORGET, 5, 0),
    )
    assert node.unsent == [(protocol.CALL, 1)]
    kinds = [protocol.DEFINE, protocol.CANCEL, protocol.CREDIT, protocol.STOP, protocol.FORGET]
    assert node.got == [(0, list(zip(kinds, [7, 2, 3, 4, 5], strict=True)))]
    assert not node.lost


def test_a_definition_that_is_too_large_is_told_as_well(node):
    _sent(node, (protocol.DEFINE, 7, 200_000), (protocol.CALL, 1, 10), (protocol.CANCEL, 2, 0))
    assert node.unsent == [(protocol.DEFINE, 7), (protocol.CALL, 1)]
    assert node.got == [(0, [(protocol.CANCEL, 2)])]


def test_a_node_that_takes_nothing_is_lost(node):
    node.most_bytes = 0
    _sent(node, (protocol.CANCEL, 2, 0))
    assert len(node.lost) == 1
