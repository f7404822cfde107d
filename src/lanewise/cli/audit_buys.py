"""``lanewise audit --buys PYTHON``: what another interpreter buys each task."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from lanewise.cli.arguments import checked
from lanewise.cli.output import Output
from lanewise.cli.progress import make_progress
from lanewise.errors import AuditError, MeasureError
from lanewise.model.units import parse_duration_s
from lanewise.readiness.buys import BuysOptions, TaskBuys, render_buys, what_it_buys
from lanewise.readiness.project import import_folder
from lanewise.readiness.task_verdicts import TaskVerdict

_BUDGET_S = 30.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the verb."""
    group = parser.add_argument_group(
        "what it buys", "tasks with inputs, measured under this interpreter and another; runs them"
    )
    group.add_argument(
        "--buys",
        metavar="PYTHON",
        help="measure each task on each lane under this interpreter and PYTHON, a free-threaded one",
    )
    group.add_argument(
        "--buys-budget",
        type=checked(parse_duration_s),
        default=_BUDGET_S,
        metavar="TIME",
        help="for each task, such as 1m (default: 30s)",
    )


def measured(
    root: Path, tasks: Sequence[TaskVerdict], arguments: argparse.Namespace
) -> tuple[TaskBuys, ...]:
    """Measure every task that can be; the others come back with the reason.

    Raises:
        AuditError: The interpreter cannot be started.
    """
    if shutil.which(arguments.buys) is None:
        raise AuditError(
            f"--buys {arguments.buys} cannot be started: there is no such executable. Give the path "
            "of a free-threaded CPython, or a name on PATH"
        )
    found: list[TaskBuys] = []
    for task in tasks:
        why = _why_not(task)
        if why is not None:
            found.append(TaskBuys(task.task, error=why))
            continue
        assert task.target is not None
        folder = import_folder(root, task.place.rpartition(":")[0], task.target.partition(":")[0])
        options = BuysOptions(
            arguments.buys, budget_s=arguments.buys_budget, search_path=(str(folder),)
        )
        try:
            with make_progress(quiet=False) as progress:
                found += what_it_buys([task.target], options, progress=progress)
        except MeasureError as error:
            raise AuditError(str(error)) from error
    return tuple(found)


def tell(output: Output, tasks: Sequence[TaskBuys], python: str) -> None:
    """Print them for people."""
    output.title(f"What {python} buys ({len(tasks)})")
    for line in render_buys(tasks).splitlines():
        output.line(line)


def _why_not(task: TaskVerdict) -> str | None:
    if task.target is None:
        return "it is defined inside a function, where nothing can import it from"
    if not task.has_inputs:
        return "it declares no inputs: @task(inputs=lambda size: (argument, ...))"
    return None
