"""Answers come in pieces, of any size."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplyr_load.wire import Answer, Connection, request


class _Transport(asyncio.Transport):
    """A transport that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def received(pieces: list[bytes], *, ends: bool = False) -> tuple[list[Answer], list[bool]]:
    """Feed a connection that waits for an answer; return answers, and losses."""
    answers: list[Answer] = []
    lost: list[bool] = []
    connection = Connection(keep_body=True)
    connection.connection_made(_Transport())
    connection.on_answer, connection.on_lost = answers.append, lost.append
    for piece in pieces:
        connection.data_received(piece)
    if ends:
        connection.connection_lost(None)
    return answers, lost


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at places."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[first:last] for first, last in pairwise(at)]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.binary(max_size=200), PLACES, st.sampled_from([b"", b"Connection: close\r\n"]))
def test_a_counted_body(body: bytes, places: list[int], more: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: %d\r\n%s\r\n" % (len(body), more)
    answers, _ = received(cut(head + body, places) if body else [head])
    # A body of nothing is whole with its head.
    assert answers == [Answer(200, body, not more)]


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), PLACES)
def test_a_chunked_body(chunks: list[bytes], places: list[int]) -> None:
    data = b"HTTP/1.1 503 Full\r\ntransfer-encoding: chunked\r\n\r\n"
    data += b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    answers, _ = received(cut(data + b"0\r\n\r\n", places))
    assert answers == [Answer(503, b"".join(chunks), True)]


@given(st.binary(max_size=100), PLACES)
def test_a_body_that_ends_with_its_connection(body: bytes, places: list[int]) -> None:
    answers, lost = received(cut(b"HTTP/1.0 200 OK\r\n\r\n" + body, places), ends=True)
    assert answers == [Answer(200, body, False)]
    assert lost == []


@pytest.mark.parametrize(
    ("data", "some"),
    [
        (b"", False),
        (b"HTTP/1.1 2", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", True),
    ],
)
def test_an_answer_that_breaks_off(data: bytes, some: bool) -> None:
    assert received([data] if data else [], ends=True) == ([], [some])


def test_a_request_says_how_long_it_is() -> None:
    made = request("k", "/x?q=1", method="POST", body=b"abc", headers=(("x-a", "b"),))
    head, _, body = made.data.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /x?q=1 HTTP/1.1"
    assert b"x-a: b" in head
    assert b"content-length: 3" in head
    assert body == b"abc"
