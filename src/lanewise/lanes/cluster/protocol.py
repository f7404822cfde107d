"""The frames between a lane, its gateway and its nodes.

They have the form of :mod:`_lanewise_worker.wire`. The head's number is the node's, but where another
meaning is given in brackets; its sequence number is the call's. What a gateway hands on it does not read.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from _lanewise_worker.crossing import COUNT

# From the lane to the gateway.
SETTINGS = 1  # the first frame, once
SHARE = (
    2  # an object that nodes may be given [its number]; its memory comes through the side channel
)
GIVE = 3  # give that node the object [node; the sequence number is the object's]
DROP = 4  # nobody needs the object any more [its number]

# From the lane to a node.
DEFINE = 16  # what a function's number stands for [node; the sequence number is the function's]
CALL = 17
CHUNK = 18
STREAM = 19
CANCEL = 20  # stop the call, or forget it
STOP = 21  # close the stream
CREDIT = 22  # room for more of its items; how many is the body
FORGET = 23  # drop a shared object [node; the sequence number is the object's]

# From the gateway to the lane.
OPENED = 32  # the cluster is reached
NODE_UP = 33
NODE_DOWN = 34
UNSENT = 35  # a call did not get to the node
TROUBLE = 36  # the cluster cannot be used; the gateway ends
UNDEFINED = 37  # a DEFINE did not get to the node [node; the sequence number is the function's]

# From a node to the lane.
ANSWER = 48  # a call returned or raised
ANSWERS = 49  # the same, of a chunk
FAILED = 50  # a call did not come to its end on the node
ITEM = 51
ENDED = 52  # a stream is over
LOG = 53
WARNING = 54
OUTPUT = 55
BEAT = 56  # nothing else was to be said; the gateway keeps it to itself

# Items that cross before their consumer has asked for them.
ROOM = COUNT


class CallHead(NamedTuple):
    """What a node must know of a call.

    Attributes:
        function: Its number; 0 where the call brings it along.
        name: What messages call it, and ``module`` where it comes from, where the number is 0.
        written: How the body is written, see :mod:`_lanewise_worker.far`.
        left_s: Seconds until its deadline, or None.
        abandon: It runs to its end when nobody waits for it.
        idempotent: It may begin again after its worker died.
        report: 0, or 1 for what it took, or 2 to look closely.
        shares: Numbers of shared objects that it refers to.
        context: Context variables that go with it.
    """

    function: int
    name: str
    module: str
    written: int
    left_s: float | None
    abandon: bool
    idempotent: bool
    report: int
    shares: tuple[int, ...]
    context: tuple[tuple[str, Any], ...]


class Definition(NamedTuple):
    """A function that calls name by a number."""

    pickled: bytes
    name: str
    module: str
    digest: str


class NodeFacts(NamedTuple):
    """What a node says of itself."""

    name: str
    address: str
    cpus: float
    memory_bytes: float
    pid: int
    python: str
    lanewise: str
    ray: str


def headed(head: tuple[Any, ...], *body: bytes) -> list[bytes]:
    """Put a head before a body."""
    packed = pickle.dumps(tuple(head), 5)
    return [COUNT.pack(len(packed)) + packed, *body]


def beheaded(data: Any) -> tuple[Any, memoryview]:
    """Return the head and the body."""
    view = memoryview(data)
    (length,) = COUNT.unpack_from(view)
    end = COUNT.size + length
    return pickle.loads(view[COUNT.size : end]), view[end:]  # noqa: S301 - because: between the parts of one runtime
