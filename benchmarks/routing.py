"""Does the runtime choose well? Every kind of workload on each fixed lane, and routed: with a plan, and learned.

A workload is a number of calls by some callers that each wait for their results. It is run on every
contestant by turns, each time in a runtime of its own that is open already; what is compared is the
time to finish. While it runs, a ticker on the same loop notes how late it is. A fixed lane that delays
the loop by more than the budget (its 90th percentile beyond that of an idle loop) is unfit and marked
with an asterisk. Regret is the routed time over that of the best fit lane in the same round, in the median.
The best lane runs once more in every round, as a contestant of its own ("again"): its regret against
itself is what the machine's noise alone makes of a perfect choice.

    python benchmarks/routing.py --plan /tmp/routing.toml            # measures the plan when it is missing
    python benchmarks/routing.py --plan /tmp/routing.toml --only "Python 2 ms" --rounds 5
    python benchmarks/routing.py --plan /tmp/routing.toml --seconds 40    # more rounds of what is short
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
AGAIN = "again"
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


class Runs:
    """What one workload took on each contestant, round by round; ``again`` tells which lane it was."""

    def __init__(self, workload, contestants):
        self.workload = workload
        self.contestants = contestants
        self.times = {name: [] for name in contestants}
        self.harms = {name: [] for name in contestants}
        self.again = []
        self.routes = {}
        self.spent_s = 0.0

    @property
    def rounds(self):
        """How many rounds are done."""
        return len(self.times[self.contestants[0]])

    def harm(self, name):
        """How late a ticker on the loop was beside it, in seconds."""
        return statistics.median(self.harms[name])

    def finish(self, name):
        """How long it took, in seconds."""
        return statistics.median(self.times[name])

    def best(self, loop_budget_s):
        """Return the quickest fixed lane that kept the loop budget, and those that kept it."""
        fixed = [name for name in self.contestants if name in FIXED]
        fit = [name for name in fixed if self.harm(name) <= loop_budget_s]
        fit = fit or [min(fixed, key=self.harm)]
        return min(fit, key=self.finish), fit

    def regret(self, name, best):
        """In the median over rounds: a machine is slow for minutes, what ran side by side compares."""
        return statistics.median(
            one / other for one, other in zip(self.times[name], self.times[best], strict=True)
        )

    def regret_again(self, best):
        """The same of the best lane against itself; None where it was not run twice."""
        ratios = [took_s / self.times[best][at] for at, lane, took_s in self.again if lane == best]
        return statistics.median(ratios) if ratios else None

    def one_round(self, plan, dice, loop_budget_s):
        """Run every contestant once, in random order, and the best lane so far once more."""
        order = list(self.contestants)
        again = self.best(loop_budget_s)[0] if self.rounds else None
        if again is not None:
            order.append(AGAIN)
        dice.shuffle(order)
        started = time.perf_counter()
        at = self.rounds
        for contestant in order:
            lane = again if contestant == AGAIN else contestant
            finish_s, harm_s, took = asyncio.run(once(self.workload, lane, plan))
            if contestant == AGAIN:
                self.again.append((at, lane, finish_s))
                continue
            self.times[contestant].append(finish_s)
            self.harms[contestant].append(harm_s)
            self.routes[contestant] = took
        self.spent_s += time.perf_counter() - started


def run(arguments):
    plan = measured_plan(Path(arguments.plan), arguments.budget)
    contestants = [one for one in (*FIXED, *ROUTED) if one not in arguments.without]
    every = [
        Runs(one, contestants)
        for one in all_workloads()
        if any(part in one.name for part in arguments.only)
    ]
    dice = random.Random(arguments.seed)
    going = every
    while going:
        for runs in going:
            runs.one_round(plan, dice, arguments.loop_budget_s)
            print(f"round {runs.rounds}: {runs.workload.name}", file=sys.stderr)
        going = [
            runs
            for runs in going
            if runs.rounds < arguments.rounds
            or runs.spent_s * (1 + 1 / runs.rounds) < arguments.seconds
        ]
    return judged(every, contestants, arguments)


def judged(every, contestants, arguments):
    rows, regrets = [], {name: [] for name in (*contestants, AGAIN)}
    for runs in every:
        best, fit = runs.best(arguments.loop_budget_s)
        regret = {name: runs.regret(name, best) for name in contestants}
        regret[AGAIN] = runs.regret_again(best)
        unfit = [name for name in contestants if name in FIXED and name not in fit]
        for name, value in regret.items():
            if value is not None:
                regrets[name].append(float("inf") if name in unfit else value)
        rows.append(
            {
                "workload": runs.workload.name,
                "rounds": runs.rounds,
                "best": best,
                "finish_s": {name: runs.finish(name) for name in contestants},
                "harm_s": {name: runs.harm(name) for name in contestants},
                "unfit": unfit,
                "regret": regret,
                "routes": {name: runs.routes.get(name) for name in ROUTED},
            }
        )
    summary = {
        name: {"median": percentile(some, 0.5), "p95": percentile(some, 0.95), "worst": max(some)}
        for name, some in regrets.items()
        if some
    }
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "loop_budget_s": arguments.loop_budget_s,
        "rows": rows,
        "regret": summary,
    }


def show(result):
    names = list(result["regret"])
    print(f"{'time over the best fit lane':34}" + "".join(f"{name:>12}" for name in names))
    for row in result["rows"]:
        cells = "".join(
            f"{'-' if row['regret'][name] is None else format(row['regret'][name], '.2f'):>11}"
            f"{'*' if name in row['unfit'] else ' '}"
            for name in names
        )
        print(f"{row['workload']:34}{cells}  {row['rounds']} rounds")
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
    parser.add_argument("--rounds", type=int, default=3, help="of each workload, at least")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="more rounds of a workload until it took so long"
    )
    parser.add_argument("--only", nargs="*", default=[""], help="parts of workloads' names")
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
