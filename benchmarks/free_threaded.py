"""Two CPU-bound calls at once on lanes that lanewise chooses by itself: the same file on any interpreter.

    python3.13t benchmarks/free_threaded.py --output benchmarks/results
    python3.13  benchmarks/free_threaded.py --output benchmarks/results

Each sample is the time of two calls at once, over that of the same two calls one after the other in one thread.
It lies between two controls: two processes compute in pure Python, beside each other and one alone. Where either
had fewer than two cores, the sample does not count. Contestants take turns. Without the lock
there are two more: calls that all read one hot object of their module, and their twin that works on a copy.
"""

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lanewise import Runtime, task
from lanewise.host.facts import free_threaded_build, gil_enabled, host_facts
from lanewise.readiness.buys.control import CoreControl

GOAL = 0.6
# Of two cores wanted, as two processes beside each other tell.
CORES_WERE_THERE = 1.6
ENOUGH = 15
CALL_S = 0.040
LEARNING_CALLS = 400
LEARNING_S = 10.0


class Limits:
    """Part of a program's configuration."""

    def __init__(self):
        self.table = {"a": 3, "b": 5}
        self.factor = 7


class Config:
    """What all calls of a module read."""

    def __init__(self):
        self.limits = Limits()


CONFIG = Config()


def score(config, turns):
    total = 0
    for turn in range(turns):
        total += config.limits.table["a"] * turn % config.limits.factor
    return total


@task(size=lambda turns: turns)
def compute(turns):
    total = 0
    for turn in range(turns):
        total += turn * turn % 7
    return total


@task(size=lambda turns: turns)
def hot(turns):
    return score(CONFIG, turns)


@task(size=lambda turns: turns)
def twin(turns):
    return score(Config(), turns)


# --- contest -----------------------------------------------------------------------------------------


def serial_s(function, turns):
    started = time.perf_counter()
    function(turns)
    function(turns)
    return time.perf_counter() - started


async def at_once_s(rt, function, turns):
    started = time.perf_counter()
    await asyncio.gather(rt.run(function, turns), rt.run(function, turns))
    return time.perf_counter() - started


def turns_of(function):
    turns = 20_000
    alone_s = min(serial_s(function, turns) / 2 for _ in range(5))
    return max(1, round(turns * CALL_S / alone_s))


async def learn(rt, function, turns):
    """Let calls come, two at once, until their lane is found."""
    until = time.monotonic() + LEARNING_S
    for _ in range(LEARNING_CALLS // 2):
        await at_once_s(rt, function, turns)
        if time.monotonic() > until:
            break


def taken_lanes(rt, function):
    routes = rt.statistics().routes
    return {lane: count for (name, lane, _), count in routes.items() if name == function.name}


async def contest(seconds):
    contestants = {"two calls": (compute, None)}
    if not gil_enabled():
        contestants |= {
            "hot object, threads": (hot, "thread"),
            "hot object, processes": (hot, "process"),
            "hot object, lane chosen": (hot, None),
            "its twin, threads": (twin, "thread"),
            "its twin, lane chosen": (twin, None),
        }
    rows = {name: [] for name in contestants}
    learned = {}
    control = CoreControl(2)
    async with Runtime() as rt:
        turns = {one: await asyncio.to_thread(turns_of, one) for one in (compute, hot, twin)}
        for function in dict.fromkeys(function for function, _ in contestants.values()):
            await learn(rt, function, turns[function])
            learned[function.name] = taken_lanes(rt, function)
        views = {
            name: rt if lane is None else rt.with_options(lane=lane)
            for name, (_, lane) in contestants.items()
        }
        until, looks = time.monotonic() + seconds, {"taken": 0, "with two cores": 0}
        while time.monotonic() < until:
            name = min(
                names := random.sample(list(rows), len(rows)), key=lambda one: len(kept(rows[one]))
            )
            before = await asyncio.to_thread(control.cores)
            looks["taken"] += 1
            if before < CORES_WERE_THERE:
                continue  # there is nothing to sample
            looks["with two cores"] += 1
            function, _ = contestants[name]
            lanes = taken_lanes(rt, function)
            one_s = await asyncio.to_thread(serial_s, function, turns[function])
            two_s = await at_once_s(views[name], function, turns[function])
            after = await asyncio.to_thread(control.cores)
            now = taken_lanes(rt, function)
            went = {
                lane: now[lane] - lanes.get(lane, 0) for lane in now if now[lane] != lanes.get(lane)
            }
            rows[name].append(
                {"ratio": two_s / one_s, "control": min(before, after), "lanes": went}
            )
            if all(len(kept(rows[one])) >= ENOUGH for one in names):
                break
        facts = {
            "explain": {
                one.name: rt.explain(one, turns[one]) for one in learned_functions(contestants)
            },
            "contended": rt.statistics().contended,
            "gil_enabled_at_the_end": gil_enabled(),
            "looks_at_the_control": looks,
            "lanes_while_learning": learned,
            "turns": {one.name: count for one, count in turns.items()},
        }
    control.close()
    return rows, facts


def learned_functions(contestants):
    return dict.fromkeys(function for function, _ in contestants.values())


def kept(samples):
    return [one for one in samples if one["control"] >= CORES_WERE_THERE]


def reduced(samples):
    counted = kept(samples)
    lanes = {}
    for one in counted:
        for lane, count in one["lanes"].items():
            lanes[lane] = lanes.get(lane, 0) + count
    ratios = sorted(one["ratio"] for one in counted)
    return {
        "taken": len(samples),
        "kept": len(counted),
        "median": statistics.median(ratios) if ratios else None,
        "quartiles": statistics.quantiles(ratios, n=4) if len(ratios) > 3 else None,
        "control_median": statistics.median(one["control"] for one in counted) if counted else None,
        "lanes": lanes,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    rows, facts = asyncio.run(contest(arguments.seconds))
    summary = {name: reduced(samples) for name, samples in rows.items()}
    for name, one in summary.items():
        if one["median"] is None:
            print(f"{name}: too busy to say (0 of {one['taken']} samples had two cores)")
        else:
            print(
                f"{name}: {one['median']:.2f} of the serial time, on {one['lanes']} "
                f"({one['kept']} of {one['taken']} samples; {one['control_median']:.2f} cores)"
            )
    print(f"asked: two calls at most {GOAL}; contended: {facts['contended']}")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        build = "t" if free_threaded_build() else ""
        version = f"{sys.version_info.major}.{sys.version_info.minor}{build}"
        path = arguments.output / f"free_threaded_{version}.json"
        result = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": asdict(host_facts()),
            "goal": GOAL,
            "kept_from_cores": CORES_WERE_THERE,
            **facts,
            "summary": summary,
            "samples": rows,
        }
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
