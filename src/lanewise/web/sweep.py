"""When to look after requests: one timer for all of a loop's."""

from __future__ import annotations

import asyncio
import contextvars
import weakref

from lanewise.web.exchange import Exchange

# Requests are looked at so often; one that is there at the second look gets somebody who asks for it.
_LOOK_EVERY_S = 0.01


class Sweep:
    """Looks at the requests of one loop every few milliseconds, while there are any to look at.

    A timer or a task for each would cost a short request more than all else that happens to it here.
    Owner: its loop.
    """

    def __init__(self) -> None:
        self._exchanges: set[Exchange] = set()
        self._awake = False
        # Of no request, since it serves all.
        self._context = contextvars.Context()

    def add(self, exchange: Exchange) -> None:
        """Look at a request from now on."""
        self._exchanges.add(exchange)
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look, context=self._context)

    def discard(self, exchange: Exchange) -> None:
        """Do not look at it any more."""
        self._exchanges.discard(exchange)

    def _look(self) -> None:
        self._awake = False
        exchanges, self._exchanges = self._exchanges, set()
        for exchange in exchanges:
            if exchange.look():
                self.add(exchange)


class Sweeps:
    """The sweeps of several loops. Threads: any, each with its own loop."""

    def __init__(self) -> None:
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Sweep] = (
            weakref.WeakKeyDictionary()
        )

    def of_this_loop(self) -> Sweep:
        """Return the sweep of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = self._by_loop[loop] = Sweep()
        return found
