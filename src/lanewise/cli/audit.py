"""``lanewise audit``: what threads that really run at once would break in a project."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanewise.cli import audit_buys, audit_dependencies, audit_stress
from lanewise.cli.audit_report import print_report
from lanewise.cli.output import Output, print_json
from lanewise.cli.version import library_version
from lanewise.errors import AuditError, MeasureError
from lanewise.measuring.store import check_writable
from lanewise.readiness.audit import AuditOptions, AuditReport, audit_project, with_generators
from lanewise.readiness.baseline import read_baseline, write_baseline
from lanewise.readiness.buys import TaskBuys
from lanewise.readiness.dependencies import DependencyReport
from lanewise.readiness.explain import page
from lanewise.readiness.findings import LEVELS
from lanewise.readiness.outlook import TaskOutlook, steps
from lanewise.readiness.sarif import to_sarif

_TO_STDOUT = Path("-")
_BASELINE = Path("lanewise-baseline.json")


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "audit",
        help="what threads that really run at once would break in a project",
        description="Read a project's own code and name its shared state that is not safe between "
        "threads. Without --stress nothing of it is imported or run. Exit status 1 at a warning or "
        "worse.",
    )
    parser.add_argument("path", type=Path, nargs="?", default=Path(), help="default: here")
    parser.add_argument(
        "--json", type=Path, nargs="?", const=_TO_STDOUT, metavar="FILE", help="for machines"
    )
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="for code review tools")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="tell only what this file does not hold"
    )
    parser.add_argument(
        "--write-baseline",
        action="store_true",
        help=f"write what is found to the baseline (default: {_BASELINE}), and find nothing",
    )
    parser.add_argument(
        "--level", choices=LEVELS, default="info", help="the mildest that is told (default: info)"
    )
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="FT102",
        help="only this one; can be repeated",
    )
    parser.add_argument("--include-tests", action="store_true", help="audit test files too")
    parser.add_argument("--explain", metavar="FT102", help="print a rule's page and end")
    audit_dependencies.add_options(parser)
    audit_buys.add_options(parser)
    audit_stress.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Audit and tell."""
    if arguments.explain is not None:
        Output().line(page(arguments.explain.upper()).rstrip())
        return 0
    writes = arguments.write_baseline
    for file in (arguments.json, arguments.sarif, arguments.baseline if writes else None):
        if file not in (None, _TO_STDOUT):
            _check_output(file)
    options = AuditOptions(
        level=arguments.level,
        rules=tuple(rule.upper() for rule in arguments.rule),
        include_tests=arguments.include_tests,
        baseline=None if writes or not arguments.baseline else read_baseline(arguments.baseline),
    )
    if writes and (options.rules or arguments.level != "info"):
        raise AuditError(
            "--write-baseline with --rule or --level would forget what they leave out: write it "
            "without them"
        )
    audit_stress.check(arguments)
    report = audit_project(arguments.path, options)
    if arguments.python is not None and not arguments.no_imports:
        report = with_generators(report, arguments.python)
    if arguments.stress:
        report = audit_stress.proved(report, arguments)
    needed: DependencyReport | None = None
    outlooks: tuple[TaskOutlook, ...] = ()
    if audit_dependencies.are_wanted(arguments):
        needed = audit_dependencies.audited(arguments)
        outlooks = audit_dependencies.outlooks(needed, report.tasks, arguments)
    bought = audit_buys.measured(report.root, report.tasks, arguments) if arguments.buys else ()
    _tell(_Told(report, needed, outlooks, bought), arguments)
    if writes:
        baseline = arguments.baseline or _BASELINE
        write_baseline(baseline, report.findings)
        if arguments.json != _TO_STDOUT:
            Output().note(f"{len(report.findings)} findings written to {baseline}")
        return 0
    return 1 if report.found_something or (needed is not None and needed.blockers) else 0


def _check_output(file: Path) -> None:
    """``audit --json app`` takes the project for the file to write: before it is overwritten, ask.

    Raises:
        AuditError: It looks like what is to be audited, or cannot be written.
    """
    if file.is_dir() or file.suffix == ".py":
        raise AuditError(
            f"{file} looks like what is to be audited, not like a file to write. Put the path first: "
            f"lanewise audit {file} --json"
        )
    try:
        check_writable(file)
    except MeasureError as error:
        raise AuditError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Told:
    """All that was found out."""

    report: AuditReport
    needed: DependencyReport | None
    outlooks: tuple[TaskOutlook, ...]
    bought: tuple[TaskBuys, ...]

    def to_document(self) -> dict[str, Any]:
        document = self.report.to_document()
        if self.needed is not None:
            document["dependencies"] = audit_dependencies.document(self.needed)
            document["mend_first"] = [one.to_document() for one in steps(self.outlooks)]
        for row, outlook in zip(document["tasks"], self.outlooks, strict=False):
            row["free_threaded"] = outlook.to_document()
        for row, bought in zip(document["tasks"], self.bought, strict=False):
            row["buys"] = bought.as_dict()
        return document


def _tell(told: _Told, arguments: argparse.Namespace) -> None:
    if arguments.sarif is not None:
        print_json(to_sarif(told.report, library_version()), arguments.sarif)
    if arguments.json is not None:
        to_stdout = arguments.json == _TO_STDOUT
        print_json(told.to_document(), None if to_stdout else arguments.json)
        if to_stdout:
            return
    print_report(Output(), told.report, told.outlooks)
    if told.needed is not None:
        audit_dependencies.tell(Output(), told.needed)
    if told.bought:
        audit_buys.tell(Output(), told.bought, arguments.buys)
