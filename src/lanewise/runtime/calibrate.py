"""What the opened lanes of this host cost, for plans that were measured on another one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from _lanewise_worker.call import echo, nothing
from lanewise.errors import LanewiseError
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.model.facts import Calibration, LaneCost, transfer_rate
from lanewise.model.lane import Lane, LaneName

_log = logging.getLogger("lanewise")

# Enough calls for a lower quartile that holds still; about a fifth of a second for all lanes.
_ALONE = 40
_AT_ONCE = 8
_TOGETHER = 160
_BATCHES = 4
# Of so many calls the quickest ones are looked at for what the lane itself takes.
_QUICKEST = 3
# Most calls of a lane that nothing disturbs take less than so many times what the quickest do.
_STEADY = 2.0
_ECHO_BYTES = 2_000_000
_ECHOES = 3


async def calibrate(
    lanes: Mapping[LaneName, Lane], unavailable: Mapping[LaneName, str], fingerprint: str
) -> Calibration:
    """Measure what each lane adds to a call that does nothing.

    A cluster that is lost meanwhile is left out.

    Threads: runs on the loop that opened the lanes, before any other call.
    """
    costs: dict[LaneName, LaneCost] = {}
    for name, lane in lanes.items():
        if name != "cluster":
            costs[name] = await _lane_cost(lane)
    rate = 5e8
    if "process" in lanes:
        rate = await _transfer_bytes_per_s(lanes["process"], costs["process"])
    if "interpreter" in lanes:
        costs["interpreter"] = await _with_its_rate(lanes["interpreter"], costs["interpreter"])
    if "cluster" in lanes:
        try:
            costs["cluster"] = await far_cost(lanes["cluster"])
        except LanewiseError as error:
            _log.warning("the cluster was lost while its cost was measured: %s", error)
    return Calibration(fingerprint, costs, dict(unavailable), rate)


async def far_cost(lane: Lane) -> LaneCost:
    """Measure one lane alone, beside whatever else runs; for one that came later than the others.

    Raises:
        LanewiseError: It went away meanwhile.
    """
    return await _with_its_rate(lane, await _lane_cost(lane))


async def _with_its_rate(lane: Lane, cost: LaneCost) -> LaneCost:
    return replace(cost, transfer_bytes_per_s=await _transfer_bytes_per_s(lane, cost))


async def _lane_cost(lane: Lane) -> LaneCost:
    if isinstance(lane, EventLoopLane):
        alone = sorted([await _timed_turn(lane) for _ in range(_ALONE)])
    else:
        alone = sorted([await _timed(lane) for _ in range(_ALONE)])
    per_call_s = min([await _together(lane, _TOGETHER // _BATCHES) for _ in range(_BATCHES)])
    # Lower quartile: what the lane costs, not what the machine does to it now and then; and where it
    # does so all the time, not much more than the quickest calls took.
    quickest_s = sum(alone[:_QUICKEST]) / _QUICKEST
    dispatch_s = min(alone[_ALONE // 4], _STEADY * quickest_s)
    return LaneCost(dispatch_s, min(per_call_s, dispatch_s))


async def _together(lane: Lane, calls: int) -> float:
    """Seconds a call when several callers make so many calls."""
    started = time.perf_counter()
    await asyncio.gather(*(_some(lane, calls // _AT_ONCE) for _ in range(_AT_ONCE)))
    return (time.perf_counter() - started) / calls


async def _timed(lane: Lane) -> float:
    started = time.perf_counter()
    await lane.run(nothing, "default", (), {})
    return time.perf_counter() - started


async def _timed_turn(lane: EventLoopLane) -> float:
    """Calls that fill a slice of the loop's time wait for a turn of it each."""
    started = time.perf_counter()
    await lane.turn()
    await lane.run(nothing, "default", (), {})
    return time.perf_counter() - started


async def _some(lane: Lane, count: int) -> None:
    for _ in range(count):
        await lane.run(nothing, "default", (), {})


async def _transfer_bytes_per_s(lane: Lane, cost: LaneCost) -> float:
    data = bytes(_ECHO_BYTES)
    times: list[float] = []
    for _ in range(_ECHOES):
        started = time.perf_counter()
        await lane.run(echo, "default", (data,), {})
        times.append(time.perf_counter() - started - cost.dispatch_s)
    return transfer_rate(2 * _ECHO_BYTES, min(times))
