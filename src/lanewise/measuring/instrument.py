"""One bench with its sampler: the measurements that a session asks for, one call each."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

from lanewise.host.core_use import OthersShare
from lanewise.measuring.bench_client import Bench
from lanewise.measuring.gil_sampler import GilSampler, HeldShare, held_share, without_run_queue
from lanewise.measuring.samples import CostRound, LoadRound
from lanewise.model.facts import Calibration, LaneCost, transfer_rate
from lanewise.model.lane import LaneName

_LANE_START_TIMEOUT_S = 60.0
# Beyond what a command asks for: room for one last call and for a busy machine.
_GRACE_S = 10.0
# Threads of a call beyond this many cores' worth of CPU: pinning it to one core would change it.
_ONE_THREAD = 1.3
# Below this much CPU time in a round the grain of the clocks decides, not the threads.
_CLOCK_GRAIN_S = 0.01
_ECHO_BYTES = 4_000_000
# Where no process lane was opened, by which it is measured.
_UNKNOWN_BYTES_PER_S = 5e8
_CALIBRATION_WINDOW_S = 0.06


class Instrument:
    """Measures tasks in one bench process. Owner: the session's thread; a context manager.

    Attributes:
        gil_reason: Why the held share cannot be measured here, or None.
    """

    def __init__(
        self, python: str | None = None, *, seed: int = 0, search_path: Sequence[str] = ()
    ) -> None:
        self._python = python
        self._search_path = search_path
        self._rng = random.Random(seed)  # noqa: S311 - because: the order of cores, not secrecy
        self._sampler: GilSampler | None = None
        self.workers: dict[LaneName, int] = {}
        self._multi_threaded: set[tuple[str, str, float]] = set()
        self.call_limit_s = 15.0
        self._others = OthersShare()
        self.bench = self._start()

    def _start(self) -> Bench:
        bench = Bench(self._python, self._search_path)
        self.host: dict[str, Any] = bench.facts["host"]
        self.fingerprint: str = bench.facts["fingerprint"]
        self.gil_reason = self._attach(bench)
        return bench

    def refresh(self) -> bool:
        """Ask the bench again what it is, after it has imported the targets.

        An extension that is not made for it turns the lock of a free-threaded build back on. Returns
        whether that happened; the lock is then watched like any other.
        """
        facts = self.bench.ask("hello", timeout_s=_GRACE_S)
        if facts["host"]["gil_enabled"] == self.host["gil_enabled"]:
            return False
        self.host, self.fingerprint = facts["host"], facts["fingerprint"]
        self.bench.facts = facts
        self.gil_reason = self._attach(self.bench)
        return True

    def _attach(self, bench: Bench) -> str | None:
        if not self.host["gil_enabled"]:
            return None
        if bench.facts["gil_address"] is None:
            return str(bench.facts["gil_reason"])
        if len(_cores()) < 2:  # noqa: PLR2004 - because: the sampler needs a core that the call does not use
            return (
                "one usable core: a sampler that shares the call's core runs only while the call "
                "waits, and would read 0 for any share"
            )
        try:
            self._sampler = GilSampler(bench.facts["pid"], bench.facts["gil_address"])
        except OSError as error:
            return (
                f"the kernel does not let lanewise read its own child's memory ({error}). In a "
                "container, add --cap-add SYS_PTRACE; otherwise look at kernel.yama.ptrace_scope"
            )
        return None

    def restart(self) -> None:
        """Put a fresh bench in place of one that died. Lanes and cases must be made again."""
        self.close()
        self.workers.clear()
        self.bench = self._start()

    def close(self) -> None:
        """End the bench. Idempotent."""
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None
        self.bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, task: str, variant: str, size: float) -> dict[str, Any]:
        """Make a case and call it twice."""
        return self.bench.ask(
            "prepare", task=task, variant=variant, size=size, timeout_s=self.call_limit_s
        )

    def cost_round(self, task: str, variant: str, size: float, duration_s: float) -> CostRound:
        """Call alone for about ``duration_s`` while the lock word is read."""
        case = {"task": task, "variant": variant, "size": size}
        limit_s = duration_s + self.call_limit_s + _GRACE_S
        sampler = self._sampler
        if sampler is None:
            reply = self.bench.ask(
                "cost", **case, duration_s=duration_s, core=None, timeout_s=limit_s
            )
            held = None if self.gil_reason is not None else _lock_is_off(duration_s)
            return CostRound.from_reply(reply, held)
        alone = (task, variant, size) not in self._multi_threaded
        with self._cores_apart(alone=alone) as core:
            reply = self.bench.ask_sampled(
                "cost", sampler, **case, duration_s=duration_s, core=core, timeout_s=limit_s
            )
        if (
            reply["cpu_s"] > _ONE_THREAD * max(reply["thread_cpu_s"], 1e-9)
            and reply["cpu_s"] > _CLOCK_GRAIN_S
        ):
            self._multi_threaded.add((task, variant, size))
            if alone:  # kept on one core, its threads shared it: not what it costs
                return self.cost_round(task, variant, size, duration_s)
        windows = [(start, stop) for start, stop in reply["windows_ns"]]
        windows = without_run_queue(windows, sampler.queued_ns)
        return CostRound.from_reply(reply, held_share(sampler.times_ns, sampler.held, windows))

    @contextlib.contextmanager
    def _cores_apart(self, *, alone: bool) -> Iterator[int | None]:
        """Keep the sampler off the core that the call is given; a call with threads keeps its own."""
        mine = _cores()
        target, sampling = self._rng.sample(sorted(mine), 2)
        if not alone:
            yield None
            return
        os.sched_setaffinity(0, {sampling})
        try:
            yield target
        finally:
            os.sched_setaffinity(0, mine)

    def open_lane(self, lane: LaneName, workers: int) -> str | None:
        """Open a lane; returns why it is unavailable, or None."""
        reply = self.bench.ask("open", lane=lane, workers=workers, timeout_s=_LANE_START_TIMEOUT_S)
        if not reply["available"]:
            return str(reply["reason"])
        self.workers[lane] = workers
        return None

    def load_round(  # noqa: PLR0913 - because: the coordinates of one cell
        self,
        task: str,
        variant: str,
        size: float,
        lane: LaneName,
        concurrency: int,
        duration_s: float,
    ) -> LoadRound:
        """Load one lane for about ``duration_s``."""
        self._others.share()  # from here on
        reply = self.bench.ask_ticking(
            "load",
            task=task,
            variant=variant,
            size=size,
            lane=lane,
            workers=self.workers[lane],
            concurrency=concurrency,
            duration_s=duration_s,
            timeout_s=duration_s + concurrency * self.call_limit_s + _GRACE_S,
        )
        return LoadRound.from_reply(reply, self._others.share())

    def reference_lag_s(self, concurrency: int, duration_s: float) -> float:
        """The p99 lag of a loop that does nothing beside ``concurrency`` busy processes."""
        if "process" not in self.workers:
            reply = self.bench.ask_ticking("idle", duration_s=duration_s, timeout_s=_GRACE_S)
            return LoadRound.from_reply(
                {**reply, "throughput_per_s": 0, "latencies_s": [], "calls": 0}
            ).lag_p99_s
        burn_s = max(0.005, duration_s / 4)
        return self.load_round(
            "lanewise:burn", "default", burn_s, "process", concurrency, duration_s
        ).lag_p99_s

    def calibrate(self, unavailable: dict[LaneName, str]) -> Calibration:
        """Measure what the opened lanes add to a call that does nothing: under a second."""
        lanes = {lane: self._lane_cost(lane) for lane in self.workers}
        if "interpreter" in lanes:
            own = lanes["interpreter"]
            rate = self._transfer_bytes_per_s("interpreter", own)
            lanes["interpreter"] = replace(own, transfer_bytes_per_s=rate)
        return Calibration(
            fingerprint=self.fingerprint,
            lanes=lanes,
            unavailable=unavailable,
            transfer_bytes_per_s=(
                self._transfer_bytes_per_s("process", lanes["process"])
                if "process" in lanes
                else _UNKNOWN_BYTES_PER_S
            ),
        )

    def _lane_cost(self, lane: LaneName) -> LaneCost:
        def nothing(concurrency: int) -> LoadRound:
            return self.load_round(
                "lanewise:nothing", "default", 0, lane, concurrency, _CALIBRATION_WINDOW_S
            )

        alone: list[float] = sorted(nothing(1).latencies_s)
        # Lower quartile: what the lane costs, not what the machine does to it now and then.
        dispatch_s = alone[len(alone) // 4]
        per_call_s = min(1 / nothing(8).throughput_per_s for _ in range(2))
        return LaneCost(dispatch_s=dispatch_s, per_call_s=min(per_call_s, dispatch_s))

    def _transfer_bytes_per_s(self, lane: LaneName, cost: LaneCost) -> float:
        """How fast bytes cross, beyond what pickling them costs, which is measured per task."""
        pickle_s: float = self.prepare("lanewise:echo", "default", _ECHO_BYTES)["pickle_s"]
        there_and_back = min(
            self.load_round(
                "lanewise:echo", "default", _ECHO_BYTES, lane, 1, _CALIBRATION_WINDOW_S
            ).latencies_s
        )
        rest_s = there_and_back - cost.dispatch_s - 2 * pickle_s
        return transfer_rate(2 * _ECHO_BYTES, rest_s)


def _lock_is_off(observed_s: float) -> HeldShare:
    return HeldShare(0.0, 0.0, 0.0, 0.0, observed_s, 0.0, 0)


def _cores() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # not on macOS and Windows, where the lock word cannot be read either
        return {0}
