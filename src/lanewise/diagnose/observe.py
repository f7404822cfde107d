"""One session: start or find the program, look at it and its children for a while, keep what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lanewise.diagnose.attach import SourceName, attach
from lanewise.diagnose.capacity import Surroundings
from lanewise.diagnose.looker import Looker
from lanewise.diagnose.recorder import Recorder
from lanewise.diagnose.session import ProcessRecord, Session
from lanewise.diagnose.target import StartedProgram, descendants, exists
from lanewise.errors import DiagnoseError
from lanewise.host.facts import host_facts

DEFAULT_RATE_HZ = 200.0
DEFAULT_DURATION_S = 10.0
# A program that was just started is no interpreter yet.
_START_PATIENCE_S = 15.0
_START_RETRY_S = 0.02
_CHILDREN_EVERY_S = 0.25
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
    """

    duration_s: float | None = DEFAULT_DURATION_S
    rate_hz: float = DEFAULT_RATE_HZ
    follow: bool = False
    source: SourceName = "auto"


@dataclass(slots=True)
class _Family:
    """The processes that are looked at. Owned by the observing thread."""

    root: int
    options: ObserveOptions
    began_ns: int
    lookers: list[Looker] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)
    next_check_s: float = 0.0

    def current(self) -> Sequence[Looker]:
        """Everybody, new children included."""
        if self.options.follow and time.monotonic() >= self.next_check_s:
            self.next_check_s = time.monotonic() + _CHILDREN_EVERY_S
            known = {looker.record.pid for looker in self.lookers}
            for pid in descendants(self.root):
                if pid not in known:
                    self.add(pid)
        return self.lookers

    def add(self, pid: int) -> bool:
        """Begin to look at a process; False where that is not possible (yet)."""
        try:
            self.lookers.append(attach(pid, self.began_ns, self.options.source))
        except (DiagnoseError, OSError) as error:
            self.problems[pid] = str(error)
            return False
        self.problems.pop(pid, None)
        return True


def _lacks_a_view(record: ProcessRecord) -> bool:
    """Whether it is hardly ever known if a thread ran or waited for a core, and it did both."""
    runnable = [look for look in record.looks if look.runnable]
    known = sum(look.on_core >= 0 for look in runnable)
    queued = sum(thread.queued_ns for thread in record.threads)
    ran = sum(thread.run_ns for thread in record.threads)
    few = known < _LEAST_KNOWN_SHARE * len(runnable)
    return few and queued > _MUCH_QUEUED * (queued + ran)


def observe_running(
    pid: int, options: ObserveOptions, version: str, stop: Callable[[], bool] = lambda: False
) -> Session:
    """Look at a process that runs.

    Raises:
        DiagnoseError: It cannot be looked at; the message says why.
    """
    family = _Family(pid, options, time.monotonic_ns())
    if not family.add(pid) and not (options.follow and family.current()):
        raise DiagnoseError(family.problems[pid])
    return _observe(family, ["--pid", str(pid)], options.duration_s, version, stop)


def observe_command(
    command: Sequence[str],
    options: ObserveOptions,
    version: str,
    stop: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
) -> tuple[Session, int]:
    """Start a program, look at it until it ends or the time is over, and end it.

    Args:
        command: What to start.
        options: How to look.
        version: Of lanewise, for the session.
        stop: Asked before each look.
        environment: The program's; this one's by default.

    Returns:
        The session, and the program's exit status.

    Raises:
        DiagnoseError: It cannot be started or looked at.
    """
    program = StartedProgram(command, environment)
    try:
        family = _Family(program.pid, options, time.monotonic_ns())
        _wait_for_python(family, program, command)
        session = _observe(family, list(command), options.duration_s, version, stop)
    finally:
        status = program.stop()
    return session, status


def _wait_for_python(family: _Family, program: StartedProgram, command: Sequence[str]) -> None:
    give_up_s = time.monotonic() + _START_PATIENCE_S
    while not family.add(program.pid):
        if family.options.follow and family.current():
            return
        if program.exit_status is not None:
            raise DiagnoseError(
                f"{command[0]} ended with status {program.exit_status} before it could be looked "
                "at: run it without "
                "lanewise first"
            )
        if time.monotonic() > give_up_s:
            raise DiagnoseError(family.problems[program.pid])
        time.sleep(_START_RETRY_S)


def _observe(
    family: _Family,
    command: list[str],
    duration_s: float | None,
    version: str,
    stop: Callable[[], bool],
) -> Session:
    recorder = Recorder(family.options.rate_hz, family.began_ns)
    surroundings = Surroundings(family.root)

    def over() -> bool:
        return stop() or not (exists(family.root) or family.options.follow)

    try:
        recorder.run(family.current, over, duration_s)
    finally:
        now_us = recorder.now_us()
        for looker in family.lookers:
            looker.finish(now_us)
    surroundings.note([looker.record for looker in family.lookers])
    for looker in family.lookers:
        looker.record.late_share = recorder.late_share
        if _lacks_a_view(looker.record):
            looker.record.weaknesses.append(_NO_VIEW)
    session = Session(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        lanewise_version=version,
        command=command,
        host=host_facts().as_dict(),
        rate_hz=family.options.rate_hz,
        processes=[looker.record for looker in family.lookers],
    )
    session.notes += [f"process {pid} was left out: {why}" for pid, why in family.problems.items()]
    if recorder.late_share > _TOO_LATE_SHARE and not recorder.real_time:
        session.notes.append(
            f"{recorder.late_share:.0%} of the looks came late, for the sampler lacked a core: "
            "what ran is divided less "
            "surely. Run as root (it then asks for real-time priority), or leave a core free"
        )
    return session
