"""Ports for servers that have to be told one before they start."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 on which nobody listens who was not told of it.

    It stays bound inside the block, so that nobody else on this machine is given it meanwhile; who
    sets SO_REUSEADDR too, as servers do, may listen there all the same.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
