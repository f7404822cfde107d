"""Messages over a stream socket: whole, in order, and plain about a peer that is gone."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator

import pytest

from lanewise.measuring.channel import Channel, ChannelClosedError


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    left, right = socket.socketpair()
    with left, right:
        yield Channel(left), Channel(right)


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack("!I", len(body)) + body


def test_a_message_arrives_as_it_was_sent(pair: tuple[Channel, Channel]) -> None:
    message = {"command": "cost", "größe": 1.5, "list": [None, True, "\U0001f600"]}
    pair[0].send(message)
    assert pair[1].receive(30) == message


def test_both_directions_and_the_order_are_kept(pair: tuple[Channel, Channel]) -> None:
    for number in range(50):
        pair[0].send({"to right": number})
        pair[1].send({"to left": number})
    assert [pair[1].receive(30) for _ in range(50)] == [{"to right": at} for at in range(50)]
    assert [pair[0].receive(30) for _ in range(50)] == [{"to left": at} for at in range(50)]


@pytest.mark.parametrize("cut", range(len(frame({"a": 1})) + 1))
def test_a_message_in_two_pieces_is_whole_only_with_the_second(
    pair: tuple[Channel, Channel], cut: int
) -> None:
    data = frame({"a": 1})
    pair[0].socket.sendall(data[:cut])
    whole = cut == len(data)
    assert pair[1].receive(0) == ({"a": 1} if whole else None)
    pair[0].socket.sendall(data[cut:])
    assert pair[1].receive(0) == (None if whole else {"a": 1})


def test_two_messages_in_one_piece_are_two(pair: tuple[Channel, Channel]) -> None:
    pair[0].socket.sendall(frame({"n": 1}) + frame({"n": 2}))
    assert [pair[1].receive(0), pair[1].receive(0), pair[1].receive(0)] == [
        {"n": 1},
        {"n": 2},
        None,
    ]


def test_without_a_message_the_time_runs_out(pair: tuple[Channel, Channel]) -> None:
    assert pair[0].receive(0) is None
    assert pair[0].receive(0.001) is None
    assert not pair[0].readable(0)


def test_a_closed_peer_is_told(pair: tuple[Channel, Channel]) -> None:
    pair[0].socket.close()
    with pytest.raises(ChannelClosedError):
        pair[1].receive()


def test_what_a_peer_sent_before_it_closed_still_arrives(pair: tuple[Channel, Channel]) -> None:
    pair[0].send({"last": "words"})
    pair[0].socket.close()
    assert pair[1].receive() == {"last": "words"}
    with pytest.raises(ChannelClosedError):
        pair[1].receive()


def test_a_peer_that_closes_within_a_message_is_told(pair: tuple[Channel, Channel]) -> None:
    pair[0].socket.sendall(frame({"half": "a message"})[:-3])
    pair[0].socket.close()
    with pytest.raises(ChannelClosedError):
        pair[1].receive()


def test_sending_to_a_closed_peer_is_told(pair: tuple[Channel, Channel]) -> None:
    pair[1].socket.close()
    with pytest.raises(ChannelClosedError):
        pair[0].send({"a": 1})


def test_a_length_that_cannot_be_right_is_refused_before_it_is_waited_for(
    pair: tuple[Channel, Channel],
) -> None:
    pair[0].socket.sendall(struct.pack("!I", 2**32 - 1))
    with pytest.raises(ChannelClosedError, match="4294967295"):
        pair[1].receive(30)
