"""Both ends of segments in one process, for tests."""

from __future__ import annotations

import gc
import pickle
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _lanewise_worker import segments
from _lanewise_worker.codec import Encoded, decode, encode
from _lanewise_worker.segments import Receiver, Sender

ON_LINUX = sys.platform == "linux"
MIB = 1 << 20


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


class Ends:
    """Both ends of one direction."""

    def __init__(self, keep_bytes: int = 512 * MIB) -> None:
        self.near, self.far = socket.socketpair()
        self.far.settimeout(30)
        self.sender = Sender(self.pass_fd, keep_bytes=keep_bytes)
        self.receiver = Receiver(self.take_fd)

    def pass_fd(self, fd: int) -> None:
        socket.send_fds(self.near, [b"+"], [fd])

    def take_fd(self) -> int:
        _, fds, _, _ = socket.recv_fds(self.far, 1, 1)
        return fds[0]

    def placed(self, value: Any) -> segments.Placement:
        encoded = encode(value)
        assert isinstance(encoded, Encoded)
        placement = self.sender.place(encoded)
        assert placement is not None, self.sender.trouble
        return placement

    def sent(self, value: Any) -> tuple[int, Any]:
        """Send a value; return its segment and what arrives."""
        placement = self.placed(value)
        placement.copy()
        number, stream, buffers = self.receiver.open(placement.header)
        assert number == placement.segment_id
        return number, decode(stream, buffers)

    def used(self, value: Any) -> int:
        """Send a value, of which nothing is kept; return its segment."""
        return self.sent(value)[0]

    def settle(self) -> list[int]:
        """Give back what nothing refers to; return that."""
        released = self.receiver.take_released()
        for number in released:
            self.sender.released(number)
        return released

    def trim(self) -> list[int]:
        dropped = self.sender.trim()
        for number in dropped:
            self.receiver.forget(number)
        return dropped

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    gc.collect()  # what an earlier test let go of must not end amid this one
    before = descriptors()
    ends = Ends()
    yield ends
    ends.close()
    gc.collect()
    assert descriptors() == before


@pytest.fixture(params=["ctypes", "without ctypes"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)


def block(size: int = 200_000, fill: int = 7) -> pickle.PickleBuffer:
    return pickle.PickleBuffer(bytearray([fill]) * size)
