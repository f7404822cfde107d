"""The cluster lane against plain Ray tasks, on one private Ray, by turns in one run.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --parts plain --rounds 9 --output benchmarks/results
    python benchmarks/cluster.py --parts slots --slots 200,1000 --output benchmarks/results

``plain``: one no-op after another and 64 in flight, lane and tasks by turns. ``map``: many short calls
against what as many cores would do at best. ``share``: calls on a large shared array against no-ops.
``slots``: how many cores one program can feed, with calls that only sleep, so that many worker slots fit
on a small machine. Ratios are what to read. Needs lanewise[cluster].
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from _lanewise_worker.call import burn, nothing
from lanewise import Runtime
from lanewise.host.facts import host_facts
from lanewise.lanes.cluster import ClusterLane
from lanewise.lanes.cluster.private import clear_away, private_environment, start_options
from lanewise.measuring.store import write_atomically

GOALS = {"one no-op": 0.6, "64 in flight": 2.0, "map": 0.85, "share": 1.2}
_OBJECT_STORE_BYTES = 500_000_000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SHARED_FLOATS = 12_500_000  # 100 MB


def total_of_ends(array):
    return float(array[0] + array[-1])


# --- against plain tasks --------------------------------------------------------------------------


async def one_after_another(call, count):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def in_flight(call, at_once=64, each=8):
    async def caller():
        for _ in range(each):
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return at_once * each / (time.perf_counter() - began)


async def against_plain_tasks(ray, address, rounds):
    @ray.remote
    def plain():
        return None

    lane = ClusterLane(address, cpus=2)
    await lane.open()
    try:
        contestants = {
            "lane": lambda: lane.run(nothing, "default", (), {}),
            "task": plain.remote,
        }
        alone = {name: [] for name in contestants}
        together = {name: [] for name in contestants}
        for call in contestants.values():
            await in_flight(call, 16, 10)  # warm
        for number in range(rounds):
            names = sorted(contestants, reverse=number % 2 == 0)
            for name in names:
                alone[name].append(await one_after_another(contestants[name], 60))
            for name in names:
                together[name].append(await in_flight(contestants[name]))
        return {
            "one no-op": _ratio(alone, "lane", "task", "s"),
            "64 in flight": _ratio(together, "lane", "task", "calls_per_s"),
        }
    finally:
        await lane.close()


def _ratio(times, one, other, unit):
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = sorted(a / b for a, b in zip(times[one], times[other], strict=True))
    return {
        "unit": unit,
        "medians": medians,
        "ratio": medians[one] / medians[other],
        "ratio_of_rounds": [ratios[0], statistics.median(ratios), ratios[-1]],
    }


# --- maps and shared objects ----------------------------------------------------------------------


async def mapped(address, calls, seconds, cpus=2):
    """Short calls by ``map``: against as many cores that do nothing else."""
    async with Runtime(cluster=address, lanes=("cluster",), grace_s=0) as rt:
        # The function itself, so that it takes as long as it is asked to and no less.
        async for _ in rt.map(burn, [seconds] * 4_000, ordered=False):
            pass
        began = time.perf_counter()
        async for _ in rt.map(burn, (seconds for _ in range(calls)), ordered=False):
            pass
        took_s = time.perf_counter() - began
    ideal_s = calls * seconds / cpus
    return {"calls": calls, "call_s": seconds, "took_s": took_s, "ratio": ideal_s / took_s}


async def shared(address, rounds):
    import numpy as np

    async with Runtime(cluster=address, lanes=("cluster",), grace_s=0) as rt:
        handle = rt.share(np.ones(_SHARED_FLOATS))
        began = time.perf_counter()
        await rt.run(total_of_ends, handle)
        first_s = time.perf_counter() - began
        for _ in range(50):  # until every worker has it
            await asyncio.gather(*(rt.run(total_of_ends, handle) for _ in range(4)))
        times = {"shared": [], "no-op": []}
        for _ in range(rounds):
            times["shared"].append(
                await one_after_another(lambda: rt.run(total_of_ends, handle), 60)
            )
            times["no-op"].append(await one_after_another(lambda: rt.run(nothing), 60))
        return {**_ratio(times, "shared", "no-op", "s"), "first_call_s": first_s}


# --- how many slots one program feeds -------------------------------------------------------------


async def slots(count, sleeps_s, calls_each):
    """Calls that only sleep: what the program and its gateway spend on a call, and how many slots are busy."""
    lane = ClusterLane("local", cpus=count, object_store_bytes=_OBJECT_STORE_BYTES)
    began = time.perf_counter()
    await lane.open()
    opened_s = time.perf_counter() - began
    rows = []
    try:
        gateway = lane._connection._link.process.pid  # noqa: SLF001 - because: no user asks for it
        await _keep_busy(lane, count, 0.05, 4)
        for sleep_s in sleeps_s:
            calls = max(count, min(calls_each, int(count * 4 / sleep_s)))
            before = time.process_time(), _cpu_s(gateway), time.perf_counter()
            await _keep_busy(lane, 2 * count, sleep_s, calls // (2 * count) + 1)
            done = 2 * count * (calls // (2 * count) + 1)
            own_s = time.process_time() - before[0]
            gateway_s = _cpu_s(gateway) - before[1]
            took_s = time.perf_counter() - before[2]
            rows.append(
                {
                    "sleep_s": sleep_s,
                    "calls": done,
                    "calls_per_s": done / took_s,
                    "busy_slots": done * sleep_s / took_s,
                    "program_cpu_per_call_s": own_s / done,
                    "gateway_cpu_per_call_s": gateway_s / done,
                }
            )
            print(f"  {count} slots, {sleep_s * 1e3:g} ms: {rows[-1]}", flush=True)
    finally:
        await lane.close(0)
    return {"slots": count, "opened_s": opened_s, "rows": rows}


async def _keep_busy(lane, at_once, sleep_s, each):
    async def caller():
        for _ in range(each):
            await lane.run(time.sleep, "default", (sleep_s,), {})

    await asyncio.gather(*(caller() for _ in range(at_once)))


def _cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


# --- the run --------------------------------------------------------------------------------------


def with_ray(work, cpus):
    """Run ``work(ray, address)`` beside a private Ray."""
    os.environ.update(private_environment())
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    import ray

    directory = tempfile.mkdtemp(prefix="lanewise-bench-", dir="/tmp")
    try:
        ray.init(
            log_to_driver=False,
            configure_logging=False,
            **start_options(cpus, directory, _OBJECT_STORE_BYTES),
        )
        return asyncio.run(work(ray, ray.get_runtime_context().gcs_address))
    finally:
        ray.shutdown()
        clear_away(directory)


async def _parts(ray, address, arguments):
    found = {}
    if "plain" in arguments.parts:
        found |= await against_plain_tasks(ray, address, arguments.rounds)
    if "map" in arguments.parts:
        found["map"] = await mapped(address, arguments.calls, 0.0001)
    if "share" in arguments.parts:
        found["share"] = await shared(address, arguments.rounds)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="plain,map,share")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--slots", default="200")
    parser.add_argument("--sleeps", default="0.001,0.01,0.1")
    parser.add_argument("--calls-each", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    found = {}
    if set(arguments.parts) - {"slots"}:
        # The lane's two, and two for the plain tasks.
        found = with_ray(lambda ray, address: _parts(ray, address, arguments), 4)
        for name, one in found.items():
            print(f"{name}: ratio {one['ratio']:.3f} (goal {GOALS[name]}) {one}")
    if "slots" in arguments.parts:
        sleeps_s = [float(one) for one in arguments.sleeps.split(",")]
        found["slots"] = [
            asyncio.run(slots(int(count), sleeps_s, arguments.calls_each))
            for count in arguments.slots.split(",")
        ]
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        path = arguments.output / f"cluster_{version}_{'_'.join(arguments.parts)}.json"
        result = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": asdict(host_facts()),
            "rounds": arguments.rounds,
            "parts": found,
        }
        write_atomically(path, json.dumps(result, indent=1) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
