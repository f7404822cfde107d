"""An audit's findings as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from lanewise.cli.audit_stress import print_stress
from lanewise.cli.output import Output, print_wrapped
from lanewise.readiness.audit import AuditReport
from lanewise.readiness.findings import LEVELS, Finding, Level
from lanewise.readiness.outlook import TaskOutlook, steps
from lanewise.readiness.rules import rule_of
from lanewise.readiness.stress import StressReport
from lanewise.readiness.task_verdicts import TaskVerdict, order_of_work

_STYLES: dict[Level, str] = {
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "info": "dim",
}
_MOST_PLACES = 5


def print_report(output: Output, report: AuditReport, outlooks: Sequence[TaskOutlook] = ()) -> None:
    """Print findings, the worst first, those of one rule together; then tasks and the tally."""
    order = sorted(
        report.findings, key=lambda f: (LEVELS.index(f.level), f.rule, f.path, f.line, f.object)
    )
    for (level, rule), group in groupby(order, key=lambda f: (f.level, f.rule)):
        findings = list(group)
        output.title(f"{rule} {level}: {rule_of(rule).title} ({len(findings)})")
        for finding in findings:
            _print_finding(output, finding)
        _print_fixes(output, findings)
    _print_tasks(output, report, outlooks)
    if isinstance(report.stress, StressReport):
        print_stress(output, report.stress)
    _print_tally(output, report)


def _print_tasks(output: Output, report: AuditReport, outlooks: Sequence[TaskOutlook]) -> None:
    """What it means for each task, and what to mend first."""
    if not report.tasks:
        return
    output.title(f"Tasks ({len(report.tasks)})")
    for at, task in enumerate(report.tasks):
        style = "yellow" if task.obstacles else None
        output.line(f"{task.place}  {task.task}", style=style)
        if outlooks:
            _print_outlook(output, outlooks[at])
        else:
            _print_task(output, task)
    if outlooks:
        _print_steps(output, [(one.what, one.tasks) for one in steps(outlooks)])
    else:
        work = order_of_work(report.tasks)
        _print_steps(output, [(f"{o.rule} {o.object} at {o.place}", n) for o, n in work])


def _print_task(output: Output, task: TaskVerdict) -> None:
    allowed = [lane for lane, why in task.lanes.items() if not why]
    today = f"today: {', '.join(allowed)}"
    if task.imports and "interpreter" in allowed:
        today += f" (if {', '.join(task.imports)} may be imported there: --interpreters)"
    print_wrapped(output, today)
    later = f"without the lock: {task.without_the_lock}"
    if task.obstacles:
        objects = ", ".join(f"{one.object} ({one.rule})" for one in task.obstacles)
        later += f", until this is safe: {objects}"
    print_wrapped(output, later)


def _print_outlook(output: Output, outlook: TaskOutlook) -> None:
    """With what its dependencies say."""
    today = [lane for lane, why in outlook.task.lanes.items() if not why]
    print_wrapped(output, f"today: {', '.join(today)}")
    print_wrapped(output, f"without the lock: {outlook.recommended}")
    for lane in ("thread", "interpreter"):
        why = outlook.lanes[lane]
        if why and why != outlook.task.lanes[lane]:
            print_wrapped(output, f"{lane}: {why}")
    if outlook.open_questions:
        names = ", ".join(one.distribution for one in outlook.open_questions)
        print_wrapped(output, f"not known to leave the lock off: {names}", style="dim")
    if outlook.missing:
        names = ", ".join(outlook.missing)
        print_wrapped(output, f"not installed for that interpreter: {names}", style="yellow")


def _print_steps(output: Output, work: Sequence[tuple[str, int]]) -> None:
    if work:
        output.line("mend first:")
    for what, tasks in work[:_MOST_PLACES]:
        count = f"{tasks} task{'s' if tasks > 1 else ''}"
        print_wrapped(output, f"{what}: {count}")


def _print_finding(output: Output, finding: Finding) -> None:
    output.line(f"{finding.place}  {finding.object}", style=_STYLES[finding.level])
    print_wrapped(output, finding.message)
    for one in finding.confirmed:
        print_wrapped(output, f"confirmed by {one.name}: {one.evidence}", style="bold")
    if finding.reachable_from is not None:
        print_wrapped(output, f"reached from {finding.reachable_from}", style="dim")
    if finding.also:
        places = ", ".join(str(place) for place in finding.also[:_MOST_PLACES])
        more = len(finding.also) - _MOST_PLACES
        text = f"also {places}" + (f" and {more} more" if more > 0 else "")
        print_wrapped(output, text, style="dim")


def _print_fixes(output: Output, findings: list[Finding]) -> None:
    for fix in dict.fromkeys(finding.fix for finding in findings):
        print_wrapped(output, f"fix: {fix}", indent="  ")


def _print_tally(output: Output, report: AuditReport) -> None:
    found = ", ".join(f"{count} {level}" for level, count in report.tally.items() if count)
    output.line(
        f"\n{report.files} files, {report.lines:,} lines: {found or 'nothing found'}", style="bold"
    )
    if report.suppressed:
        output.note(f"{report.suppressed} places are suppressed by comments, with their reasons")
    if report.known:
        output.note(f"{report.known} findings are in the baseline and not told")
    if report.findings:
        rule = next((f.rule for f in report.findings if f.rule > "FT099"), report.findings[0].rule)
        output.note(f"why, and when it is no problem: lanewise audit --explain {rule}")
