"""The gateway of one lane: started, watched, and started again when the cluster was lost."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lanewise.errors import LaneUnavailableError
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.crew import Crew
from lanewise.lanes.cluster.link import Link
from lanewise.lanes.cluster.private import private_environment, remove

_log = logging.getLogger("lanewise")

# What reaching a cluster may take, a private Ray's start included.
_OPEN_S = 90.0
# After the first node that cannot be used others may still come.
_OTHERS_S = 3.0
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 10.0
# What the end of a gateway may take: it ends its actors, and a private Ray.
_END_S = 12.0
# Ray's sockets lie below its directory, and their names may not be longer than 107 letters.
_LONGEST_DIRECTORY = 30


class Connection:
    """Owner: the loop of the lane.

    Args:
        settings: What a gateway must know, but for the directory.
        on_change: Called when calls can go to the cluster, with None, or cannot any more, with why.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        crew: Crew,
        settings: dict[str, Any],
        on_change: Callable[[str | None], None],
    ) -> None:
        self.unavailable: str | None = "it is being reached"
        self._loop = loop
        self._crew = crew
        self._settings = settings
        self._on_change = on_change
        self._link: Link | None = None
        self._directory = ""
        self._trouble = ""
        self._usable: asyncio.Future[None] = loop.create_future()
        self._reached = asyncio.Event()
        self._ended = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    @property
    def _is_private(self) -> bool:
        return bool(self._settings["address"] == "local")

    async def open(self) -> None:
        """Reach the cluster, and wait for a node that can be used.

        Raises:
            LaneUnavailableError: It cannot be reached, or none of its nodes can be used. It is not
                tried any more, unless :meth:`keep` is called.
        """
        try:
            await self._begin()
            await asyncio.wait_for(asyncio.shield(self._usable), _OPEN_S)
        except TimeoutError:
            await self._end(0)
            raise self._unreachable(f"nothing was heard of it for {_OPEN_S:g} s") from None
        except OSError as error:
            await self._end(0)
            raise self._unreachable(f"no process can be started: {error}") from error
        except BaseException:
            await self._end(0)
            raise

    def keep(self) -> None:
        """Start another gateway whenever the one that there is has ended."""
        self._keeping = self._loop.create_task(self._kept())

    async def close(self) -> None:
        """End the gateway. Idempotent."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
        await self._end(_END_S)

    def nodes_changed(self, reason: str | None) -> None:
        """A node came, or went for that reason."""
        if self._crew.nodes:
            if not self._usable.done():
                self._usable.set_result(None)
            if self.unavailable is not None:
                self.unavailable = None
                self._on_change(None)
            return
        if reason is None:
            return
        self._now_unavailable(reason)
        if not self._usable.done():
            self._loop.call_later(_OTHERS_S, self._give_up, reason)

    # --- one gateway ----------------------------------------------------------------------------

    async def _begin(self) -> None:
        self._trouble = ""
        self._reached.clear()
        self._ended.clear()
        environment = dict(os.environ)
        settings = dict(self._settings, directory="", parent=os.getpid())
        if self._is_private:
            environment |= private_environment()
            settings["directory"] = self._directory = _new_directory()
        home = str(Path(__file__).parents[3])
        path = [home, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        link = self._link = Link(
            self._loop,
            lambda *frame: self._frame(link, *frame),
            lambda: self._over(link),
        )
        await link.start(environment)
        link.send(protocol.SETTINGS, parts=[pickle.dumps(settings, 5)])

    async def _end(self, grace_s: float) -> None:
        link, self._link = self._link, None
        self._crew.ending = True
        self._crew.disconnect("the lane was closed")
        self._crew.ending = False
        if link is not None:
            ending = asyncio.ensure_future(link.end(grace_s))
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                await link.end(0)
                await asyncio.wait([ending])
                raise
        directory, self._directory = self._directory, ""
        if directory:
            await asyncio.to_thread(remove, directory)

    def _frame(self, link: Link, kind: int, number: int, seq: int, body: Any) -> None:
        if link is not self._link:
            return
        if kind == protocol.OPENED:
            self._crew.connect(link)
            self._reached.set()
        elif kind == protocol.TROUBLE:
            self._trouble = bytes(body).decode("utf-8", "backslashreplace")
        else:
            self._crew.frame(kind, number, seq, body)

    def _over(self, link: Link) -> None:
        """A gateway has ended: by itself, or it was killed."""
        if link is not self._link:
            return
        reason = self._trouble or f"its gateway has ended. {link.last_words()[-400:]}".strip()
        self._crew.disconnect(reason)
        self._now_unavailable(reason)
        self._give_up(reason)
        self._ended.set()

    def _give_up(self, reason: str) -> None:
        if not self._usable.done():
            self._usable.set_exception(self._unreachable(reason))
            self._usable.exception()  # seen: perhaps nobody waits

    def _now_unavailable(self, reason: str) -> None:
        if self.unavailable is None:
            self.unavailable = reason
            self._on_change(reason)
        self.unavailable = reason

    def _unreachable(self, reason: str) -> LaneUnavailableError:
        where = (
            "a private Ray" if self._is_private else f"the Ray cluster {self._settings['address']}"
        )
        why = (
            f"{where} cannot be used: {reason}. Look whether it runs and has free CPUs (`ray status`), "
            "and whether Python and lanewise have the same versions there"
        )
        return LaneUnavailableError(why, reasons={"cluster": why})

    # --- again ----------------------------------------------------------------------------------

    async def _kept(self) -> None:
        pause_s = _FIRST_RETRY_S
        while True:
            if self._link is not None and not self._ended.is_set():
                await self._ended.wait()
                pause_s = _FIRST_RETRY_S if self._usable.done() else pause_s
            try:
                await self._end(_END_S)
            except Exception as error:  # noqa: BLE001 - because: another one may fare better
                _log.warning("the gateway to the cluster did not end as it should: %s", error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RETRY_S)
            self._usable = self._loop.create_future()
            try:
                await self._begin()
                await asyncio.wait_for(self._reached_or_ended(), _OPEN_S)
            except TimeoutError:
                self._ended.set()  # whatever keeps it: another one may fare better
            except Exception as error:  # noqa: BLE001 - because: it is tried again, whatever it is
                _log.warning("no gateway to the cluster can be started: %s", error)
                self._ended.set()

    async def _reached_or_ended(self) -> None:
        waiting = [
            self._loop.create_task(self._reached.wait()),
            self._loop.create_task(self._ended.wait()),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()


def _new_directory() -> str:
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST_DIRECTORY:
        parent = "/tmp"  # noqa: S108 - because: mkdtemp makes a directory in it that nobody else may enter
    return tempfile.mkdtemp(prefix="lanewise-ray-", dir=parent)
