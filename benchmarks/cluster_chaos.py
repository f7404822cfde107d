"""Two nodes of a real Ray, one of which is killed every few seconds, under hundreds of calls in flight.

    python benchmarks/cluster_chaos.py
    python benchmarks/cluster_chaos.py --seconds 60 --at-once 500 --output benchmarks/results

Every call writes a line with its number before it returns, so that what ran twice can be seen. Each call
must end: with its own result, or with WorkerDiedError where its node was killed. Needs lanewise[cluster].
"""

import argparse
import asyncio
import collections
import itertools
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lanewise import LaneUnavailableError, Runtime, WorkerDiedError
from lanewise.host.facts import host_facts
from lanewise.measuring.store import write_atomically

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration" / "cluster"))


def noted(number, seconds, directory):
    """One short line a call: appending so little is one write, which no other writer cuts in two."""
    fd = os.open(f"{directory}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{number}\n".encode())
    os.close(fd)
    time.sleep(seconds)
    return number


async def chaos(cluster, seconds, every_s, at_once, sleep_s, directory):
    outcomes = collections.Counter()
    numbers = itertools.count()
    joined_s, kills = [], 0
    async with Runtime(cluster=cluster.address, lanes=("cluster",), max_queue=4 * at_once) as rt:
        victim = await asyncio.to_thread(cluster.add)
        until = time.monotonic() + seconds

        async def caller():
            while time.monotonic() < until:
                number = next(numbers)
                try:
                    got = await rt.run(noted, number, sleep_s, directory)
                except WorkerDiedError:
                    outcomes["lost with its node"] += 1
                except LaneUnavailableError:
                    outcomes["no node"] += 1
                    await asyncio.sleep(0.05)
                else:
                    outcomes["right" if got == number else "WRONG"] += 1

        callers = [asyncio.ensure_future(caller()) for _ in range(at_once)]
        while time.monotonic() < until:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(cluster.kill, victim)
            kills += 1
            victim = await asyncio.to_thread(cluster.add)
            began, known = time.monotonic(), {one.number for one in rt.statistics().cluster.nodes}
            while not {one.number for one in rt.statistics().cluster.nodes} - known:
                await asyncio.sleep(0.01)
                if time.monotonic() > began + 30:
                    break
            joined_s.append(time.monotonic() - began)
        _, hanging = await asyncio.wait(callers, timeout=60)
        statistics = rt.statistics().cluster
    begun = collections.Counter(
        line for file in Path(directory).iterdir() for line in file.read_text().split()
    )
    return {
        "seconds": seconds,
        "at_once": at_once,
        "call_s": sleep_s,
        "kills": kills,
        "outcomes": dict(outcomes),
        "calls_begun_twice": sum(times > 1 for times in begun.values()),
        "callers_that_hang": len(hanging),
        "nodes_lost": statistics.lost_nodes,
        "a_new_node_is_used_after_s": sorted(joined_s),
    }


def main():
    from ray_cluster import RayCluster

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=5)
    parser.add_argument("--at-once", type=int, default=500)
    parser.add_argument("--call", type=float, default=0.02)
    parser.add_argument("--cpus", type=int, default=8)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with RayCluster(cpus=arguments.cpus) as cluster, tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(
            chaos(
                cluster,
                arguments.seconds,
                arguments.every,
                arguments.at_once,
                arguments.call,
                directory,
            )
        )
    print(json.dumps(found, indent=1))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        result = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": asdict(host_facts()),
            **found,
        }
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        path = arguments.output / f"cluster_chaos_{version}.json"
        write_atomically(path, json.dumps(result, indent=1) + "\n")
        print(f"wrote {path}")
    wrong = found["outcomes"].get("WRONG", 0)
    return int(bool(wrong or found["calls_begun_twice"] or found["callers_that_hang"]))


if __name__ == "__main__":
    sys.exit(main())
