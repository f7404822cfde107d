"""`python -m supplyr_load`: run scenarios, print their tables, keep their figures."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from supplyr_load.bench import Bench
from supplyr_load.capacity import size_for
from supplyr_load.data import cheap_requests, ensure_directory
from supplyr_load.fleet import MAX_LAG_P99_S, Fleet, VoidRunError
from supplyr_load.pages import write_results
from supplyr_load.planning import ensure_plan
from supplyr_load.results import Result, machine_facts
from supplyr_load.scenarios import SCENARIOS, bulkheads
from supplyr_load.server import end_on_sigterm

_ROUNDS, _QUICK_ROUNDS = 5, 1
_SECONDS, _QUICK_SECONDS = 15.0, 4.0
_SUPPLIERS, _QUICK_SUPPLIERS = 100_000, 2_000


def parser() -> argparse.ArgumentParser:
    """Return what the command line takes."""
    made = argparse.ArgumentParser(prog="python -m supplyr_load", description=__doc__)
    made.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; none: all"
    )
    made.add_argument("--quick", action="store_true", help="see everything in a few minutes")
    made.add_argument("--rounds", type=int, help=f"interleaved rounds ({_ROUNDS})")
    made.add_argument("--seconds", type=float, help=f"each stretch of load ({_SECONDS:g})")
    made.add_argument("--suppliers", type=int, help=f"in the directory ({_SUPPLIERS:,})")
    made.add_argument("--work", default="price-list", help="heavy work (price-list)")
    made.add_argument("--job-ms", type=float, default=150.0, help="CPU time of one heavy call")
    made.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    made.add_argument("--generators", type=int, default=1, help="one for each 1,000 requests/s")
    made.add_argument(
        "--python", action="append", default=[], help="another interpreter to serve with, for S9"
    )
    made.add_argument("--loads", default="0.25,0.5,0.8", help="of capacity, for S1")
    made.add_argument("--append", action="store_true", help="count rounds of an earlier run too")
    made.add_argument(
        "--max-lag-ms",
        type=float,
        default=1e3 * MAX_LAG_P99_S,
        help="a run is void where the generator itself was later (p99)",
    )
    made.add_argument("--plan", type=Path, help="a lanewise plan; else one is measured")
    made.add_argument("--no-plan", action="store_true", help="let the runtime learn")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--data", type=Path, default=Path("supplyr-load-data"))
    made.add_argument("--results", type=Path, default=Path("supplyr-load-results"))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0: everything was reached, 1: something was not, 2: void or wrong."""
    options = parser().parse_args(arguments)
    end_on_sigterm()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        print(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
        return 2
    quick = options.quick
    suppliers = options.suppliers or (_QUICK_SUPPLIERS if quick else _SUPPLIERS)
    print(f"directory of {suppliers:,} suppliers ...", flush=True)
    folder = ensure_directory(options.data.resolve(), suppliers)
    size = size_for(options.work, options.job_ms / 1e3)
    plan = options.plan.resolve() if options.plan else _planned(options, size)
    with Fleet(options.generators) as fleet:
        bench = Bench(
            folder=folder,
            results=options.results,
            fleet=fleet,
            cheap=cheap_requests(folder, options.seed),
            work=options.work,
            size=size,
            job_s=options.job_ms / 1e3,
            processes=options.processes,
            rounds=options.rounds or (_QUICK_ROUNDS if quick else _ROUNDS),
            seconds=options.seconds or (_QUICK_SECONDS if quick else _SECONDS),
            quick=quick,
            plan=plan,
            seed=options.seed,
            pythons=tuple(options.python),
            max_lag_s=options.max_lag_ms / 1e3,
            loads=tuple(sorted(float(part) for part in options.loads.split(","))),
            appends=options.append,
        )
        chosen = options.scenarios or list(SCENARIOS)
        status = max([_one(name, SCENARIOS[name], bench) for name in chosen], default=0)
    page = write_results(options.results)
    if page is not None:
        print(f"all results, plotted: {page}")
    return status


def _planned(options: argparse.Namespace, size: int) -> Path | None:
    if options.no_plan:
        return None
    sized = {
        "thumbnails": bulkheads.EDGE_PX,
        "password": bulkheads.MEMORY_KIB,
        "duplicates": bulkheads.RECORDS,
        options.work: size,
    }
    print("plan ...", flush=True)
    return ensure_plan(options.data.resolve(), list(sized.items()), 4.0 if options.quick else 15.0)


def _one(name: str, run: Callable[[Bench], Result], bench: Bench) -> int:
    facts = machine_facts()
    begun = time.monotonic()
    print(f"\n{name} ...", flush=True)
    try:
        result = run(bench)
    except VoidRunError as error:
        print(f"{name} is void: {error}")
        return 2
    facts["duration_s"] = round(time.monotonic() - begun, 1)
    path = result.write(bench.results, facts)
    print(result.markdown())
    print(f"{facts['duration_s']} s; all figures: {path}", flush=True)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
