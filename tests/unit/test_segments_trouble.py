"""What goes wrong with shared memory, and two real processes that use it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from tests.unit.segment_ends import Ends, block, descriptors

from _lanewise_worker import segments
from _lanewise_worker.codec import Encoded, decode, encode
from _lanewise_worker.segments import Receiver, Sender

ON_LINUX = sys.platform == "linux"
MIB = 1 << 20


# --- trouble --------------------------------------------------------------------------------------


def test_what_cannot_be_passed_goes_another_way(ends: Ends) -> None:
    encoded = encode(block())
    assert isinstance(encoded, Encoded)
    before = descriptors()
    ends.far.close()
    assert ends.sender.place(encoded) is None
    assert "200," in str(ends.sender.trouble)
    assert descriptors() == before - 1


def test_a_segment_that_cannot_be_mapped_goes_back(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    placement = ends.placed(block())
    placement.copy()
    with monkeypatch.context() as patch:
        patch.setattr(segments, "map_shared", refuse)
        with pytest.raises(OSError, match="allocate"):
            ends.receiver.open(placement.header)
    assert ends.settle() == [1]
    number, found = ends.sent(block(200_000, 5))
    assert (number, found[0]) == (1, 5)
    del found
    assert ends.settle() == [1]


@pytest.mark.parametrize("missing", ["memfd_create", "posix_fallocate"])
def test_other_systems_have_a_slower_way(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delattr(os, missing, raising=False)
    for _ in range(2):
        number, found = ends.sent(block(3 * MIB))
        assert bytes(found) == bytes(block(3 * MIB))
        del found
        assert ends.settle() == [number] == [1]


LIMITED = """
    import os, pickle, resource, socket, sys
    from _lanewise_worker.codec import encode
    from _lanewise_worker.segments import Sender

    kind, limit = sys.argv[1], int(sys.argv[2])
    near, far = socket.socketpair()
    def pass_fd(fd):
        socket.send_fds(near, [b"+"], [fd])
    sender = Sender(pass_fd)
    encoded = encode(pickle.PickleBuffer(bytearray(8 << 20)))
    first = sender.place(encode(pickle.PickleBuffer(bytearray(1 << 20))))
    assert first is not None, sender.trouble
    first.copy()
    which = getattr(resource, kind)
    if kind == "RLIMIT_AS":
        with open("/proc/self/statm") as file:
            limit += int(file.read().split()[0]) * resource.getpagesize()
    if kind == "RLIMIT_NOFILE":
        limit = max(map(int, os.listdir("/dev/fd"))) - 1
        fillers = []
    resource.setrlimit(which, (limit, resource.getrlimit(which)[1]))
    if kind == "RLIMIT_NOFILE":
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
    for _ in range(3):
        assert sender.place(encoded) is None
        assert sender.trouble.startswith("no shared memory of 8,388"), sender.trouble
    first.abandon()
    again = sender.place(encode(pickle.PickleBuffer(bytearray(1 << 20))))
    assert again is not None
    again.copy()
    sender.close()
    near.close()
    far.close()
    print("fine")
"""


@pytest.mark.skipif(not ON_LINUX, reason="limits differ")
@pytest.mark.parametrize(
    ("kind", "limit"), [("RLIMIT_FSIZE", 4 * MIB), ("RLIMIT_AS", 4 * MIB), ("RLIMIT_NOFILE", 0)]
)
def test_limits_of_the_system_are_no_errors(kind: str, limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(LIMITED), kind, str(limit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


# --- two processes --------------------------------------------------------------------------------


FAR_SIDE = """
    import pickle, socket, struct, sys
    from _lanewise_worker.codec import decode, encode
    from _lanewise_worker.segments import Receiver, Sender

    line, side = socket.socket(fileno=int(sys.argv[1])), socket.socket(fileno=int(sys.argv[2]))
    receiver = Receiver(lambda: socket.recv_fds(side, 1, 1)[1][0])
    sender = Sender(lambda fd: socket.send_fds(side, [b"+"], [fd]))
    reader = line.makefile("rb")
    kept = []

    def say(kind, data=b""):
        line.sendall(struct.pack("=cI", kind, len(data)) + data)

    while head := reader.read(5):
        kind, length = struct.unpack("=cI", head)
        data = reader.read(length)
        if kind == b"m":
            number, stream, buffers = receiver.open(data)
            value = decode(stream, buffers)
            del stream, buffers
            value["block"][0] += 1
            kept.append(value["block"])
            value["block"] = pickle.PickleBuffer(value["block"])
            placement = sender.place(encode(value))
            placement.copy()
            say(b"m", placement.header)
            del value
        elif kind == b"k":
            kept.clear()
        elif kind == b"f":
            sender.released(struct.unpack("=Q", data)[0])
        elif kind == b"s":
            released = receiver.take_released()
            say(b"s", struct.pack(f"={len(released)}Q", *released))
"""


class FarSide:
    """Another process, which sends back what it gets, one higher at the first byte, and keeps it."""

    def __init__(self) -> None:
        self.line, far_line = socket.socketpair()
        self.side, far_side = socket.socketpair()
        for end in (self.line, self.side):
            end.settimeout(30)
        fds = (far_line.fileno(), far_side.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(FAR_SIDE), *map(str, fds)], pass_fds=fds
        )
        far_line.close()
        far_side.close()
        self.reader = self.line.makefile("rb")
        self.sender = Sender(lambda fd: socket.send_fds(self.side, [b"+"], [fd]))
        self.receiver = Receiver(lambda: socket.recv_fds(self.side, 1, 1)[1][0])

    def say(self, kind: bytes, data: bytes = b"") -> None:
        self.line.sendall(struct.pack("=cI", kind, len(data)) + data)

    def hear(self, expected: bytes) -> bytes:
        kind, length = struct.unpack("=cI", self.reader.read(5))
        assert kind == expected
        return self.reader.read(length)

    def returned(self, value: Any) -> tuple[int, Any]:
        """Send a value; return the segment that it took and what comes back."""
        encoded = encode(value)
        assert isinstance(encoded, Encoded)
        placement = self.sender.place(encoded)
        assert placement is not None
        placement.copy()
        self.say(b"m", placement.header)
        _, stream, buffers = self.receiver.open(self.hear(b"m"))
        return placement.segment_id, decode(stream, buffers)

    def settle(self) -> list[int]:
        """What each side lets go of is the other's again; return what the far side let go of."""
        for number in self.receiver.take_released():
            self.say(b"f", struct.pack("=Q", number))
        self.say(b"s")
        data = self.hear(b"s")
        released = list(struct.unpack(f"={len(data) // 8}Q", data))
        for number in released:
            self.sender.released(number)
        return released

    def close(self) -> None:
        self.reader.close()
        self.line.close()
        self.side.close()
        assert self.process.wait(30) == 0
        self.sender.close()
        self.receiver.close()


def test_values_go_to_another_process_and_back() -> None:
    before = descriptors()
    far = FarSide()
    used = []
    results = []
    for turn in range(6):
        number, found = far.returned({"block": block(MIB, turn), "text": "x" * 100_000})
        used.append(number)
        assert bytes(found["block"]) == bytes([turn + 1]) + bytes([turn]) * (MIB - 1)
        results.append(found["block"])
        del found
        if turn == 2:
            assert far.settle() == []
            far.say(b"k")
            assert sorted(far.settle()) == [1, 2, 3]
    assert sorted(used[:3]) == sorted(used[3:]) == [1, 2, 3]
    # All that came back was kept here, and is as it was.
    for turn, result in enumerate(results):
        assert bytes(result[:2]) == bytes([turn + 1, turn])
    far.close()
    assert bytes(results[5][:2]) == bytes([6, 5])
    assert descriptors() == before
