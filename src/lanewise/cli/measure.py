"""``lanewise measure``: find the inflection points of functions on this machine."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lanewise.cli.arguments import checked
from lanewise.cli.output import Output, print_json
from lanewise.cli.progress import make_progress
from lanewise.cli.tables import print_comparison, print_task
from lanewise.cli.version import library_version
from lanewise.errors import MeasureError
from lanewise.measuring.document import Run, measure_document
from lanewise.measuring.options import DEFAULT_BUDGET_S, MEASURED_LANES, MeasureOptions
from lanewise.measuring.report_page import render_report
from lanewise.measuring.session import SessionResult, measure
from lanewise.measuring.store import check_writable, write_atomically
from lanewise.model.units import parse_concurrencies, parse_duration_s, parse_sizes
from lanewise.plan.document import Plan
from lanewise.plan.write import to_toml

_DESCRIPTION = """\
Measure functions alone and on every lane, over sizes and concurrencies, and say which lane should
run which size: what each call costs, how much of it holds the GIL, where one lane or variant
overtakes another, and from which concurrency on nothing more is gained.

A function declares how to make its arguments:

  @task(inputs=lambda size: (make_rows(size),), size=lambda rows: len(rows))
  def match(rows): ...

or is given them from outside:   lanewise measure zlib:compress --inputs mymodule:make_bytes
"""

_EXAMPLES = """\
examples:
  lanewise measure app.tasks
  lanewise measure app.tasks:match --sizes 50,200,800 --budget 40s --report match.html
  lanewise measure app.tasks --plan lanewise.toml --json measured.json
  lanewise measure app.tasks:match --python python3.13t --python python3.14

Ctrl-C ends it early and keeps what was measured. Exit status: 0 fine, 1 some task could not be
measured, 2 used wrongly.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "measure",
        help="find the sizes and concurrencies at which one lane overtakes another",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="module:function, or a module")
    parser.add_argument(
        "--inputs", metavar="M:CALLABLE", help="makes the tuple of arguments for a size"
    )
    parser.add_argument(
        "--sizes", type=checked(parse_sizes), help="such as 50,200,800 or 1k,64k,1M"
    )
    parser.add_argument(
        "--concurrency",
        type=checked(parse_concurrencies),
        help="callers at once, such as 1,2,4 (default: up to twice the usable cores)",
    )
    parser.add_argument(
        "--lanes",
        default=",".join(MEASURED_LANES),
        help="which lanes take part (default: %(default)s)",
    )
    parser.add_argument("--variants", help="which variants take part, such as default,rapidfuzz")
    parser.add_argument(
        "--budget",
        type=checked(parse_duration_s),
        default=DEFAULT_BUDGET_S,
        help="time for each task, such as 40s (default: 60s)",
    )
    parser.add_argument(
        "--loop-budget",
        type=checked(parse_duration_s),
        default=0.001,
        help="a lane that delays the event loop longer is not eligible (default: 1ms)",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="EXE",
        help="measure under this interpreter too, with its own packages (repeatable)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random order of contenders")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="write or update a plan")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page to look at")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="write all figures (default: to stdout)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    options = options_of(arguments)
    for path in (arguments.plan, arguments.report, _json_path(arguments)):
        if path is not None:
            check_writable(path)
    _existing_plan(arguments.plan)  # a broken one is told now, and not after an hour
    _check_interpreters(arguments.python)
    started = time.monotonic()
    results = _measure_all(arguments, options)
    run_facts = Run(
        version=library_version(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(["lanewise", *sys.argv[1:]]),
        duration_s=round(time.monotonic() - started, 1),
        loop_budget_s=options.loop_budget_s,
    )
    document = measure_document(run_facts, results)
    if arguments.json == "-":
        print_json(document)
    else:
        _print(results)
    for path in _write(arguments, document, results):
        if arguments.json != "-":
            Output().note(f"wrote {path}")
    if document["interrupted"]:
        return 130
    return 1 if any(task.error for _, result in results for task in result.tasks) else 0


def options_of(arguments: argparse.Namespace) -> MeasureOptions:
    """Turn parsed arguments into options.

    Raises:
        MeasureError: A value is not possible.
    """
    return MeasureOptions(
        sizes=arguments.sizes,
        concurrencies=arguments.concurrency,
        lanes=tuple(_words(arguments.lanes)),  # type: ignore[arg-type]  # because: checked by the options
        variants=None if arguments.variants is None else tuple(_words(arguments.variants)),
        inputs=arguments.inputs,
        budget_s=arguments.budget,
        loop_budget_s=arguments.loop_budget,
        seed=arguments.seed,
    )


def _words(text: str) -> list[str]:
    return [word.strip().replace("-", "_") for word in text.split(",") if word.strip()]


def _json_path(arguments: argparse.Namespace) -> Path | None:
    if arguments.json in (None, "-"):
        return None
    if ":" in arguments.json and not arguments.json.endswith(".json"):
        raise MeasureError(
            f"--json {arguments.json!r} looks like a target: put targets first, or write --json FILE"
        )
    return Path(arguments.json)


def _existing_plan(path: Path | None) -> str | None:
    """The present plan, read before anything is measured: a broken one is told at once."""
    if path is None or not path.exists() or not path.read_bytes().strip():
        return None
    Plan.load(path)
    return path.read_text(encoding="utf-8")


def _check_interpreters(names: list[str]) -> None:
    """Find every interpreter before the first is measured, not after."""
    for name in names:
        if shutil.which(name) is None:
            raise MeasureError(
                f"--python {name} cannot be started: there is no such executable. Give the path of a "
                "CPython 3.11 or later, or a name on PATH"
            )


def _measure_all(
    arguments: argparse.Namespace, options: MeasureOptions
) -> list[tuple[str, SessionResult]]:
    results: list[tuple[str, SessionResult]] = []
    for python in [None, *arguments.python]:
        with make_progress(quiet=arguments.quiet) as progress:
            result = measure(arguments.targets, options, python=python, progress=progress)
        results.append((python or sys.executable, result))
        if result.interrupted:
            break
    return results


def _print(results: list[tuple[str, SessionResult]]) -> None:
    output = Output()
    _, first = results[0]
    for task in first.tasks:
        print_task(output, task, first.host)
    if len(results) > 1:
        print_comparison(output, results)
    if any(result.interrupted for _, result in results):
        output.note("stopped early: what is shown was measured before that")


def _write(
    arguments: argparse.Namespace,
    document: dict[str, Any],
    results: list[tuple[str, SessionResult]],
) -> list[Path]:
    """Write what was asked for and return what was written."""
    written: list[Path] = []
    path = _json_path(arguments)
    if path is not None:
        print_json(document, path)
        written.append(path)
    if arguments.report is not None:
        write_atomically(arguments.report, render_report(document))
        written.append(arguments.report)
    # A task that was interrupted before its lanes were loaded must not replace what is known of it.
    loaded = {made.name for made in results[0][1].tasks if made.lanes}
    plans = [plan for plan in results[0][1].plans if plan.name in loaded]
    if arguments.plan is not None and plans:
        # Read again: somebody may have edited it while the measurement ran.
        text = to_toml(Plan({plan.name: plan for plan in plans}), _existing_plan(arguments.plan))
        write_atomically(arguments.plan, text)
        written.append(arguments.plan)
    return written
