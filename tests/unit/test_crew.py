"""The nodes of a lane: what becomes of calls when nodes, objects and items do not do as they should."""

import asyncio
import pickle

import pytest

from _lanewise_worker import far
from _lanewise_worker.traces import pack_exception
from lanewise import LaneUnavailableError, WorkerDiedError
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.crew import Crew
from lanewise.lanes.cluster.packing import Outgoing
from lanewise.lanes.cluster.placement import Call
from lanewise.lanes.cluster.protocol import CallHead, Definition, NodeFacts
from lanewise.lanes.process.handles import HandleBook
from lanewise.lanes.remote_stream import remote_stream


class FakeLink:
    """A gateway that notes what it is sent."""

    def __init__(self):
        self.sent = []
        self.broken = False

    def send(self, kind, number=0, seq=0, parts=None):
        self.sent.append((kind, number, seq))

    def pass_on(self, fd):
        if self.broken:
            raise OSError("no descriptor can be passed")


class Lane:
    """A crew, its gateway, and calls."""

    def __init__(self, *cpus):
        self.crew = Crew(asyncio.get_running_loop())
        self.link = FakeLink()
        self.crew.connect(self.link)
        self.told = []
        self.crew.on_nodes = self.told.append
        self.seq = 0
        for number, many in enumerate(cpus, start=1):
            facts = NodeFacts(f"host-{number}", "10.0.0.1", many, 1e9, 1, "3", "1", "2")
            self.crew.frame(protocol.NODE_UP, number, 0, pickle.dumps(tuple(facts)))
        self.told.clear()

    def call(self, cpus=1.0, *, idempotent=False, shares=()):
        """Make a call that is not submitted yet."""
        self.seq += 1
        numbers = tuple(one.number for one in shares)
        head = CallHead(0, "f", "m", far.PLAIN, None, False, idempotent, 0, numbers, ())
        future = asyncio.get_running_loop().create_future()
        out = Outgoing(future, self.seq, protocol.CALL, "f", head, [b""], None, shares, None, None)
        return Call("f", out, cpus, 0, idempotent)

    def submitted(self, *args, **options):
        """Make a call and submit it."""
        call = self.call(*args, **options)
        self.crew.submit(call)
        return call

    def calls_sent(self):
        """Nodes and numbers of the calls that were sent."""
        return [(number, seq) for kind, number, seq in self.link.sent if kind == protocol.CALL]

    def say(self, kind, call, head=None, body=b"", number=1):
        """A node says something of a call."""
        data = body if head is None else b"".join(protocol.headed(head, body))
        self.crew.frame(kind, number, call.payload.seq, data)


def _answer():
    return (far.RETURNED, far.PLAIN, (0.1, 0.1, None, None, 0)), pickle.dumps(((7,), {}))


async def test_a_call_whose_only_large_node_is_lost_leaves_the_queue_and_may_go_elsewhere():
    lane = Lane(1, 4)
    busy = [lane.submitted() for _ in range(2)]
    assert {call.node.number for call in busy} == {1, 2}
    large = lane.submitted(4)
    assert large.state == "queued"
    lane.crew.frame(protocol.NODE_DOWN, 2, 0, b"it went")
    with pytest.raises(LaneUnavailableError, match="asks for 4 CPUs") as caught:
        await large.payload.future
    assert caught.value.withdrawn
    assert lane.submitted().state == "queued"
    lane.crew.stop_all("was stopped")


async def test_nodes_that_go_together_are_not_sent_each_others_calls():
    lane = Lane(*[1] * 4)
    call = lane.submitted(idempotent=True)
    lane.crew.disconnect("the gateway has ended")
    assert (len(lane.calls_sent()), call.attempts) == (1, 1)
    with pytest.raises(LaneUnavailableError, match="the gateway has ended") as caught:
        await call.payload.future
    assert caught.value.withdrawn
    assert (lane.crew.lost_nodes, lane.crew.lost_calls) == (4, 0)
    lane.crew.disconnect("once more")
    assert lane.told == ["the gateway has ended"]


async def test_calls_of_nodes_that_go_together_are_told_once():
    lane = Lane(1, 1)
    calls = [lane.submitted() for _ in range(2)]
    lane.crew.disconnect("the gateway has ended")
    for call in calls:
        with pytest.raises(WorkerDiedError, match="the gateway has ended"):
            await call.payload.future
    assert lane.crew.lost_calls == 2


async def test_a_call_that_nobody_waits_for_is_no_lost_call():
    lane = Lane(1)
    call = lane.submitted()
    call.payload.future.cancel()
    lane.crew.frame(protocol.NODE_DOWN, 1, 0, b"it went")
    assert (lane.crew.lost_nodes, lane.crew.lost_calls) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "head", "body"),
    [
        (protocol.ANSWER, *_answer()),
        (protocol.FAILED, None, pickle.dumps(None)),
        (protocol.ENDED, None, b""),
        (protocol.UNSENT, None, b"too large"),
    ],
)
async def test_what_a_lost_node_still_says_of_a_call_that_runs_elsewhere_is_not_heard(
    kind, head, body
):
    lane = Lane(1, 1)
    call = lane.submitted(idempotent=True)
    first = call.node.number
    lane.crew.frame(protocol.NODE_DOWN, first, 0, b"it went")
    assert call.node.number == 3 - first
    lane.say(kind, call, head, body, number=first)
    assert (call.state, call.payload.future.done()) == ("sent", False)
    lane.crew.stop_all("was stopped")
    call.payload.future.exception()


async def test_an_answer_of_the_node_that_has_the_call_is_heard():
    lane = Lane(1)
    call = lane.submitted()
    lane.say(protocol.UNSENT, call, None, b"too large")
    with pytest.raises(LaneUnavailableError, match="too large"):
        await call.payload.future
    assert call.state == "over"


async def test_a_shared_object_that_cannot_be_passed_on_is_told_and_tried_again(caplog):
    lane = Lane(1)
    handle = HandleBook().share(bytes(100_000))
    lane.link.broken = True
    calls = [lane.submitted(shares=(handle,)) for _ in range(2_000)]
    for call in calls:
        with pytest.raises(LaneUnavailableError, match="no descriptor can be passed") as caught:
            await call.payload.future
        assert caught.value.withdrawn
    assert not lane.calls_sent()
    await lane.crew.drained()
    lane.link.broken = False
    again = lane.submitted(shares=(handle,))
    kinds = [kind for kind, _, _ in lane.link.sent]
    assert kinds == [protocol.SHARE, protocol.GIVE, protocol.CALL]
    assert again.state == "sent"
    again.payload.future.cancel()


class _Unmakeable:
    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise ValueError("cannot be made again")


@pytest.mark.parametrize("raised", [True, False])
async def test_an_item_that_fails_ends_the_stream_and_its_generator(raised):
    lane = Lane(1)
    call = lane.call()
    items = remote_stream(lambda: (lane.crew, call, lambda _: None), 5.0)
    first = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    lane.say(protocol.ITEM, call, (far.RETURNED, far.PLAIN), pickle.dumps(1))
    assert await first == 1
    what, body = far.RETURNED, pickle.dumps(_Unmakeable())
    if raised:
        what, body = far.RAISED, pack_exception(ValueError("its own"))
    lane.say(protocol.ITEM, call, (what, far.PLAIN), body)
    second = asyncio.ensure_future(anext(items))
    for _ in range(3):
        await asyncio.sleep(0)
    assert lane.link.sent[-1] == (protocol.STOP, 1, call.payload.seq)
    assert not second.done()  # the generator is being closed
    lane.say(protocol.ENDED, call)
    with pytest.raises(Exception, match=r"its own|cannot be made again"):
        await second
    await lane.crew.drained()


async def test_a_function_that_did_not_get_to_a_node_goes_along_with_its_next_call():
    lane = Lane(1)
    definition = Definition(b"", "f", "m", "")

    def sent_with():
        call = lane.call()
        call.payload.head = call.payload.head._replace(function=9)
        call.payload.definition = definition
        lane.link.sent.clear()
        lane.crew.submit(call)
        lane.say(protocol.UNSENT, call, None, b"too large")
        call.payload.future.exception()
        return [kind for kind, _, _ in lane.link.sent]

    assert sent_with() == [protocol.DEFINE, protocol.CALL]
    assert sent_with() == [protocol.CALL]
    lane.crew.frame(protocol.UNDEFINED, 1, 9, b"too large")
    assert sent_with() == [protocol.DEFINE, protocol.CALL]
    lane.crew.frame(protocol.NODE_DOWN, 1, 0, b"it went")
    lane.crew.frame(protocol.UNDEFINED, 1, 9, b"of a node that is gone")
