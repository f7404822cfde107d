"""Does the runtime choose well? Every kind of workload on each fixed lane, and routed: with a plan, and learned.

A workload is a number of calls by some callers that each wait for their results. Each contestant is a
process of its own with a runtime that stays open; they make the same calls by short turns, in random
order, and meanwhile a ticker on each loop notes how late it is. So what else happens on the machine
meets all of them, and learning is paid for as a service pays for it: once. This is done for several
rounds, with new processes; the time to finish is the sum over the turns of each turn's median.

A fixed lane that delays the loop by more than the budget (its 90th percentile beyond that of an idle
loop) is unfit and marked with an asterisk. Regret is the routed time over that of the best fit lane.
The best lane of the first round takes part once more from then on ("again"): its regret against itself is
what the machine's noise alone makes of a perfect choice.

    python benchmarks/routing.py --plan /tmp/routing.toml            # measures the plan when it is missing
    python benchmarks/routing.py --plan /tmp/routing.toml --only "Python 2 ms" --rounds 5
"""

import argparse
import contextlib
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from pathlib import Path

import routing_workloads
from routing_contestant import ROUTED as FREE
from routing_workloads import TARGETS, all_workloads

from lanewise import Plan

FIXED = ("event_loop", "thread", "process")
ROUTED = ("planned", "learned")
AGAIN = "again"
# Enough turns for what comes and goes to meet everybody, and each long enough to be a turn.
MOST_TURNS = 24
CALLS_OF_EACH_CALLER = 3


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Contestant:
    """A process that makes calls when it is told to."""

    def __init__(self, workload, lane, plan):
        folder = Path(__file__).resolve().parent
        command = [sys.executable, folder / "routing_contestant.py", workload.name, lane, *plan]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.idle_s = []
        self.turns_s = []
        self.lags_s = []
        self.routes = {}

    def _ask(self, line):
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self._process.args} ended with {self._process.wait()}")
        return json.loads(answer)

    def be_idle(self):
        """Find out how late its loop is when nothing happens."""
        self.idle_s = self._ask("idle")["lags_s"]

    def turn(self, count):
        """Have it make so many calls."""
        answer = self._ask(count)
        self.turns_s.append(answer["took_s"])
        self.lags_s += answer["lags_s"]
        self.routes = answer["routes"]

    @property
    def harm_s(self):
        """How late its loop was beyond what it is when idle."""
        return percentile(self.lags_s, 0.9) - percentile(self.idle_s, 0.9)

    def close(self):
        """Have it leave."""
        with contextlib.suppress(BrokenPipeError):
            print("end", file=self._process.stdin, flush=True)
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def turns_of(workload):
    """Return how many calls each turn makes."""
    calls = len(workload.calls)
    turns = max(1, min(MOST_TURNS, calls // (CALLS_OF_EACH_CALLER * workload.callers)))
    marks = [calls * n // turns for n in range(turns + 1)]
    return [after - before for before, after in itertools.pairwise(marks)]


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


class Runs:
    """What one workload took on each contestant, round by round and turn by turn."""

    def __init__(self, workload, contestants):
        self.workload = workload
        self.contestants = contestants
        self.turns = {name: [] for name in (*contestants, AGAIN)}
        self.harms = {name: [] for name in contestants}
        self.again = None
        self.routes = {}

    @property
    def rounds(self):
        """How many rounds are done."""
        return len(self.turns[self.contestants[0]])

    def harm(self, name):
        """How late a ticker on the loop was beside it, in seconds."""
        return statistics.median(self.harms[name])

    def finish(self, name):
        """How long it took, in seconds: turn by turn in the median over the rounds."""
        return sum(statistics.median(turn) for turn in zip(*self.turns[name], strict=True))

    def best(self, loop_budget_s):
        """Return the quickest fixed lane that kept the loop budget, and those that kept it."""
        fixed = [name for name in self.contestants if name in FIXED]
        fit = [name for name in fixed if self.harm(name) <= loop_budget_s]
        fit = fit or [min(fixed, key=self.harm)]
        return min(fit, key=self.finish), fit

    def regret(self, name, best):
        """Return how many times as long it took as the best one."""
        return self.finish(name) / self.finish(best)

    def regret_again(self, best):
        """The same of the best lane against itself; None where another one was run twice."""
        if self.again != best or not self.turns[AGAIN]:
            return None
        twice = Runs(self.workload, self.contestants)
        twice.turns[AGAIN] = self.turns[AGAIN]
        twice.turns[best] = self.turns[best][-len(self.turns[AGAIN]) :]
        return twice.regret(AGAIN, best)

    def one_round(self, plan, dice, loop_budget_s):
        """Have everybody make all calls, by turns in random order."""
        lanes = {name: name if name in FIXED else FREE for name in self.contestants}
        if self.rounds:
            self.again = self.again or self.best(loop_budget_s)[0]
            lanes[AGAIN] = self.again
        with contextlib.ExitStack() as stack:
            taking_part = {}
            for name, lane in lanes.items():
                with_plan = [str(plan)] if name == "planned" else []
                taking_part[name] = Contestant(self.workload, lane, with_plan)
                stack.callback(taking_part[name].close)
            for one in taking_part.values():
                one.be_idle()
            for count in turns_of(self.workload):
                for name in dice.sample(sorted(taking_part), len(taking_part)):
                    taking_part[name].turn(count)
        for name, one in taking_part.items():
            self.turns[name].append(one.turns_s)
            if name != AGAIN:
                self.harms[name].append(one.harm_s)
                self.routes[name] = one.routes


def run(arguments):
    plan = Path(arguments.plan)
    measured_plan(plan, arguments.budget)
    contestants = [one for one in (*FIXED, *ROUTED) if one not in arguments.without]
    every = [
        Runs(one, contestants)
        for one in all_workloads()
        if any(part in one.name for part in arguments.only)
    ]
    dice = random.Random(arguments.seed)
    for _ in range(arguments.rounds):
        for runs in every:
            runs.one_round(plan, dice, arguments.loop_budget_s)
            print(f"round {runs.rounds}: {runs.workload.name}", file=sys.stderr)
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
    parser.add_argument("--rounds", type=int, default=3, help="of each workload")
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
