"""The cluster lane in a runtime: reached, measured, left alone while it cannot be reached, used again."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lanewise.lanes.cluster import ClusterLane
from lanewise.lanes.process.handles import HandleBook
from lanewise.model.facts import LaneCost
from lanewise.model.lane import Lane, LaneName
from lanewise.runtime.batching import TARGET_S
from lanewise.runtime.calibrate import far_cost
from lanewise.runtime.dispatch import Dispatcher

_log = logging.getLogger("lanewise")

# A node is sent some calls more than it runs at once, so that it has the next one when one has ended.
_AHEAD = 2
# To send a chunk to a node takes some milliseconds of computing, all told.
_FAR_CHUNK_S = 0.1
# What the lane costs is measured again after so long where it could not be: not for ever out of use for
# one node that went in that moment.
_MEASURE_AGAIN_S = 10.0


class FarLane:
    """Owner: the runtime's loop.

    Args:
        address: See ``Runtime``'s ``cluster``; ``code`` its ``cluster_code``.
        handles: The shared objects of the runtime.
        propagate: Context variables whose values go with each call.
        workers: How workers are kept, as on this machine.
        initializer: What every worker calls first, and with what.

    Raises:
        ValueError: An option has a value that it cannot have.
    """

    def __init__(  # noqa: PLR0913 - because: what a runtime's lanes have in common, each once
        self,
        address: str,
        code: Iterable[str | Path],
        handles: HandleBook,
        propagate: Iterable[str | contextvars.ContextVar[Any]],
        workers: dict[str, Any],
        initializer: tuple[Callable[..., object] | None, tuple[Any, ...]],
    ) -> None:
        self.lane = ClusterLane(
            address,
            propagate=propagate,
            handles=handles,
            workers=workers,
            initializer=initializer[0],
            initargs=initializer[1],
            code=code,
        )
        self._cost: LaneCost | None = None
        self._state: Dispatcher | None = None
        self._measures = False
        self._measuring: asyncio.Task[None] | None = None

    def width(self, processes: int) -> int:
        """How many chunks of a map are in flight."""
        return 2 * max(processes, self.lane.places)

    def chunk_s(self, pinned: LaneName | None, lanes: Iterable[LaneName]) -> float:
        """What one chunk of a map is to take: more where it is known that all cross a network."""
        is_far = pinned == "cluster" or set(lanes) <= {"cluster", "event_loop"}
        return _FAR_CHUNK_S if is_far else TARGET_S

    @property
    def door_places(self) -> int:
        """How many calls are let in at once."""
        return max(1, _AHEAD * self.lane.places)

    async def reach(self, opened: dict[LaneName, Lane]) -> str | None:
        """Open the lane, among others that are open; warn where the cluster is not to be had now.

        Returns:
            None, or why calls cannot go there yet.

        Raises:
            LaneUnavailableError: Ray is not installed.
        """
        opened["cluster"] = self.lane  # first: it is closed whatever becomes of this
        why = await self.lane.open_when_reached()
        if why is not None:
            warnings.warn(
                f"lanewise goes on without its cluster lane until it can be used: {why}",
                stacklevel=4,
            )
        return why

    def attach(self, state: Dispatcher) -> None:
        """Have the runtime follow what becomes of the cluster."""
        self._state = state
        known = state.router.host_costs.calibration
        self._measures = known is not None
        self._cost = None if known is None else known.lanes.get("cluster")
        self.lane.on_change = self._changed
        self.lane.on_nodes = self._resized
        self._changed(self.lane.unavailable)

    def detach(self) -> None:
        """The runtime is being left."""
        self._state = None
        self.lane.on_change = self.lane.on_nodes = None
        if self._measuring is not None:
            self._measuring.cancel()

    def _changed(self, reason: str | None) -> None:
        state = self._state
        if state is None:
            return
        if reason is None and self._cost is None and self._measures:
            if self._measuring is None or self._measuring.done():
                self._measuring = asyncio.get_running_loop().create_task(self._measure())
            return
        cost = self._cost
        if cost is not None:
            cost = replace(cost, cores=max(1, self.lane.places))
        state.router.lane_changed("cluster", reason, cost)
        self._resized()

    def _resized(self) -> None:
        """Nodes came or went."""
        if self._state is None:
            return
        self._state.doors["cluster"].resize(self.door_places)
        if self._cost is not None and self.lane.unavailable is None:
            cost = replace(self._cost, cores=max(1, self.lane.places))
            self._state.router.lane_changed("cluster", None, cost)

    async def _measure(self) -> None:
        """Find out what the lane costs that was not there when all others were measured."""
        while True:
            try:
                self._cost = await far_cost(self.lane)
            except Exception as error:  # noqa: BLE001 - because: whatever it is, the next attempt may fare better
                _log.warning("what the cluster costs could not be measured: %s", error)
                if self.lane.unavailable is not None:
                    return  # this is begun anew when it can be used again
                await asyncio.sleep(_MEASURE_AGAIN_S)
            else:
                self._changed(self.lane.unavailable)
                return
