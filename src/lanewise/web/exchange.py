"""One HTTP request as seen from outside its app: has it answered, and is its client still there?

ASGI tells that a client left by a message, ``http.disconnect``, which comes where the request's body
comes from. An app that does not ask does not learn of it. So somebody else must ask in its stead, without
taking from it what it will ask for later. The rules:

* At most one message of the body is read ahead and, after the last one, that which tells of the client's
  leaving. Both are kept, and the app's next ``receive()`` returns them in their order.
* Nothing is read ahead while the app itself waits in ``receive()``. It learns of everything first-hand,
  and a message that it has waited for is its own affair: nothing is cancelled then.
* Requests that are over within a few milliseconds never have anybody ask for them.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from lanewise.web.sweep import Sweep, Sweeps

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# A server whose receive() cannot be cancelled holds a finished request up no longer than this.
_PATIENCE_S = 1.0


class Exchange:
    """See the module's text. Owner: the event loop of the request's task."""

    # Set here and not for each request: most are over before any of these changes.
    started = False
    is_watched = False
    _complete = False
    _ended = False
    _cancelled = False
    _seen = False
    _blind = False
    _asking = 0
    _before = 0
    _ahead: tuple[Message, ...] = ()
    _reading: asyncio.Task[None] | None = None
    _task: asyncio.Task[Any] | None = None
    _sweep: Sweep | None = None

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    # --- what the app is given ------------------------------------------------------------------

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on to the server. No coroutine of its own: every message would pay for it."""
        kind = message["type"]
        if kind == "http.response.start":
            self.started = True
        elif kind == "http.response.body":
            self._complete = not message.get("more_body", False)
        elif kind == "http.response.pathsend":
            self._complete = True
        return self._send(message)

    async def receive(self) -> Message:
        """Return the next message: the one that was read ahead, or the server's next."""
        self._asking += 1
        try:
            while self._reading is not None and not self._ahead:
                # Whoever is cancelled here must not take the read with it: it may have a message.
                await asyncio.wait((self._reading,))
            if not self._ahead:
                return await self._receive()
            message = self._ahead[0]
            if message["type"] != "http.disconnect":  # which is all that ever comes from then on
                self._ahead = self._ahead[1:]
            return message
        finally:
            self._asking -= 1
            if self._sweep is not None and not self._ended:
                self._sweep.add(self)

    # --- the app's work -------------------------------------------------------------------------

    @types.coroutine
    def go_on(
        self, work: Coroutine[Any, Any, None], waits_for: Any, sweeps: Sweeps
    ) -> Generator[Any, Any, None]:
        """Have the request watched from now on, and run the rest of the app's coroutine.

        Args:
            work: The coroutine, whose first step has been made.
            waits_for: What it yielded.
            sweeps: Who watches.
        """
        self.is_watched = True
        self._task = asyncio.current_task()
        if self._task is not None:
            self._before = self._task.cancelling()
            self._sweep = sweeps.of_this_loop()
            self._sweep.add(self)
        while True:
            try:
                yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - because: what is thrown in goes to the app
                try:
                    waits_for = work.throw(error)
                except StopIteration:
                    return
            else:
                yield from work
                return

    def end(self) -> bool:
        """The app has ended: cancel nothing from now on. May be called again.

        Returns:
            Whether a CancelledError that came out of it is ours alone, and goes no further.
        """
        self._ended = True
        if not self._cancelled or self._task is None:
            return False
        self._cancelled = False
        # As asyncio.timeout() does it: whoever else cancelled the task is still counted.
        return self._task.uncancel() <= self._before

    # --- looking ahead --------------------------------------------------------------------------

    def look(self) -> bool:
        """Ask in the app's stead, where it does not itself. Returns whether to come again."""
        if not self._seen:
            self._seen = True
            return True
        busy = self._reading is not None or self._asking
        if self._task is not None and not (busy or self._complete or self._blind or self._full):
            reading = self._task.get_loop().create_task(self._read())
            if not reading.done():  # as it is at once where tasks are eager
                self._reading = reading
        return False

    @property
    def _full(self) -> bool:
        """Whether no more may be read ahead."""
        if not self._ahead:
            return False
        last = self._ahead[-1]
        return last["type"] == "http.disconnect" or bool(last.get("more_body", False))

    async def _read(self) -> None:
        try:
            while not self._full:
                self._ahead = (*self._ahead, await self._receive())
                if self._asking:
                    return
        except Exception:  # noqa: BLE001 - because: the server's own trouble meets the app when it asks
            self._blind = True
        finally:
            self._reading = None
        if self._ahead and self._ahead[-1]["type"] == "http.disconnect":
            self._client_left()

    def _client_left(self) -> None:
        if self._task is not None and not (self._asking or self._complete or self._ended):
            self._cancelled = True
            self._task.cancel("the client left")

    async def stop(self) -> None:
        """Leave nothing behind, where ``is_watched``."""
        self.end()
        if self._sweep is not None:
            self._sweep.discard(self)
        reading = self._reading
        if reading is not None:
            reading.cancel()
            await asyncio.wait((reading,), timeout=_PATIENCE_S)
