"""A runtime's statistics as OpenTelemetry metrics. Needs the extra ``lanewise[otel]``."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from lanewise.errors import LanewiseError
from lanewise.host.facts import library_version
from lanewise.runtime.runtime import Runtime
from lanewise.runtime.statistics import RuntimeStatistics
from lanewise.web.families import Family, families
from lanewise.web.task_labels import TaskLabels

# One collection asks for each instrument in turn; all of them tell of the same snapshot.
_FRESH_S = 0.5
# A loop that does not answer for so long is stalled, and what was known before has to do.
_PATIENCE_S = 1.0
_NOTHING = RuntimeStatistics(lanes={}, waiting=0, shed=0, routes={}, fallbacks={})
_QUANTILES = (("0.5", "p50_s"), ("0.99", "p99_s"), ("1", "max_s"))


def instrument(runtime: Runtime, meter_provider: Any = None) -> Instrumentation:
    """Report a runtime's statistics through OpenTelemetry.

    ::

        async with Runtime() as rt:
            reporting = lanewise.web.instrument(rt)
            ...
            reporting.close()

    The instruments are observable: nothing is counted twice, and a call costs nothing more. They are
    those of ``metrics_text``, named ``lanewise.calls_ended`` and so on, with the attributes ``lane``,
    ``task``, ``outcome`` and others. The loop's lag is a gauge by ``quantile``.

    Args:
        runtime: Entered or not; while it is not, nothing is reported.
        meter_provider: None takes the global one.

    Returns:
        Its ``close()`` ends the reporting.

    Raises:
        LanewiseError: ``opentelemetry-api`` is not installed.
        RuntimeError: No event loop runs here.

    Threads: call it on the runtime's loop. Readers may collect in any thread: from others the snapshot is
    taken on the loop, which is waited for by at most a second.
    """
    try:
        api = importlib.import_module("opentelemetry.metrics")
    except ImportError as error:
        raise LanewiseError(
            "metrics for OpenTelemetry need opentelemetry-api: pip install 'lanewise[otel]'"
        ) from error
    provider = api.get_meter_provider() if meter_provider is None else meter_provider
    meter = provider.get_meter("lanewise", library_version())
    return Instrumentation(runtime, meter, api.Observation)


class Instrumentation:
    """What ``instrument`` returns. Threads: any."""

    def __init__(self, runtime: Runtime, meter: Any, observation: Callable[..., Any]) -> None:
        self._source: _Source | None = _Source(runtime)
        self._observation = observation
        for family in families(_NOTHING, {}):
            make = (
                meter.create_observable_counter
                if family.kind == "counter"
                else meter.create_observable_gauge
            )
            name = f"lanewise.{family.name.removesuffix('_seconds')}"
            make(
                name, callbacks=[self._of(family.name)], unit=family.unit, description=family.about
            )
        meter.create_observable_gauge(
            "lanewise.loop_lag",
            callbacks=[self._lag],
            unit="s",
            description="How late the event loop was, by quantile.",
        )

    def close(self) -> None:
        """Report nothing from now on, and let the runtime go. Idempotent."""
        self._source = None

    def _of(self, name: str) -> Callable[[Any], Iterable[Any]]:
        def observe(_options: Any) -> Iterable[Any]:
            source = self._source
            family = None if source is None else source.families().get(name)
            samples = () if family is None else family.samples
            return [self._observation(value, dict(labels)) for labels, value in samples]

        return observe

    def _lag(self, _options: Any) -> Iterable[Any]:
        source = self._source
        statistics = None if source is None else source.statistics()
        if statistics is None or statistics.loop is None:
            return []
        return [
            self._observation(getattr(statistics.loop, field), {"quantile": quantile})
            for quantile, field in _QUANTILES
        ]


class _Source:
    """Takes snapshots on the runtime's loop, for whoever asks.

    Threads: any; the guard guards what is kept of a snapshot.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._labels = TaskLabels()
        self._guard = threading.Lock()
        self._taken_s = -_FRESH_S
        self._statistics: RuntimeStatistics | None = None
        self._families: dict[str, Family] = {}

    def statistics(self) -> RuntimeStatistics | None:
        """Return a fresh snapshot, an old one while the loop is stalled, or None without a runtime."""
        if time.monotonic() - self._taken_s >= _FRESH_S:
            self._take()
        return self._statistics

    def families(self) -> dict[str, Family]:
        """Return what the snapshot says, by name."""
        self.statistics()
        return self._families

    def _take(self) -> None:
        try:
            statistics = self._asked()
        except concurrent.futures.TimeoutError:
            return
        with self._guard:
            self._taken_s = time.monotonic()
            self._statistics = statistics
            told = [] if statistics is None else families(statistics, self._labels.of(statistics))
            self._families = {family.name: family for family in told}

    def _asked(self) -> RuntimeStatistics | None:
        """Ask the runtime, on its loop.

        Raises:
            TimeoutError: The loop is stalled.
        """
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        answer: concurrent.futures.Future[RuntimeStatistics | None] = concurrent.futures.Future()
        if here is self._loop:
            self._answer(answer)
        else:
            try:
                self._loop.call_soon_threadsafe(self._answer, answer)
            except RuntimeError:  # closed
                return None
        return answer.result(_PATIENCE_S)

    def _answer(self, answer: concurrent.futures.Future[RuntimeStatistics | None]) -> None:
        try:
            answer.set_result(self._runtime.statistics())
        except LanewiseError:  # not entered
            answer.set_result(None)
