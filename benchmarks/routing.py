"""Does the runtime choose well? Every kind of workload on each fixed lane, and routed: with a plan, and learned.

A workload is a number of calls by some callers that each wait for their results. It is run on every
contestant by turns, each time in a runtime of its own that is open already; what is compared is the
time to finish. While it runs, a ticker on the same loop notes how late it is. A fixed lane that delays
the loop by more than the budget (its 90th percentile beyond that of an idle loop) is unfit and marked
with an asterisk. Regret is the routed time over that of the best fit lane in the same round, in the median.

    python benchmarks/routing.py --plan /tmp/routing.toml            # measures the plan when it is missing
    python benchmarks/routing.py --plan /tmp/routing.toml --only "Python 2 ms" --rounds 5
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import routing_workloads
from routing_workloads import TARGETS, all_workloads

from lanewise import Plan, Runtime

FIXED = ("event_loop", "thread", "process")
ROUTED = ("planned", "learned")
TICK_S = 0.002


async def ticks(lags):
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        lags.append(loop.time() - due)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


async def once(workload, contestant, plan):
    options = {"plan": plan} if contestant == "planned" else {}
    async with Runtime(preload=["routing_workloads"], **options) as rt:
        view = rt.with_options(lane=contestant) if contestant in FIXED else rt
        idle, lags = [], []
        ticker = asyncio.create_task(ticks(idle))
        await asyncio.sleep(0.2)
        ticker.cancel()
        calls = iter(workload.calls)

        async def caller():
            for task, argument in calls:
                await view.run(task, argument)

        ticker = asyncio.create_task(ticks(lags))
        await asyncio.sleep(0)
        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(workload.callers)))
        finish_s = time.perf_counter() - started
        ticker.cancel()
        harm_s = percentile(lags, 0.9) - percentile(idle, 0.9)
        if not lags:  # it never got a turn
            harm_s = finish_s
        routes = {
            f"{lane}/{variant}": n for (_, lane, variant), n in rt.statistics().routes.items()
        }
        return finish_s, harm_s, routes


def measured_plan(path, budget):
    """Measure what is missing, on this machine as it is now."""
    for name, sizes in TARGETS.items():
        if path.exists() and any(one.endswith(f":{name}") for one in Plan.load(path).tasks):
            continue
        command = [sys.executable, "-m", "lanewise", "measure", f"routing_workloads:{name}"]
        command += ["--sizes", sizes, "--budget", budget, "--concurrency", "1,2,8"]
        folder = Path(__file__).resolve().parent
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
        }
        subprocess.run(
            [*command, "--plan", str(path), "--quiet"],
            check=False,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
    return Plan.load(path)


def run(arguments):
    plan = measured_plan(Path(arguments.plan), arguments.budget)
    chosen = [one for one in all_workloads() if not arguments.only or arguments.only in one.name]
    contestants = [one for one in (*FIXED, *ROUTED) if one not in arguments.without]
    times = {one.name: {name: [] for name in contestants} for one in chosen}
    harms = {one.name: {name: [] for name in contestants} for one in chosen}
    routes = {one.name: {} for one in chosen}
    dice = random.Random(arguments.seed)
    for at in range(arguments.rounds):
        for workload in chosen:
            order = contestants[:]
            dice.shuffle(order)
            for contestant in order:
                finish_s, harm_s, took = asyncio.run(once(workload, contestant, plan))
                times[workload.name][contestant].append(finish_s)
                harms[workload.name][contestant].append(harm_s)
                routes[workload.name][contestant] = took
            print(f"round {at + 1}: {workload.name}", file=sys.stderr)
    return judged(chosen, contestants, times, harms, routes, arguments)


def judged(chosen, contestants, times, harms, routes, arguments):
    rows, regrets = [], {name: [] for name in contestants}
    for workload in chosen:
        finish = {name: statistics.median(times[workload.name][name]) for name in contestants}
        harm = {name: statistics.median(harms[workload.name][name]) for name in contestants}
        fixed = [name for name in contestants if name in FIXED]
        fit = [name for name in fixed if harm[name] <= arguments.loop_budget_s] or [
            min(fixed, key=lambda name: harm[name])
        ]
        best = min(fit, key=lambda name: finish[name])
        # Round by round, for machines are slow for minutes, and what ran next to each other can be compared.
        of_best = times[workload.name][best]
        regret = {
            name: statistics.median(
                one / other for one, other in zip(times[workload.name][name], of_best, strict=True)
            )
            for name in contestants
        }
        for name in contestants:
            unfit = name in FIXED and name not in fit
            regrets[name].append(float("inf") if unfit else regret[name])
        rows.append(
            {
                "workload": workload.name,
                "best": best,
                "finish_s": finish,
                "harm_s": harm,
                "unfit": [name for name in fixed if name not in fit],
                "regret": regret,
                "routes": {name: routes[workload.name].get(name) for name in ROUTED},
            }
        )
    summary = {
        name: {"median": percentile(some, 0.5), "p95": percentile(some, 0.95), "worst": max(some)}
        for name, some in regrets.items()
    }
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": arguments.rounds,
        "loop_budget_s": arguments.loop_budget_s,
        "rows": rows,
        "regret": summary,
    }


def show(result):
    names = list(result["rows"][0]["finish_s"])
    print(f"{'time over the best fit lane':34}" + "".join(f"{name:>12}" for name in names))
    for row in result["rows"]:
        cells = "".join(
            f"{row['regret'][name]:11.2f}{'*' if name in row['unfit'] else ' '}" for name in names
        )
        print(f"{row['workload']:34}{cells}")
    for key in ("median", "p95"):
        cells = "".join(
            f"{'unfit' if value == float('inf') else format(value, '.2f'):>11} "
            for value in (result["regret"][name][key] for name in names)
        )
        print(f"{key:34}{cells}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", required=True, help="the plan's file; measured when missing")
    parser.add_argument("--budget", default="15s", help="for measuring each task of the plan")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="part of a workload's name")
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--loop-budget-s", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="write all figures to this file")
    arguments = parser.parse_args()
    result = run(arguments)
    show(result)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    assert routing_workloads
    main()
