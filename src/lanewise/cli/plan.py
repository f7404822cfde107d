"""``lanewise plan``: explain a plan, check that it still holds, compare two."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lanewise.cli.arguments import checked
from lanewise.cli.output import Output, print_json
from lanewise.cli.progress import make_progress
from lanewise.cli.tables import print_routes
from lanewise.errors import PlanError
from lanewise.measuring.instrument import Instrument
from lanewise.measuring.options import MEASURED_LANES, MeasureOptions
from lanewise.measuring.session import measure, open_and_calibrate
from lanewise.model.units import format_count, parse_duration_s
from lanewise.plan.compare import PlanDifference, compare_plans, machine_for
from lanewise.plan.document import Plan
from lanewise.plan.lane_model import Machine
from lanewise.plan.routes import routes_of
from lanewise.plan.task_plan import TaskPlan

_DEFAULT = Path("lanewise.toml")
_CHECK_BUDGET_S = 15.0


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "plan",
        help="explain a plan, check that it still holds, compare two",
        description="A plan keeps what each task costs; the routes follow from it.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    show = actions.add_parser("show", help="which lane each size goes to, and why")
    show.add_argument("plan", type=Path, nargs="?", default=_DEFAULT)
    show.add_argument("--task", help="only tasks whose name contains this")
    show.add_argument(
        "--here",
        action="store_true",
        help="for this host: calibrates its lanes first (default: the host it was measured on)",
    )
    show.add_argument("--json", action="store_true", help="for machines")
    show.set_defaults(run=run_show)

    check = actions.add_parser(
        "check",
        help="measure again quickly; exit status 1 when a route would now change",
        description="Measure the plan's tasks again at its sizes and concurrencies, and compare the "
        "decisions. Differences that the noise does not support, and those that gain next to "
        "nothing, are not counted. Made for CI.",
    )
    check.add_argument("plan", type=Path, nargs="?", default=_DEFAULT)
    check.add_argument("--task", help="only tasks whose name contains this")
    check.add_argument(
        "--budget",
        type=checked(parse_duration_s),
        default=_CHECK_BUDGET_S,
        help="for each task (default: 15s)",
    )
    check.add_argument("--inputs", metavar="M:CALLABLE", help="in place of the plan's own")
    check.add_argument("--json", action="store_true", help="for machines")
    check.set_defaults(run=run_check)

    diff = actions.add_parser("diff", help="decisions that differ between two plans")
    diff.add_argument("before", type=Path)
    diff.add_argument("after", type=Path)
    diff.add_argument("--json", action="store_true", help="for machines")
    diff.set_defaults(run=run_diff)


def _tasks(plan: Plan, words: str | None) -> dict[str, TaskPlan]:
    chosen = {name: task for name, task in plan.tasks.items() if words is None or words in name}
    if not plan.tasks:
        raise PlanError(
            f"{plan.source} has no task yet. Fill it: lanewise measure TARGET --plan {plan.source}"
        )
    if not chosen:
        known = ", ".join(plan.tasks) or "none"
        raise PlanError(f"{plan.source} has no task that contains {words!r}; it has: {known}")
    return chosen


def run_show(arguments: argparse.Namespace) -> int:
    """Explain every route."""
    tasks = _tasks(Plan.load(arguments.plan), arguments.task)
    here = _this_machine() if arguments.here else None
    routes = {
        name: routes_of(task, here or machine_for(task), task.loop_budget_s)
        for name, task in tasks.items()
    }
    if arguments.json:
        print_json({name: [asdict(route) for route in found] for name, found in routes.items()})
        return 0
    output = Output()
    for name, found in routes.items():
        task = tasks[name]
        output.title(name)
        unit = "bytes of arguments" if task.size_unit == "bytes" else "the task's own unit"
        output.note(f"measured on {task.calibration.fingerprint}; sizes in {unit}")
        print_routes(output, found)
    return 0


def _this_machine() -> Machine:
    """Calibrate this host's lanes: about a second."""
    with Instrument() as instrument:
        calibration = open_and_calibrate(instrument, MEASURED_LANES, threads=4)
        host = instrument.host
        return Machine(calibration, host["usable_cores"], host["gil_enabled"])


def run_check(arguments: argparse.Namespace) -> int:
    """Measure again and compare."""
    plan = Plan.load(arguments.plan)
    tasks = _tasks(plan, arguments.task)
    fresh: dict[str, TaskPlan] = {}
    errors: dict[str, str] = {}
    for name, task in tasks.items():
        options = MeasureOptions(
            sizes=_ladder(task),
            concurrencies=task.concurrencies,
            inputs=arguments.inputs or task.inputs,
            budget_s=arguments.budget,
            loop_budget_s=task.loop_budget_s,
        )
        with make_progress(quiet=arguments.json) as progress:
            result = measure([task.target or name], options, progress=progress)
        if result.interrupted:
            return 130
        fresh.update({made.name: made for made in result.plans})
        errors.update({made.name: made.error for made in result.tasks if made.error})
    difference = compare_plans(replace(plan, tasks=tasks), Plan(fresh, "measured now"))
    if arguments.json:
        print_json({**asdict(difference), "errors": errors})
    else:
        _print_difference(difference, errors)
    unchecked = bool(difference.only_before) or not difference.compared
    return 1 if difference.changes or errors or unchecked else 0


def _ladder(task: TaskPlan, most: int = 6) -> tuple[float, ...]:
    """A handful of the plan's sizes, the ends included: enough to see a route change."""
    sizes = task.sizes
    if len(sizes) <= most:
        return sizes
    step = (len(sizes) - 1) / (most - 1)
    return tuple(sizes[round(at * step)] for at in range(most))


def run_diff(arguments: argparse.Namespace) -> int:
    """Compare two plans."""
    difference = compare_plans(Plan.load(arguments.before), Plan.load(arguments.after))
    if arguments.json:
        print_json(asdict(difference))
    else:
        _print_difference(difference, {})
    changed = difference.changes or difference.only_before or difference.only_after
    return 1 if changed else 0


def _print_difference(difference: PlanDifference, errors: dict[str, str]) -> None:
    output = Output()
    for name, error in errors.items():
        output.line(f"{name}: {error}", style="red")
    for change in difference.changes:
        times = "" if change.loss == float("inf") else f" ({change.loss:.2g}× more)"
        output.line(
            f"{change.task}: size {format_count(change.size)}, {change.concurrency} callers: "
            f"{change.before} -> {change.after}{times}",
            style="bold",
        )
        output.note(change.reason)
    for name in difference.only_before:
        output.line(f"- {name}")
    for name in difference.only_after:
        output.line(f"+ {name}")
    output.line(
        f"{difference.compared} decisions compared: {len(difference.changes)} changed, "
        f"{difference.undecided} differ within the noise"
    )
