"""What is looked at from time to time: workers' size and idleness, memory that nobody uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _lanewise_worker.replay import replay_log, replay_warning
from lanewise.lanes.process.memory import own_bytes
from lanewise.lanes.process.pool import Instruction, Pool

if TYPE_CHECKING:
    from lanewise.lanes.process.link import Link

_HOUSEKEEPING_S = 2.0
# Every so many times memory that was not used since is given back. Work that comes in bursts would else
# have the kernel clear new memory at the beginning of each, which takes as long as to fill it.
_TRIM_EVERY = 5
_MEMORY_WATCH_S = 0.02
# A worker is replaced once it has grown by this much since its first calls; loky's figure.
_GROWTH_BYTES = 300_000_000
# With a limit: replaced when idle above this part of it, so that the next call has room.
_IDLE_SHARE = 0.8


@dataclass(slots=True, frozen=True)
class Relay:
    """What becomes of a worker's log records and warnings, which come packed."""

    log: Callable[[bytes], None]
    warning: Callable[[bytes], None]


REPLAYED = Relay(replay_log, replay_warning)


@dataclass(slots=True, frozen=True)
class CrewOptions:
    """How workers are kept.

    Attributes:
        idle_s: Seconds after which an idle worker leaves.
        memory_bytes: Size without shared memory at which a running call is killed.
        max_calls: Calls after which a worker is replaced.
        max_starting: So many are started at once.
        relay: Says again what workers said.
    """

    idle_s: float = 60.0
    memory_bytes: int | None = None
    max_calls: int | None = None
    max_starting: int | None = None
    relay: Relay = REPLAYED


class Upkeep:
    """Timers of one crew. Owner: its loop.

    Args:
        loop: Where the timers run.
        pool: Whose workers are looked at.
        options: What is allowed.
        do: Carries out what the pool says.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: Pool,
        options: CrewOptions,
        do: Callable[[list[Instruction]], None],
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._options = options
        self._do = do
        self._rounds = 0
        self._house: asyncio.TimerHandle | None = None
        self._watching: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look at idle workers."""
        self._house = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house)

    def stop(self) -> None:
        """Stop all timers."""
        for timer in (self._house, self._watching):
            if timer is not None:
                timer.cancel()

    def busy(self) -> None:
        """A worker got a call: where there is a limit, its size is looked at until it has ended."""
        if self._options.memory_bytes is not None and self._watching is None:
            self._watching = self._loop.call_later(
                _MEMORY_WATCH_S, self._watch, self._options.memory_bytes
            )

    def _watch(self, limit_bytes: int) -> None:
        self._watching = None
        for worker in self._pool.busy:
            link: Link = worker.handle
            size = own_bytes(link.pid)
            if size is not None and size > limit_bytes:
                link.resident_bytes = size
                link.killed_for = (
                    f"killed because it held {size:,} bytes, more than worker_memory_bytes="
                    f"{limit_bytes:,} ({limit_bytes}). Give it smaller pieces, or raise the limit"
                )
                self._do(self._pool.doom(worker))
        if self._pool.busy:
            self.busy()

    def _keep_house(self) -> None:
        self._do(self._pool.age(self._loop.time() - self._options.idle_s))
        self._rounds += 1
        for worker in self._pool.idle:
            link: Link = worker.handle
            if self._rounds % _TRIM_EVERY:
                link.settle()
            else:
                link.trim()
            if self._has_grown(link):
                self._do(self._pool.wear(worker))
        self.start()

    def _has_grown(self, link: Link) -> bool:
        if link.worker.served == link.checked_at:
            return False
        link.checked_at = link.worker.served
        size = own_bytes(link.pid)
        if size is None:
            return False
        if link.baseline_bytes is None:
            link.baseline_bytes = size
        limit = self._options.memory_bytes
        if limit is not None and size > _IDLE_SHARE * limit:
            return True
        return size - link.baseline_bytes > _GROWTH_BYTES
