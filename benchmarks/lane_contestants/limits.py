"""What no library can beat: the same work without one."""

import mmap
import pickle
import socket
import subprocess
import sys

from lane_contestants import jobs
from lane_contestants.base import Contestant

_LONGEST_BYTES = 65_536


class Bare(Contestant):
    """Plain processes on socket pairs; everything blocks."""

    def started(self, what, *words):
        """Start a far side of this module and return this end of its socket."""
        near, far = socket.socketpair()
        with far:
            command = [sys.executable, "-m", "lane_contestants.limits", what, str(far.fileno())]
            process = subprocess.Popen([*command, *map(str, words)], pass_fds=(far.fileno(),))
        self.stack.callback(process.wait)
        self.stack.callback(near.close)  # which the far side sees and ends
        return near


class PingPong(Bare):
    """A pickled function there, its pickled result back."""

    async def open(self):
        """Start the far side."""
        self._near = self.started("ping_pong")
        self.call = self._asked

    async def _asked(self, fn, *args):
        self._near.send(pickle.dumps((fn, args)))
        return pickle.loads(self._near.recv(_LONGEST_BYTES))


class Ideal(Bare):
    """The work of a map split by hand in two even halves, no message for any item."""

    async def open(self):
        """Start both processes; they hold their half."""
        half, rest = divmod(self.sizes.map_items, 2)
        self._near = [
            self.started("loop", self.sizes.spin_iterations, items) for items in (half, half + rest)
        ]

    async def map_all(self, fn, items):  # noqa: ARG002 - because: both halves are over there already
        """Start both halves and wait for both."""
        for near in self._near:
            near.send(b"g")
        return sum(int(near.recv(_LONGEST_BYTES)) for near in self._near)


class Memcpy(Contestant):
    """One copy of the array into shared memory that was written before."""

    async def open(self):
        """Make that memory."""
        import numpy as np

        # Held by what numpy makes of it, and released with that.
        memory = mmap.mmap(-1, self.sizes.array_bytes // 8 * 8)
        self._target = np.frombuffer(memory, dtype=np.float64)
        self._target[:] = 1.0
        self.call = self._copied

    async def _copied(self, fn, array):
        import numpy as np

        np.copyto(self._target, array)
        return fn(self._target)


def ping_pong(far):
    """Answer until the other end is closed."""
    while message := far.recv(_LONGEST_BYTES):
        fn, args = pickle.loads(message)
        far.send(pickle.dumps(fn(*args)))


def loop(far, iterations, items):
    """Run the half whenever told to."""
    half = [int(iterations)] * int(items)
    while far.recv(1):
        for item in half:
            jobs.spin(item)
        far.send(b"%d" % len(half))


if __name__ == "__main__":
    _name, _fd, *_words = sys.argv[1:]
    with socket.socket(fileno=int(_fd)) as _far:
        {"ping_pong": ping_pong, "loop": loop}[_name](_far, *_words)
