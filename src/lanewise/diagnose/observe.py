"""One session: start or find the program, look at it and its children for a while, keep what was seen."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lanewise.diagnose.attach import SourceName
from lanewise.diagnose.capacity import Surroundings
from lanewise.diagnose.family import Family
from lanewise.diagnose.left_out import LeftOut
from lanewise.diagnose.open_files import many_open_files
from lanewise.diagnose.recorder import Recorder
from lanewise.diagnose.session import ProcessRecord, Session
from lanewise.diagnose.target import StartedProgram
from lanewise.errors import DiagnoseError
from lanewise.host.facts import host_facts

DEFAULT_RATE_HZ = 200.0
DEFAULT_DURATION_S = 10.0
# A program that was just started is no interpreter yet.
_START_PATIENCE_S = 15.0
_START_RETRY_S = 0.02
_TOO_LATE_SHARE = 0.2
_LEAST_KNOWN_SHARE = 0.1
_MUCH_QUEUED = 0.2
_NO_VIEW = (
    "the sampler shared the only core with this program and others, so what ran is divided by guess "
    "among holding the GIL and not holding it"
)


@dataclass(frozen=True, slots=True)
class ObserveOptions:
    """How to look.

    Attributes:
        duration_s: For how long; None until the program ends.
        rate_hz: Looks a second, at most.
        follow: Look at the children too, those that come later included.
        source: Which way of looking; the best by default.
        quiet: What a program that is started writes to standard output goes to standard error.
    """

    duration_s: float | None = DEFAULT_DURATION_S
    rate_hz: float = DEFAULT_RATE_HZ
    follow: bool = False
    source: SourceName = "auto"
    quiet: bool = False


def _never() -> bool:
    return False


def _lacks_a_view(record: ProcessRecord) -> bool:
    """Whether it is hardly ever known if a thread ran or waited for a core, and it did both."""
    runnable = [look for look in record.looks if look.runnable]
    known = sum(look.on_core >= 0 for look in runnable)
    queued = sum(thread.queued_ns for thread in record.threads)
    ran = sum(thread.run_ns for thread in record.threads)
    few = known < _LEAST_KNOWN_SHARE * len(runnable)
    return few and queued > _MUCH_QUEUED * (queued + ran)


def observe_running(
    pid: int, options: ObserveOptions, version: str, stop: Callable[[], bool] = _never
) -> Session:
    """Look at a process that runs.

    Raises:
        DiagnoseError: It cannot be looked at; the message says why.
    """
    family = Family(pid, options.follow, options.source, time.monotonic_ns())
    if (problem := family.add(pid)) and not (options.follow and family.current()):
        raise DiagnoseError(problem)
    return _observe(family, ["--pid", str(pid)], options, version, stop)


def observe_command(
    command: Sequence[str],
    options: ObserveOptions,
    version: str,
    stop: Callable[[], bool] = _never,
    environment: Mapping[str, str] | None = None,
) -> tuple[Session, int | None]:
    """Start a program, look at it until it ends or the time is over, and end it and its children.

    Args:
        command: What to start.
        options: How to look.
        version: Of lanewise, for the session.
        stop: Asked before each look.
        environment: The program's; this one's by default.

    Returns:
        The session, and the program's exit status; None where it did not end by itself.

    Raises:
        DiagnoseError: It cannot be started or looked at.
    """
    program = StartedProgram(command, environment, quiet=options.quiet)
    try:
        family = Family(program.pid, options.follow, options.source, time.monotonic_ns())
        _wait_for_python(family, program, command, stop)
        session = _observe(family, list(command), options, version, stop)
        if not family.lookers:
            raise DiagnoseError(
                family.problems.get(program.pid, f"{command[0]} ran no Python that lived for long")
            )
    finally:
        status = program.stop()
    # Ctrl-C reaches the program too.
    if program.was_stopped or stop():
        return session, None
    if status:
        session.notes.append(
            f"the program failed by itself, with {_status_in_words(status)}: what is told is of the "
            "time before"
        )
    return session, status


def _status_in_words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def _wait_for_python(
    family: Family, program: StartedProgram, command: Sequence[str], stop: Callable[[], bool]
) -> None:
    """Until the program can be looked at, or is one whose children are and that takes its time."""
    give_up_s = time.monotonic() + _START_PATIENCE_S
    while (problem := family.add(program.pid)) and not stop():
        if family.follow and family.current():
            return
        if program.exit_status is not None:
            raise DiagnoseError(
                f"{command[0]} ended with status {program.exit_status} before it could be looked "
                "at: run it without "
                "lanewise first"
            )
        if time.monotonic() > give_up_s:
            if family.follow:
                return
            raise DiagnoseError(problem)
        time.sleep(_START_RETRY_S)


def _observe(
    family: Family,
    command: list[str],
    options: ObserveOptions,
    version: str,
    stop: Callable[[], bool],
) -> Session:
    recorder = Recorder(options.rate_hz, family.began_ns)
    family.at_rest = recorder.at_rest
    left_out = LeftOut(family.root)
    surroundings = Surroundings(family.root)

    def over() -> bool:
        return stop() or family.over()

    with many_open_files():
        try:
            recorder.run(family.current, over, options.duration_s)
        finally:
            now_us = recorder.now_us()
            for looker in family.lookers:
                looker.finish(now_us)
    surroundings.note([looker.record for looker in family.lookers])
    for looker in family.lookers:
        looker.record.late_share = recorder.late_share
        if _lacks_a_view(looker.record):
            looker.record.weaknesses.append(_NO_VIEW)
    return Session(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lanewise_version=version,
        command=command,
        host=host_facts().as_dict(),
        rate_hz=options.rate_hz,
        processes=[looker.record for looker in family.lookers],
        notes=[*_notes(family, recorder), *left_out.notes(followed=family.follow)],
    )


def _notes(family: Family, recorder: Recorder) -> Iterator[str]:
    for pid, why in family.problems.items():
        yield f"process {pid} was left out: {why}"
    for pid in {looker.record.pid: None for looker in family.lookers if looker.replaced}:
        yield f"process {pid} became another program (exec): what each did is told apart"
    if recorder.late_share > _TOO_LATE_SHARE and not recorder.real_time:
        yield (
            f"{recorder.late_share:.0%} of the looks came late, for the sampler lacked a core: "
            "what ran is divided less "
            "surely. Run as root (it then asks for real-time priority), or leave a core free"
        )
