"""Serve SUPPLYR, measure its tasks, then load it with and without the plan: `make demo`.

Writes lanewise.toml, report.html, measured.json and load.html into a directory, and prints what
everything in the handlers and the same under the plan do to the event loop and to those who read.
Where somebody sits at the terminal SUPPLYR stays up at the end, until they have seen enough.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from lanewise.cli.output import Output, print_json
from lanewise.cli.progress import make_progress
from lanewise.cli.tables import print_task
from lanewise.cli.version import library_version
from lanewise.measuring.document import Run, measure_document
from lanewise.measuring.options import DEFAULT_LOOP_BUDGET_S, MeasureOptions
from lanewise.measuring.report_page import render_report
from lanewise.measuring.session import SessionResult, measure
from lanewise.measuring.store import write_atomically
from lanewise.model.units import format_count, format_seconds
from lanewise.plan.document import Plan
from lanewise.plan.write import to_toml

from supplyr.dedupe import find_duplicates_rapidfuzz
from supplyr.records import Supplier
from supplyr.service_program import Observed, in_the_handler, serve, under_the_plan
from supplyr.truth import TruthUnavailableError, evaluate, load
from supplyr_load.server import end_on_sigterm
from supplyr_load.showing import SUPPLIERS, running, show

# Chosen on febrl1 (python -m supplyr.evaluate); applied to febrl3 here.
FEBRL_THRESHOLD = 0.615
TASKS = (
    "supplyr.thumbnails:make_thumbnails",
    "supplyr.catalogue:import_csv",
    "supplyr.catalogue:import_xlsx",
    "supplyr.validation:validate_rows",
    "supplyr.export:export_xlsx",
    "supplyr.export:export_pdf",
    "supplyr.accounts:hash_password",
    "supplyr.ranking:rank_suppliers",
    "supplyr_load.works:price_list",
)


def febrl_arguments(size: int) -> tuple[list[Supplier], float]:
    """Return the first `size` persons of febrl3 (5,000 at most) and the threshold for them."""
    return list(load("febrl3").records[: int(size)]), FEBRL_THRESHOLD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supplyr.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each task")
    parser.add_argument("--service-seconds", type=float, default=6.0)
    parser.add_argument("--load-seconds", type=float, help="of each stretch of load (as service)")
    options = parser.parse_args(arguments)
    end_on_sigterm()
    options.output.mkdir(parents=True, exist_ok=True)
    output = Output()
    folder = options.output / "directory"
    output.title(f"SUPPLYR, a directory of {SUPPLIERS:,} suppliers")
    with running(folder.resolve()) as (address, account):
        output.line(f"  open {address} and search while this goes on")
        output.line(f"  log in as {account.email} with {account.password} (of this run alone)")
        output.line("  to import a file, review duplicates, and see jobs and lanes at work")
        failed = _demonstrate(output, options, folder.resolve())
        if sys.stdin.isatty() and sys.stdout.isatty():
            with suppress(KeyboardInterrupt, EOFError):
                input(
                    f"\nSUPPLYR is still at {address} ({account.email}, {account.password})"
                    " - Enter ends it. "
                )
    return 1 if failed else 0


def _demonstrate(output: Output, options: argparse.Namespace, folder: Path) -> bool:
    """Measure, run and load; whether a task could not be measured."""
    _print_quality(output)
    started = time.monotonic()
    result = _measure(options.budget)
    plan_path = _write(options.output, result, time.monotonic() - started)
    _print_measured(output, result)
    _print_service(output, plan_path, options.service_seconds)
    load_seconds = options.load_seconds or options.service_seconds
    page = show(output, folder, plan_path, load_seconds, options.output)
    output.title("look at it")
    for name in ("report.html", "lanewise.toml", "measured.json"):
        output.line(f"  {options.output / name}")
    if page is not None:
        output.line(f"  {page}")
    return any(task.error for task in result.tasks)


def _print_quality(output: Output) -> None:
    output.title("duplicate detection on febrl3, by name and address, against its published truth")
    try:
        labelled = load("febrl3")
    except TruthUnavailableError as error:
        output.warning(str(error))
        return
    pairs = find_duplicates_rapidfuzz(labelled.records, FEBRL_THRESHOLD)
    quality = evaluate(pairs, labelled.true_pairs)
    output.line(
        f"  precision {quality.precision:.4f}, recall {quality.recall:.4f}, F1 {quality.f1:.4f} "
        f"({len(labelled.records)} records, threshold {FEBRL_THRESHOLD} chosen on febrl1)"
    )


def _measure(budget_s: float) -> SessionResult:
    """Measure the detector on Febrl's records, and the other tasks on generated data."""
    sizes: tuple[float, ...] = (10, 30, 100, 300)
    inputs: str | None = "supplyr.demo:febrl_arguments"
    try:
        load("febrl3")
    except TruthUnavailableError:
        inputs = None  # the task's own, on generated records
    detector = MeasureOptions(sizes=sizes, inputs=inputs, budget_s=2 * budget_s)
    with make_progress(quiet=False) as progress:
        first = measure(["supplyr.dedupe:find_duplicates"], detector, progress=progress)
        if first.interrupted:
            return first
        rest = measure(TASKS, MeasureOptions(budget_s=budget_s), progress=progress)
    first.tasks += rest.tasks
    first.plans += rest.plans
    first.interrupted = rest.interrupted
    return first


def _write(directory: Path, result: SessionResult, duration_s: float) -> Path:
    run = Run(
        version=library_version(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command="python -m supplyr.demo",
        duration_s=round(duration_s, 1),
        loop_budget_s=DEFAULT_LOOP_BUDGET_S,
    )
    document = measure_document(run, [(sys.executable, result)])
    print_json(document, directory / "measured.json")
    write_atomically(directory / "report.html", render_report(document))
    plan = Plan({made.name: made for made in result.plans})
    path = directory / "lanewise.toml"
    write_atomically(path, to_toml(plan))
    return path


def _print_measured(output: Output, result: SessionResult) -> None:
    for task in result.tasks[:1]:
        print_task(output, task, result.host)
    output.title("where each task goes with one caller and with several")
    columns = [("task", "left"), ("callers", "right"), ("sizes", "left"), ("lane", "left")]
    rows: list[list[str]] = []
    for task in result.tasks:
        levels = {task.concurrencies[0], task.concurrencies[-1]} if task.concurrencies else set()
        for route in task.routes:
            if route.concurrency in levels:
                upper = "and up" if route.max_size is None else f"to {format_count(route.max_size)}"
                rows.append(
                    [
                        task.name.partition(":")[2],
                        str(route.concurrency),
                        f"{format_count(route.min_size)} {upper}",
                        f"{route.lane}/{route.variant}{'' if route.decided else ' (undecided)'}",
                    ]
                )
        if task.error:
            rows.append([task.name.partition(":")[2], "", "not measured", task.error[:60]])
    output.table(columns, rows)


def _print_service(output: Output, plan_path: Path, duration_s: float) -> None:
    output.title("one service, twice: cheap requests while heavy work runs beside them")
    observed = [
        asyncio.run(serve("in the handler", in_the_handler(), duration_s)),
        asyncio.run(serve("under the plan", under_the_plan(plan_path), duration_s)),
    ]
    columns = [
        ("heavy work runs", "left"),
        ("heavy calls/s", "right"),
        ("cheap p50", "right"),
        ("cheap p99", "right"),
        ("loop lag p50", "right"),
        ("loop lag p99", "right"),
        ("loop lag max", "right"),
    ]
    output.table(columns, [_service_row(one) for one in observed])


def _service_row(one: Observed) -> list[str]:
    return [
        f"  {one.name}",
        f"{one.heavy_per_s:.1f}",
        format_seconds(one.cheap_p50_s),
        format_seconds(one.cheap_p99_s),
        format_seconds(one.lag_p50_s),
        format_seconds(one.lag_p99_s),
        format_seconds(one.lag_max_s),
    ]


if __name__ == "__main__":
    sys.exit(main())
