"""What connects the parent to one worker."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from dataclasses import dataclass

from _lanewise_worker import wire
from lanewise.lanes.process.memory import memory_file


@dataclass(slots=True)
class Born:
    """One started worker: the parent's ends of what connects them. Who gets it closes them.

    Attributes:
        page: What parent and worker share, None where no memory could be had for it.
    """

    pid: int
    channel: socket.socket
    side: socket.socket
    out_fd: int
    err_fd: int
    page: mmap.mmap | None

    def close(self) -> None:
        """Close everything."""
        self.channel.close()
        self.side.close()
        os.close(self.out_fd)
        os.close(self.err_fd)
        if self.page is not None:
            self.page.close()


class closing_all:  # noqa: N801 - because: used like contextlib.closing
    """Closes descriptors at the end of a block."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = fds

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for fd in self._fds:
            os.close(fd)


def connections() -> tuple[Born, list[int]]:
    """Make what connects parent and worker: the parent's ends, and the worker's descriptors.

    Raises:
        OSError: No more descriptors; those that were made are closed again.
    """
    with contextlib.ExitStack() as undo:
        channel, far_channel = socket.socketpair()
        undo.callback(channel.close)
        undo.callback(far_channel.close)
        side, far_side = socket.socketpair()
        undo.callback(side.close)
        undo.callback(far_side.close)
        out_read, out_write = os.pipe()
        undo.callback(os.close, out_read)
        undo.callback(os.close, out_write)
        err_read, err_write = os.pipe()
        undo.callback(os.close, err_read)
        undo.callback(os.close, err_write)
        page_fd = memory_file(wire.PAGE_BYTES)
        if page_fd is not None:
            undo.callback(os.close, page_fd)
        page = None if page_fd is None else mmap.mmap(page_fd, wire.PAGE_BYTES)
        undo.pop_all()
    channel.setblocking(False)
    side.setblocking(False)
    os.set_blocking(out_read, False)
    os.set_blocking(err_read, False)
    theirs = [far_channel.detach(), far_side.detach(), out_write, err_write]
    if page_fd is not None:
        theirs.append(page_fd)
    return Born(0, channel, side, out_read, err_read, page), theirs
