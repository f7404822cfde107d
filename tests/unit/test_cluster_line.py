"""The socket between a gateway and a node on its machine: whole frames, in order, and one end."""

import itertools
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _lanewise_worker import wire
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.exchanges import frame_of
from lanewise.lanes.cluster.line import Line, Whole, reached

BEAT = wire.frame(protocol.BEAT, number=1)

frames = st.lists(
    st.one_of(
        st.just(BEAT),
        st.builds(
            lambda body, seq: wire.frame(protocol.ANSWER, body, number=1, seq=seq),
            st.binary(max_size=200) | st.integers(0, 5_000).map(bytes),
            st.integers(0, 2**40),
        ),
    ),
    max_size=12,
)


@given(frames, st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_however_it_arrives_frames_are_handed_on_whole_and_without_beats(said, lengths):
    stream, whole, at = b"".join(said), Whole(), 0
    arrived = b""
    for length in itertools.cycle(lengths):
        if at >= len(stream):
            break
        got = whole.feed(stream[at : at + length])
        # Each piece stands for itself: others write to the lane between them.
        alone = wire.Frames().feed(got)
        assert sum(wire.HEAD_BYTES + len(body) for *_, body in alone) == len(got)
        arrived += got
        at += length
    assert arrived == b"".join(one for one in said if one != BEAT)


class Gateway:
    """What a line tells, and the node's end of it."""

    def __init__(self):
        ours, self.node = socket.socketpair()
        self.heard = []
        self.lost = []
        self.has_heard = threading.Event()
        self.is_lost = threading.Event()
        self.line = Line(ours, self._hear, self._lose)

    def _hear(self, data):
        self.heard.append(data)
        self.has_heard.set()

    def _lose(self, reason):
        self.lost.append(reason)
        self.is_lost.set()

    def send(self, seq, body=b""):
        self.line.send(protocol.CALL, seq, frame_of(protocol.CALL, 1, seq, body))


@pytest.fixture
def gateway():
    gateway = Gateway()
    yield gateway
    gateway.line.end()
    gateway.node.close()


def _read(node, length):
    data = b""
    while len(data) < length:
        data += node.recv(65_536)
    return data


def test_nothing_is_heard_before_the_first_flush(gateway):
    said = wire.frame(protocol.LOG, b"hello", number=1)
    gateway.node.sendall(said)
    assert not gateway.heard  # nobody reads yet
    gateway.line.flush()
    assert gateway.has_heard.wait(30)
    assert gateway.heard == [said]


def test_what_a_slow_node_does_not_take_follows_in_order_and_flush_does_not_wait(gateway):
    bodies = [bytes([at]) * 300_000 for at in range(20)]
    for seq, body in enumerate(bodies):
        gateway.send(seq, body)
        gateway.line.flush()  # the node has read nothing of all this
    arrived = wire.Frames().feed(_read(gateway.node, sum(len(b) + wire.HEAD_BYTES for b in bodies)))
    assert [(seq, bytes(body)) for *_, seq, body in arrived] == list(enumerate(bodies))


def test_the_end_of_a_node_is_told_once_and_after_what_it_had_said(gateway):
    said = wire.frame(protocol.ANSWER, b"the last", number=1)
    gateway.line.flush()
    gateway.node.sendall(said + said[:-1])
    gateway.node.close()
    assert gateway.is_lost.wait(30)
    assert b"".join(gateway.heard) == said
    gateway.send(1)
    gateway.line.flush()
    gateway.line.end()
    assert len(gateway.lost) == 1


def test_what_is_ended_from_here_is_not_lost(gateway):
    gateway.line.flush()
    gateway.line.end()
    gateway.line.end()
    assert gateway.node.recv(1) == b""
    assert not gateway.lost


def test_a_line_that_was_never_used_is_closed(gateway):
    gateway.line.end()
    assert gateway.node.recv(1) == b""


class FakeRay:
    """Calls an actor's method where Ray would have sent it."""

    def __init__(self, reach):
        self.reach = self
        self.remote = reach

    def get(self, said, timeout):
        return said


class Agent:
    """A node's end: connects as it is told."""

    def __init__(self):
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def reach(self, name):
        self.end.connect(name)
        return True


@pytest.fixture
def agent():
    agent = Agent()
    yield agent
    agent.end.close()


def test_a_node_that_cannot_connect_is_spoken_with_by_calls():
    assert reached(FakeRay(lambda name: False), FakeRay(lambda name: False)) is None


def test_a_node_that_says_it_connected_and_does_not_is_spoken_with_by_calls(monkeypatch):
    monkeypatch.setattr("lanewise.lanes.cluster.line._REACH_S", 0.01)
    assert reached(FakeRay(None), FakeRay(lambda name: True)) is None


def test_a_node_of_the_same_user_gets_a_line_that_waits(agent):
    line = reached(FakeRay(None), FakeRay(agent.reach))
    assert line is not None
    with line:
        assert line.getblocking()
        agent.end.sendall(b"here")
        assert line.recv(4) == b"here"


def test_a_node_of_another_user_is_refused(agent, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 1)
    monkeypatch.setattr("lanewise.lanes.cluster.line._REACH_S", 0.01)
    assert reached(FakeRay(None), FakeRay(agent.reach)) is None
    assert agent.end.recv(1) == b""
