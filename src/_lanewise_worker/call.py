"""Run one call in a worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from typing import Any


class Sealed:
    """A call on its way to a worker: function, variant, arguments and keyword arguments.

    It pickles into a :class:`Parcel`, whose content the worker opens inside the call. The pool opens
    what it receives outside of any call, where an argument that cannot be made again would end the
    worker. The price is one more copy of the bytes.
    """

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the content now, and as bytes."""
        return Parcel, (pickle.dumps(self.call, pickle.HIGHEST_PROTOCOL),)


class Parcel:
    """A sealed call that has arrived."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class FarSideError(Exception):
    """Something that cannot cross, told in words.

    ``what`` is ``"arguments"`` (the call never started) or ``"exception"`` (it ran and raised).
    """

    def __init__(self, what: str, words: str) -> None:
        super().__init__(what, words)
        self.what = what
        self.words = words


def invoke(parcel: Parcel) -> Any:
    """Run one implementation of a task, or a plain function, in a worker process.

    The function arrived by reference; a task is known by its ``implementation`` method, so that
    nothing of lanewise need be imported here unless the task's own module does.

    Raises:
        Exception: What the function raised.
        FarSideError: The call could not be opened, or its exception could not be sent.
    """
    try:
        function, variant, args, kwargs = pickle.loads(parcel.data)  # noqa: S301 - because: from the parent
    except Exception as error:  # noqa: BLE001 - because: what arguments do when they are made again is theirs
        raise FarSideError("arguments", _in_words(error)) from None
    implementation = getattr(function, "implementation", None)
    if implementation is not None:
        function = implementation(variant)
    try:
        return call_plainly(function, args, kwargs)
    except Exception as error:
        if _crosses(error):
            raise
        raise FarSideError("exception", _in_words(error)) from None


def _in_words(error: Exception) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


def call_plainly(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a function whose outcome a future is to carry.

    Raises:
        RuntimeError: The function raised StopIteration, which no future can carry (a coroutine that
            awaits it would end instead; PEP 479 decides alike for generators), or SystemExit, which
            asyncio would take for the end of the whole service.
    """
    try:
        return function(*args, **kwargs)
    except (StopIteration, SystemExit) as error:
        raise RuntimeError(f"the call raised {type(error).__name__}: {error}") from error


def _crosses(error: Exception) -> bool:
    """Whether an exception can be made again from its pickle; many with own constructors cannot.

    The other side would otherwise fail while it reads the reply, and take the whole pool with it.
    """
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - because: pickled here a moment ago
    except Exception:  # noqa: BLE001 - because: constructors may raise anything
        return False
    return True


def nothing(*_args: Any) -> None:
    """The call that costs nothing: what remains is the lane's own cost."""


def burn(duration_s: float) -> None:
    """Keep a core busy: the reference for what busy cores alone do to an event loop."""
    stop_at = time.perf_counter() + duration_s
    while time.perf_counter() < stop_at:
        pass


def echo(data: bytes) -> bytes:
    """Send bytes there and back: what remains beside the lane's own cost is their crossing."""
    return data


def start_worker() -> None:
    """Prepare a fresh worker: Ctrl-C is the parent's to handle, and it dies when the parent does."""
    with contextlib.suppress(ValueError):  # not on the main thread: nothing to shield
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, name="lanewise-parent", daemon=True).start()


def _die_with_parent() -> None:
    """Wait for the parent's end, then end this worker.

    No end of file does it: every worker holds the call queue's other end. The sentinel is a pipe
    that the owner of the pool holds, whichever process forked this one.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)
