"""Does a plan send calls where a direct measurement says they belong, and is it stable?

For each workload: a plan is measured twice, and their decisions compared (stability). Then, at sizes
that neither plan measured, every contender is loaded directly, in random order over several rounds,
and the lane that is best there is compared with the plan's route (agreement). Where they differ,
the regret says what it costs: the best lane's throughput over that of the plan's lane.

    python benchmarks/plan_against_direct.py --output benchmarks/results
"""

import argparse
import json
import math
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import workloads

from lanewise.host.facts import host_facts
from lanewise.measuring.instrument import Instrument
from lanewise.measuring.options import MeasureOptions
from lanewise.measuring.session import measure
from lanewise.measuring.statistics import median, quantile
from lanewise.plan.choose import choose
from lanewise.plan.compare import compare_plans, machine_for
from lanewise.plan.document import Plan

LANES = ("event_loop", "thread", "process")
ROUNDS = 5
LOOP_BUDGET_S = 0.001
# Two lanes nearer than this are one decision for every practical purpose.
SAME = 1.10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for each plan")
    parser.add_argument("--only", help="only workloads whose name contains this")
    parser.add_argument("--points", type=int, default=3, help="held-out sizes for each workload")
    arguments = parser.parse_args()
    rows, stability = [], []
    for name, ladder in workloads.LADDERS.items():
        if arguments.only and arguments.only not in name:
            continue
        print(f"{name}: two plans", file=sys.stderr, flush=True)
        plans = [_plan(name, ladder, arguments.budget, seed) for seed in (1, 2)]
        stability.append(_stability(name, plans))
        print(f"{name}: direct", file=sys.stderr, flush=True)
        rows += _direct(name, ladder, plans[0], arguments.points)
    result = _summary(rows, stability)
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "plan_against_direct.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    _print(result)
    print(f"wrote {path}")


def _plan(name, ladder, budget_s, seed):
    options = MeasureOptions(sizes=ladder, budget_s=budget_s, seed=seed)
    result = measure([f"workloads:{name}"], options)
    return Plan({made.name: made for made in result.plans})


def _stability(name, plans):
    """Decisions on the ladder that both plans share, every concurrency."""
    tasks = [next(iter(plan.tasks.values())) for plan in plans]
    same = total = 0
    for size in workloads.LADDERS[name]:
        for level in tasks[0].concurrencies:
            found = [choose(task, size, level, machine_for(task), LOOP_BUDGET_S) for task in tasks]
            total += 1
            same += found[0].contender == found[1].contender
    changes = compare_plans(*plans)
    return {
        "workload": name,
        "decisions": total,
        "same": same,
        "changed_and_worth_it": len(changes.changes),
    }


def _direct(name, ladder, plan, points):
    task = next(iter(plan.tasks.values()))
    rng = random.Random(f"held out {name}")
    low, high = math.log(ladder[0]), math.log(ladder[-1])
    sizes = sorted({round(math.exp(rng.uniform(low, high))) for _ in range(points)})
    rows = []
    with Instrument(seed=3) as instrument:
        instrument.bench.ask("resolve", words=f"workloads:{name}", inputs=None, timeout_s=30)
        cores = instrument.host["usable_cores"]
        workers = {"event_loop": 1, "thread": 2 * cores, "process": cores}
        for lane in LANES:
            instrument.open_lane(lane, workers[lane])
        for size in sizes:
            known = instrument.prepare(task.name, "default", size)
            for level in task.concurrencies:
                found = _load_all(instrument, task.name, size, level, known, rng)
                route = choose(task, size, level, machine_for(task), LOOP_BUDGET_S)
                rows.append(
                    {"workload": name, "size": size, "concurrency": level, **_judge(found, route)}
                )
    return rows


def _load_all(instrument, name, size, level, known, rng):
    wall_s = known["second_call_s"]
    window_s = min(0.5, max(0.08, 6 * wall_s))
    rates = {lane: [] for lane in LANES}
    lags = {lane: [] for lane in LANES}
    reference = []
    for _ in range(ROUNDS):
        reference.append(instrument.reference_lag_s(level, window_s))
        for lane in rng.sample(LANES, len(LANES)):
            made = instrument.load_round(name, "default", size, lane, level, window_s)
            rates[lane].append(made.throughput_per_s)
            lags[lane].append(made.lag_p99_s)
    return {
        lane: {
            "throughput_per_s": median(rates[lane]),
            # The least over rounds, as in a plan: a spike in one round is the machine's.
            "lag_caused_s": max(0.0, min(lags[lane]) - max(reference)),
            "wall_s": wall_s,
        }
        for lane in LANES
    }


def _judge(found, route):
    fit = {
        lane: one
        for lane, one in found.items()
        if one["lag_caused_s"] <= LOOP_BUDGET_S
        and (lane != "event_loop" or one["wall_s"] <= LOOP_BUDGET_S)
    }
    field = fit or {lane: one for lane, one in found.items() if lane != "event_loop"}
    best = max(field, key=lambda lane: field[lane]["throughput_per_s"])
    chosen = route.contender.lane
    regret = field[best]["throughput_per_s"] / found[chosen]["throughput_per_s"]
    return {
        "plan": chosen,
        "direct": best,
        "decided": route.decided,
        "regret": max(1.0, regret),
        "kept_budget": chosen in field,
        "agree": chosen == best or (chosen in field and regret <= SAME),
        "throughput_per_s": {
            lane: round(one["throughput_per_s"], 1) for lane, one in found.items()
        },
        "lag_caused_s": {lane: round(one["lag_caused_s"], 6) for lane, one in found.items()},
    }


def _summary(rows, stability):
    regrets = [row["regret"] for row in rows]
    decisions = sum(one["decisions"] for one in stability)
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host_facts().as_dict(),
        "routes_compared": len(rows),
        "agree": sum(row["agree"] for row in rows),
        "kept_budget": sum(row["kept_budget"] for row in rows),
        "regret_median": median(regrets),
        "regret_p95": quantile(regrets, 0.95),
        "decisions_repeated": decisions,
        "decisions_same": sum(one["same"] for one in stability),
        "stability": stability,
        "routes": rows,
    }


def _print(result):
    for row in result["routes"]:
        mark = " " if row["agree"] else "!"
        print(
            f"{mark} {row['workload']:15} {row['size']:>9} x{row['concurrency']}  plan {row['plan']:10} "
            f"direct {row['direct']:10} regret {row['regret']:.2f} {'' if row['decided'] else '(undecided)'}"
        )
    print(
        f"agree {result['agree']}/{result['routes_compared']}, kept the budget "
        f"{result['kept_budget']}/{result['routes_compared']}, regret median "
        f"{result['regret_median']:.2f}, p95 {result['regret_p95']:.2f}; repeated measurement gives "
        f"{result['decisions_same']}/{result['decisions_repeated']} times the same route"
    )


if __name__ == "__main__":
    main()
