"""``lanewise audit --stress``: the project's tests in threads, its findings under schedules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from lanewise.cli.arguments import checked
from lanewise.cli.audit_dependencies import project_of
from lanewise.cli.output import Output, print_wrapped
from lanewise.errors import AuditError
from lanewise.model.units import parse_duration_s
from lanewise.readiness.audit import AuditReport
from lanewise.readiness.stress import StressOptions, StressReport, prove
from lanewise.readiness.stress.judging import Verdict
from lanewise.readiness.stress.models import Model
from lanewise.readiness.stress.outcome import TestProof

_SHOWN: tuple[Verdict, ...] = (
    "code", "assumes it is alone", "fails alone", "seldom", "unclear",
)  # fmt: skip
_MOST = 20
_ASKS = ": write a factory"  # said once for all models


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the verb."""
    group = parser.add_argument_group(
        "stress", "RUNS the project: its own tests in threads, and two calls of what findings name"
    )
    group.add_argument(
        "--stress", action="store_true", help="do so, with pytest-run-parallel (lanewise[stress])"
    )
    group.add_argument(
        "--tests",
        action="append",
        default=[],
        metavar="PATH",
        help="what to give to pytest; default: what its configuration says. Can be repeated",
    )
    group.add_argument(
        "--threads", type=_number, default=4, metavar="N", help="that run one test (default: 4)"
    )
    group.add_argument(
        "--stress-budget",
        type=checked(parse_duration_s),
        default=300.0,
        metavar="TIME",
        help="for all of it (default: 5min); what is left then is told",
    )
    group.add_argument(
        "--models", type=Path, metavar="DIR", help="keep each failing schedule as a test there"
    )
    group.add_argument(
        "--factories", type=Path, metavar="FILE", help="arguments for models: FACTORIES = {...}"
    )


def _number(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= 64:  # noqa: PLR2004 - because: fewer is no company
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 2 to 64")
    return int(text)


def check(arguments: argparse.Namespace) -> None:
    """Refuse what only means something with ``--stress``.

    Raises:
        AuditError: ``--models`` and the like without it.
    """
    given = [name for name in ("tests", "models", "factories") if getattr(arguments, name)]
    if given and not arguments.stress:
        raise AuditError(f"--{given[0]} says how to run the project: give --stress as well")


def proved(report: AuditReport, arguments: argparse.Namespace) -> AuditReport:
    """Run what was read.

    Raises:
        AuditError: Something that is needed is missing, or the tests cannot be collected.
    """
    path: Path = arguments.path
    root = project_of(path) or (path if path.is_dir() else path.parent)
    tests = tuple(str(Path(one).resolve()) for one in arguments.tests)
    for one in tests:
        if not Path(one.partition("::")[0]).exists():
            raise AuditError(f"{one} does not exist: give --tests a file or folder of tests")
    options = StressOptions(
        root=root,
        python=arguments.python,
        tests=tests,
        threads=arguments.threads,
        budget_s=arguments.stress_budget,
        models=arguments.models,
        factories=arguments.factories,
    )
    tell, done = _progress()
    try:
        return prove(report, options, tell)
    finally:
        done()


def _progress() -> tuple[Callable[[str], None], Callable[[], None]]:
    """On standard error: one line that is written over in a terminal; elsewhere a line a step."""
    if not sys.stderr.isatty():
        return lambda text: print(f"stress: {text}", file=sys.stderr, flush=True), lambda: None  # noqa: T201 - because: progress goes to the terminal

    def tell(text: str) -> None:
        sys.stderr.write(f"\r\x1b[Kstress: {text[:100]}")
        sys.stderr.flush()

    return tell, lambda: print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201 - because: see above


def print_stress(output: Output, stress: StressReport) -> None:
    """Print what running showed: tests that say something, models, and what could not be run."""
    output.title(_title(stress))
    _print_reservations(output, stress)
    for verdict in _SHOWN:
        tests = [test for test in stress.tests if test.verdict == verdict]
        for test in tests[:_MOST]:
            _print_test(output, test)
        if len(tests) > _MOST:
            output.note(f"and {len(tests) - _MOST} more: {verdict}")
    for model in stress.models:
        _print_model(output, model, stress)
    if any(_ASKS in model.why for model in stress.models):
        output.note(
            "arguments can be given: FACTORIES = {'package.module.function': lambda: (args, kwargs)} "
            "in a file, and --factories FILE"
        )


def _print_reservations(output: Output, stress: StressReport) -> None:
    """What the run cannot speak of."""
    if stress.gil_came_back:
        output.warning(
            "the lock came back while tests ran: what passed proves little. What did it is named by "
            "lanewise audit --dependencies"
        )
    elif stress.facts["gil_enabled"]:
        output.note("threads took turns under the lock: a free-threaded one (--python) shows more")
    by_themselves = sum(test.alone is not None for test in stress.tests)
    if by_themselves:
        output.note(f"{by_themselves} tests were not run in several threads; --json tells why")
    for one in stress.uncollected[:_MOST]:
        output.warning(f"{one['id']} could not be collected: {one['why']}")
    if "not run" in stress.tally:
        output.warning(
            f"{stress.tally['not run']} tests were not run for want of time: give more with "
            "--stress-budget, or fewer tests with --tests"
        )


def _title(stress: StressReport) -> str:
    lock = "lock on" if stress.facts["gil_enabled"] else "lock off"
    tally = ", ".join(f"{verdict} {count}" for verdict, count in stress.tally.items())
    return f"Run on Python {stress.facts['python']} ({lock}): {tally or 'no tests were found'}"


def _print_test(output: Output, test: TestProof) -> None:
    style = "bold red" if test.is_critical else "red" if test.verdict == "code" else "dim"
    output.line(f"{test.id}", style=style)
    print_wrapped(output, test.words)
    if test.confirms:
        print_wrapped(output, f"confirms {', '.join(test.confirms)}")
    elif test.verdict == "code":
        print_wrapped(output, "no finding could be tied to it: look at what its calls share")


def _print_model(output: Output, model: Model, stress: StressReport) -> None:
    finding = model.subject.finding
    name = f"{finding.rule} {finding.object}"
    if model.status == "no model":
        why = model.why.partition(_ASKS)[0]
        print_wrapped(output, f"{name}: no model: {why}", style="dim", indent="  ")
    elif model.status == "holds":
        what = "every simple schedule" if model.complete else "those that there was time for"
        if model.at_random:
            what += f", {model.at_random} of them at random"
        print_wrapped(
            output,
            f"{name}: holds under {model.tried} schedules ({what})",
            style="dim",
            indent="  ",
        )
    else:
        if not model.is_tied:
            print_wrapped(
                output, f"{name}: something else goes wrong: {model.evidence}", indent="  "
            )
        kept = stress.written.get(finding.fingerprint)
        if kept is not None:
            path, written = kept
            words = (
                f"kept as {path}"
                if written
                else f"{path} is there with other content: left as it is"
            )
            print_wrapped(output, f"{name}: {words}", indent="  ")
