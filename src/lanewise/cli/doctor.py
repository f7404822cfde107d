"""``lanewise doctor``: what this machine and interpreter allow."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from lanewise.cli.output import Output, print_json
from lanewise.errors import LaneUnavailableError
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.interpreter import InterpreterLane
from lanewise.lanes.process import ProcessLane
from lanewise.lanes.thread import ThreadLane
from lanewise.measuring.instrument import Instrument
from lanewise.model.lane import Lane
from lanewise.model.units import format_bytes, format_seconds

_LANES: tuple[Callable[[], Lane], ...] = (
    EventLoopLane,
    lambda: ThreadLane(1),
    lambda: ProcessLane(1),
    lambda: InterpreterLane(1),
)
# A runtime opens them only where it is asked to, so nothing is missing without them.
_OPTIONAL = ("interpreter",)


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "doctor",
        help="what this machine and interpreter allow",
        description="Check which lanes can run here and what can be measured, with the reason where "
        "something cannot. Exit status 1 when something is missing.",
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look and tell."""
    lanes: dict[str, str | None] = {make().name: asyncio.run(_problem(make())) for make in _LANES}
    with Instrument() as instrument:
        host, gil_reason = instrument.host, instrument.gil_reason
    found = {"host": host, "lanes": lanes, "gil_sampler": gil_reason}
    if arguments.json:
        print_json(found)
    else:
        _print(host, lanes, gil_reason)
    missing = [name for name, why in lanes.items() if why is not None and name not in _OPTIONAL]
    return 1 if gil_reason is not None or missing else 0


async def _problem(lane: Lane) -> str | None:
    try:
        await lane.open()
    except LaneUnavailableError as error:
        return str(error)
    await lane.close()
    return None


def _print(host: dict[str, Any], lanes: dict[str, str | None], gil_reason: str | None) -> None:
    output = Output()
    output.title("interpreter")
    build = "free-threaded" if host["free_threaded_build"] else "ordinary"
    lock = "on" if host["gil_enabled"] else "off"
    output.line(f"  {host['implementation']} {host['python_version']}, {build} build, GIL {lock}")
    output.line(f"  switch interval {format_seconds(host['switch_interval_s'])}")
    output.title("machine")
    output.line(f"  {host['cpu_model']}, {host['system']} {host['kernel']}")
    output.line(
        f"  {host['usable_cores']} of {host['logical_cores']} cores usable, "
        f"{format_bytes(host['memory_bytes'])} of memory"
    )
    output.title("lanes")
    for name, problem in lanes.items():
        output.line(f"  {name}: {'ready' if problem is None else problem}")
    output.title("measuring the GIL-held share")
    output.line(f"  {'ready' if gil_reason is None else gil_reason}")
