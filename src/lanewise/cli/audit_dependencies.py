"""``lanewise audit --dependencies``: what a project needs, and what that needs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lanewise.cli.output import Output
from lanewise.readiness.dependencies import (
    DependencyReport,
    GilProbeResult,
    audit_dependencies,
    probe_gil,
    render_text,
)
from lanewise.readiness.outlook import TaskOutlook, task_outlooks
from lanewise.readiness.task_verdicts import TaskVerdict


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the verb."""
    group = parser.add_argument_group(
        "dependencies", "what is installed: wheels, declared slots, and what brings the lock back"
    )
    group.add_argument(
        "--dependencies",
        action="store_true",
        help="audit them too: those of PATH's pyproject.toml and theirs, or all that is installed",
    )
    group.add_argument(
        "--python",
        metavar="PYTHON",
        help="of this interpreter; a free-threaded one is asked what really brings the lock back. With "
        "--stress: the one that runs the project's code",
    )
    group.add_argument(
        "--extra", action="append", default=[], metavar="NAME", help="of the project; repeatable"
    )
    group.add_argument(
        "--no-imports",
        action="store_true",
        help="import nothing, also on a free-threaded interpreter",
    )
    group.add_argument(
        "--interpreters",
        action="store_true",
        help="also what isolated interpreters may import",
    )
    group.add_argument(
        "--index", action="store_true", help="also ask pip's index for free-threaded wheels"
    )


def are_wanted(arguments: argparse.Namespace) -> bool:
    """Whether anything was said of them."""
    return bool(
        arguments.dependencies
        or (arguments.python and not arguments.stress)
        or arguments.extra
        or arguments.interpreters
        or arguments.index
    )


def audited(arguments: argparse.Namespace) -> DependencyReport:
    """Audit them.

    Raises:
        AuditError: What was named cannot be read or asked.
    """
    return audit_dependencies(
        project=project_of(arguments.path),
        extras=arguments.extra,
        python=arguments.python,
        import_modules=not arguments.no_imports,
        interpreters=arguments.interpreters,
        ask_index=arguments.index,
    )


def outlooks(
    report: DependencyReport, tasks: Sequence[TaskVerdict], arguments: argparse.Namespace
) -> tuple[TaskOutlook, ...]:
    """What that means for each task. A free-threaded interpreter is asked what its very imports do."""
    seen: dict[tuple[str, ...], GilProbeResult] = {}
    if report.interpreter.free_threaded and not arguments.no_imports:
        for imports in {task.imports for task in tasks}:
            seen[imports] = probe_gil(report.interpreter, imports)
    return task_outlooks(tasks, report, seen)


def tell(output: Output, report: DependencyReport) -> None:
    """Print them for people."""
    output.line("")
    for line in render_text(report).splitlines():
        output.line(line)


def document(report: DependencyReport) -> dict[str, Any]:
    """For machines."""
    return report.as_dict()


def project_of(path: Path) -> Path | None:
    """The folder of the nearest pyproject.toml, from the path upwards; None where there is none."""
    start = path.resolve()
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder
    return None
