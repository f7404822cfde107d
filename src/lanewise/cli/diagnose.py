"""``lanewise diagnose``: what the GIL costs a running program, where, and what each way out would buy."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lanewise.cli.arguments import checked
from lanewise.cli.diagnose_report import (
    print_captured,
    print_changes,
    print_session,
    print_verdicts,
)
from lanewise.cli.output import Output, print_json
from lanewise.cli.version import library_version
from lanewise.diagnose.advice import Advice, advise_all
from lanewise.diagnose.attach import SOURCES
from lanewise.diagnose.captured import (
    DEFAULT_LIMIT_BYTES,
    Captured,
    CaptureOptions,
    collect,
    environment,
    verified_by,
)
from lanewise.diagnose.compare import compare_sessions
from lanewise.diagnose.exports import firefox, speedscope
from lanewise.diagnose.gate import Verdict, check, parse_condition
from lanewise.diagnose.observe import (
    DEFAULT_DURATION_S,
    DEFAULT_RATE_HZ,
    ObserveOptions,
    observe_command,
    observe_running,
)
from lanewise.diagnose.page import render_page
from lanewise.diagnose.session import Session
from lanewise.diagnose.summary import ProcessSummary, document, summarise
from lanewise.errors import DiagnoseError
from lanewise.measuring.store import check_writable, write_atomically
from lanewise.model.units import parse_duration_s

_DESCRIPTION = """\
Look at a running Python program from outside and say where its threads' time goes: computing with
the GIL or without it, waiting for the GIL, for a core, for a lock, or for something else; what
stalls its event loop; and what each way out would buy. The program is not changed or stopped, and
nothing runs inside it.
"""
_EXAMPLES = """\
examples:
  lanewise diagnose --pid 4711 --duration 30s
  lanewise diagnose --follow -- gunicorn -w 4 app:app
  lanewise diagnose --session before.json -- python app.py
  lanewise diagnose -m app --fail-on 'loop_lag_p99_ms>20' --fail-on 'gil_held:app.views.export>0.1'
  lanewise diagnose show before.json --json
  lanewise diagnose diff before.json after.json

Ctrl-C ends it early and reports what was seen. Exit status: 0 fine, 1 a --fail-on condition held, 2
used wrongly, or the program failed by itself.
"""
_MOST_RATE_HZ = 2000.0
_WRONG = 2


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "diagnose",
        help="what the GIL costs a running program, where, and what would help",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pid", type=int, help="a process that runs")
    parser.add_argument(
        "-m", dest="module", metavar="MODULE", help="run a module, as python -m does"
    )
    parser.add_argument(
        "--duration",
        type=checked(parse_duration_s),
        help=f"how long (default: {DEFAULT_DURATION_S:g}s with --pid, else until the program ends)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=DEFAULT_RATE_HZ,
        metavar="HZ",
        help="looks a second, at most (default: %(default)g)",
    )
    parser.add_argument("--follow", action="store_true", help="look at child processes too")
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="auto",
        help="where to look (default: the best that works)",
    )
    parser.add_argument("--session", type=Path, metavar="FILE", help="keep what was recorded")
    _add_capture(parser)
    _add_reports(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="a program to start, after --")
    parser.set_defaults(run=run)


def _add_capture(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "arguments of real calls",
        "for `lanewise measure`, of a program that is started for it; this runs code inside the "
        "program, which everything else here does not",
    )
    group.add_argument(
        "--capture",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="keep the arguments of some calls of it; may be repeated",
    )
    group.add_argument(
        "--capture-to",
        type=Path,
        default=Path("lanewise-captured"),
        metavar="FOLDER",
        help="where to (default: %(default)s)",
    )
    group.add_argument(
        "--capture-limit",
        type=int,
        default=DEFAULT_LIMIT_BYTES,
        metavar="BYTES",
        help="calls with larger arguments are not kept (default: %(default)s)",
    )
    group.add_argument(
        "--capture-secrets",
        action="store_true",
        help="keep also what looks like a password, a token or a key, by its name or its form",
    )


def _add_reports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="for machines, to standard output or FILE",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="an HTML page")
    parser.add_argument("--speedscope", type=Path, metavar="FILE", help="for speedscope")
    parser.add_argument("--firefox", type=Path, metavar="FILE", help="for the Firefox Profiler")
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        type=checked(parse_condition),
        metavar="CONDITION",
        help="exit status 1 when it holds; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look, or report what was seen before."""
    if arguments.command[:1] in (["show"], ["diff"]):
        return _later(arguments.command[0], arguments.command[1:], arguments)
    _check(arguments)
    capture = _capture(arguments)
    session, failed = _observe(arguments, capture)
    if arguments.session is not None:
        session.save(arguments.session)
    status = _report(arguments, session, [] if capture is None else collect(capture))
    # What a program did that fell over says nothing of what it does: no gate passes on that.
    return _WRONG if failed else status


def _capture(arguments: argparse.Namespace) -> CaptureOptions | None:
    if not arguments.capture:
        return None
    if arguments.pid is not None:
        raise DiagnoseError(
            "--capture runs code inside the program, which --pid never does: start the program "
            "with lanewise diagnose --capture ... -- COMMAND"
        )
    return CaptureOptions(
        tuple(arguments.capture),
        arguments.capture_to,
        arguments.capture_limit,
        arguments.capture_secrets,
    )


def _check(arguments: argparse.Namespace) -> None:
    if not 0 < arguments.rate <= _MOST_RATE_HZ:
        raise DiagnoseError(
            f"--rate {arguments.rate:g} must lie above 0 and at most at {_MOST_RATE_HZ:g}"
        )
    files = (arguments.session, arguments.report, arguments.speedscope, arguments.firefox)
    for path in (*files, _json_path(arguments)):
        if path is not None:
            check_writable(path)


def _json_path(arguments: argparse.Namespace) -> Path | None:
    return None if arguments.json in (None, "-") else Path(arguments.json)


def _command(arguments: argparse.Namespace) -> list[str]:
    command = list(arguments.command)
    if command[:1] == ["--"]:
        command = command[1:]
    if arguments.module is not None:
        return [sys.executable, "-m", arguments.module, *command]
    return command


def _observe(arguments: argparse.Namespace, capture: CaptureOptions | None) -> tuple[Session, bool]:
    """The session, and whether the program failed by itself."""
    command = _command(arguments)
    if (arguments.pid is None) == (not command):
        raise DiagnoseError(
            "give either --pid NUMBER or a program: lanewise diagnose -- python app.py"
        )
    duration_s = arguments.duration
    if duration_s is None and arguments.pid is not None:
        duration_s = DEFAULT_DURATION_S
    options = ObserveOptions(
        duration_s,
        arguments.rate,
        arguments.follow,
        arguments.source,
        quiet=arguments.json == "-",
    )
    stop = _Interrupted()
    with stop:
        if arguments.pid is not None:
            return observe_running(arguments.pid, options, library_version(), stop), False
        surroundings = None if capture is None else environment(capture)
        session, status = observe_command(command, options, library_version(), stop, surroundings)
        return session, bool(status)


class _Interrupted:
    """Turns Ctrl-C and SIGTERM into the end of looking: what was seen is reported."""

    def __init__(self) -> None:
        self._seen = False

    def __call__(self) -> bool:
        return self._seen

    def __enter__(self) -> None:
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        if self._seen:
            raise KeyboardInterrupt
        self._seen = True


def _later(verb: str, words: list[str], before: argparse.Namespace) -> int:
    """``show`` and ``diff``: what follows them are files and the options of reports."""
    parser = argparse.ArgumentParser(prog=f"lanewise diagnose {verb}")
    _add_reports(parser)
    files = ("before", "after") if verb == "diff" else ("session",)
    for name in files:
        parser.add_argument(name, type=Path)
    # Options may stand in front of the verb too.
    arguments = parser.parse_args(words, argparse.Namespace(**{**vars(before), "session": None}))
    _check(argparse.Namespace(**{**vars(arguments), "session": None}))
    return (
        _diff(arguments) if verb == "diff" else _report(arguments, Session.load(arguments.session))
    )


def _diff(arguments: argparse.Namespace) -> int:
    before, after = (summarise(Session.load(file)) for file in (arguments.before, arguments.after))
    changes = compare_sessions(before, after)
    verdicts = check(arguments.fail_on, after)
    if arguments.json is not None:
        print_json({"changes": [asdict(one) for one in changes]}, _json_path(arguments))
    if arguments.json != "-":
        output = Output()
        print_changes(output, changes)
        if verdicts:
            print_verdicts(output, verdicts)
    return 1 if any(verdict.failed for verdict in verdicts) else 0


def _report(
    arguments: argparse.Namespace, session: Session, captured: Sequence[Captured] = ()
) -> int:
    summaries = summarise(session)
    advice = [verified_by(one, captured) for one in advise_all(summaries)]
    verdicts = check(arguments.fail_on, summaries)
    found = _Found(session, summaries, advice, verdicts, captured)
    _write(arguments, found)
    _print(arguments, found)
    return 1 if any(verdict.failed for verdict in verdicts) else 0


@dataclass(frozen=True, slots=True)
class _Found:
    session: Session
    summaries: list[ProcessSummary]
    advice: list[Advice]
    verdicts: list[Verdict]
    captured: Sequence[Captured]


def _write(arguments: argparse.Namespace, found: _Found) -> None:
    session, summaries, advice = found.session, found.summaries, found.advice
    if arguments.report is not None:
        write_atomically(arguments.report, render_page(session, summaries, advice))
    if arguments.speedscope is not None:
        print_json(speedscope(session, summaries), arguments.speedscope)
    if arguments.firefox is not None:
        print_json(firefox(session, summaries), arguments.firefox)


def _print(arguments: argparse.Namespace, found: _Found) -> None:
    session, summaries, advice = found.session, found.summaries, found.advice
    if arguments.json is not None:
        made = document(session, summaries, [one.as_dict() for one in advice])
        made["gate"] = [
            {
                "condition": one.condition.text,
                "value": one.value,
                "failed": one.failed,
                **({"unseen": one.unseen} if one.unseen else {}),
            }
            for one in found.verdicts
        ]
        made["captured"] = [asdict(one) for one in found.captured]
        print_json(made, _json_path(arguments))
    if arguments.json != "-":
        output = Output()
        print_session(output, session, summaries, advice)
        if found.verdicts:
            print_verdicts(output, found.verdicts)
        print_captured(output, found.captured)
