"""Whatever is sent arrives, however the kernel cuts it."""

from __future__ import annotations

import itertools
import json
import socket
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lanewise.measuring.channel import Channel

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
)
MESSAGES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


def received(chunks: list[bytes], count: int) -> list[Any]:
    """What arrives when the bytes come in these pieces, looked at after each."""
    left, right = socket.socketpair()
    found: list[Any] = []
    with left, right:
        channel = Channel(right)
        for chunk in chunks:
            left.sendall(chunk)
            while len(found) < count and (message := channel.receive(0)) is not None:
                found.append(message)
        assert channel.receive(0) is None
    return found


@given(st.lists(MESSAGES, max_size=5))
def test_messages_arrive_whole_and_in_order(messages: list[dict[str, Any]]) -> None:
    left, right = socket.socketpair()
    with left, right:
        sender, receiver = Channel(left), Channel(right)
        for message in messages:
            sender.send(message)
        assert [receiver.receive(30) for _ in messages] == messages
        assert receiver.receive(0) is None


@given(st.lists(MESSAGES, min_size=1, max_size=3), st.lists(st.integers(0, 2000), max_size=8))
def test_the_cuts_between_pieces_do_not_matter(
    messages: list[dict[str, Any]], cuts: list[int]
) -> None:
    bodies = [json.dumps(message).encode() for message in messages]
    data = b"".join(struct.pack("!I", len(body)) + body for body in bodies)
    edges = [0, *sorted({cut % len(data) for cut in cuts} - {0}), len(data)]
    chunks = [data[low:high] for low, high in itertools.pairwise(edges)]
    assert received(chunks, len(messages)) == messages


@given(st.integers(10_000, 120_000))
def test_a_message_of_many_packets_arrives(length: int) -> None:
    left, right = socket.socketpair()
    with left, right:
        Channel(left).send({"body": "x" * length})
        assert Channel(right).receive(30) == {"body": "x" * length}
