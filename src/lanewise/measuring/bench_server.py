"""The bench's side of the conversation: one command at a time, run on the bench's main thread.

The bench is a process of its own so that code which crashes, hangs, prints or leaves threads behind
costs a measurement and not the session. What it is asked is trusted (it comes from the process that
started it); what it answers is plain values.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _lanewise_worker.call import burn, echo, nothing
from lanewise.errors import LaneUnavailableError, LanewiseError, MeasureError
from lanewise.host.facts import host_facts
from lanewise.host.gil_word import find_gil_word
from lanewise.measuring.case import Case, effects_equal, make_case
from lanewise.measuring.channel import Channel, ChannelClosedError
from lanewise.measuring.cost_probe import probe_cost
from lanewise.measuring.lane_load import LagMeter, idle_loop, load_lane
from lanewise.measuring.target import Target, resolve_targets, variant_problem
from lanewise.model.lane import Lane
from lanewise.model.task import Task, as_task

LaneFactory = Callable[[int], Lane]
"""Makes a lane for at most so many calls at once (threads) or with so many workers (processes)."""

# Tasks of our own that calibration and reference loads run.
_BUILT_IN: dict[str, Task[..., Any]] = {
    "lanewise:nothing": as_task(nothing, name="lanewise:nothing", inputs=lambda _size: ()),
    "lanewise:burn": as_task(burn, name="lanewise:burn", inputs=lambda size: (size,)),
    "lanewise:echo": as_task(echo, name="lanewise:echo", inputs=lambda size: (bytes(int(size)),)),
}


class BenchServer:
    """Answers commands until the session closes the channel. Owner: the main thread."""

    def __init__(
        self, commands: socket.socket, ticks: socket.socket, lanes: dict[str, LaneFactory]
    ) -> None:
        self._channel = Channel(commands)
        self._meter = LagMeter(ticks)
        self._factories = lanes
        self._tasks: dict[str, Target] = {}
        self._cases: dict[tuple[str, str, float], Case] = {}
        self._open: dict[tuple[str, int], Lane] = {}
        self._warm: set[tuple[str, int, str, str, float]] = set()
        self._loop = asyncio.Runner()

    def serve(self) -> None:
        """Answer until the other side is gone, then release every lane."""
        handlers: dict[str, Callable[..., dict[str, Any]]] = {
            "hello": self._hello,
            "resolve": self._resolve,
            "prepare": self._prepare,
            "equal": self._equal,
            "cost": self._cost,
            "open": self._open_lane,
            "load": self._load,
            "idle": self._idle,
        }
        try:
            while True:
                request = self._channel.receive()
                if request is None or request["command"] == "bye":
                    return
                self._channel.send(self._answer(handlers[request.pop("command")], request))
        except ChannelClosedError:
            return
        finally:
            self._loop.run(self._close_lanes())
            self._loop.close()

    def _answer(self, handler: Callable[..., dict[str, Any]], request: dict[str, Any]) -> Any:
        try:
            return {"ok": handler(**request)}
        except LanewiseError as error:
            return {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # noqa: BLE001 - because: user code may raise anything, and the session must hear of it
            return {"error": "MeasureError", "message": f"{type(error).__name__}: {error}"}

    def _hello(self) -> dict[str, Any]:
        word = find_gil_word()
        return {
            "pid": os.getpid(),
            "host": host_facts().as_dict(),
            "fingerprint": host_facts().fingerprint,
            "gil_address": word.address,
            "gil_reason": word.reason,
            "lanes": sorted(self._factories),
        }

    def _resolve(self, words: str, inputs: str | None) -> dict[str, Any]:
        targets = resolve_targets(words, inputs)
        for target in targets:
            self._tasks[target.task.name] = target
        return {"tasks": [_describe(target) for target in targets]}

    def _task(self, name: str) -> Task[..., Any]:
        return _BUILT_IN[name] if name in _BUILT_IN else self._tasks[name].task

    def _case(self, task: str, variant: str, size: float) -> Case:
        key = (task, variant, size)
        if key not in self._cases:
            declared = self._task(task)
            self._cases[key] = make_case(declared, declared.variants[variant], size)
        return self._cases[key]

    def _prepare(self, task: str, variant: str, size: float) -> dict[str, Any]:
        threads_before = _threads()
        case = self._case(task, variant, size)
        started = time.perf_counter()
        if not case.mutates:
            case.variant.function(*case.args)
        second_call_s = time.perf_counter() - started
        return {
            "call_size": case.call_size,
            "first_call_s": case.first_call_s,
            "second_call_s": case.first_call_s if case.mutates else second_call_s,
            "args_bytes": case.args_bytes,
            "result_bytes": case.result_bytes,
            "pickle_s": case.pickle_s,
            "unportable": case.unportable,
            "mutates": case.mutates,
            "threads_left": max(0, _threads() - threads_before),
        }

    def _equal(self, task: str, variant: str, size: float) -> dict[str, Any]:
        expected = self._case(task, "default", size)
        got = self._case(task, variant, size)
        if effects_equal(expected, got):
            return {"equal": True}
        return {
            "equal": False,
            "expected": _shortened(expected.result),
            "got": _shortened(got.result),
        }

    def _cost(
        self, task: str, variant: str, size: float, duration_s: float, core: int | None
    ) -> dict[str, Any]:
        return probe_cost(self._case(task, variant, size), duration_s, core)

    def _open_lane(self, lane: str, workers: int) -> dict[str, Any]:
        if lane not in self._factories:
            raise MeasureError(
                f"there is no lane {lane!r}; there are: {', '.join(self._factories)}"
            )
        started = time.perf_counter()
        if (lane, workers) not in self._open:
            made = self._factories[lane](workers)
            try:
                self._loop.run(made.open())
            except LaneUnavailableError as error:
                return {"available": False, "reason": str(error)}
            self._open[lane, workers] = made
        return {"available": True, "reason": None, "open_s": time.perf_counter() - started}

    def _load(  # noqa: PLR0913 - because: one message, one call
        self,
        task: str,
        variant: str,
        size: float,
        lane: str,
        workers: int,
        concurrency: int,
        duration_s: float,
    ) -> dict[str, Any]:
        case = self._case(task, variant, size)
        opened = self._open[lane, workers]
        key = (lane, workers, task, variant, size)
        if key not in self._warm:
            # Every worker imports the task's module and sees the size once before it counts.
            self._loop.run(load_lane(opened, case, max(concurrency, workers), 0.0, self._meter))
            self._warm.add(key)
        return self._loop.run(load_lane(opened, case, concurrency, duration_s, self._meter))

    def _idle(self, duration_s: float) -> dict[str, Any]:
        return self._loop.run(idle_loop(duration_s, self._meter))

    async def _close_lanes(self) -> None:
        for lane in self._open.values():
            await lane.close()
        self._open.clear()


def _describe(target: Target) -> dict[str, Any]:
    task = target.task
    return {
        "name": task.name,
        "target": target.words,
        "size_unit": "declared" if task.size is not None else "bytes",
        "lane": task.lane,
        "isolation": task.isolation,
        "variants": [
            {
                "name": variant.name,
                "requires": variant.requires,
                "reason": variant_problem(variant.requires),
            }
            for variant in task.variants.values()
        ],
    }


def _threads() -> int:
    """Threads of this process, those of native libraries included where the system tells."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return threading.active_count()


def _shortened(value: object, most: int = 160) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
