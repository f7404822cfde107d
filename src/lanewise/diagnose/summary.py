"""What a session says, as the one document that every report is made from. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lanewise.diagnose.codec_frames import codec_of
from lanewise.diagnose.loops import (
    LoopTime,
    Stall,
    loop_times,
    outermost_of_callback,
    unseen_loops,
)
from lanewise.diagnose.places_of_code import charged, dotted, roots_of
from lanewise.diagnose.session import Frame, ProcessRecord, Session
from lanewise.diagnose.shares import (
    Spent,
    ThreadTime,
    held_share,
    series_error,
    spent,
    thread_times,
)
from lanewise.diagnose.states import Shares, no_shares
from lanewise.runtime.stalls import Roots

_Function = tuple[str, str, int]
_SILENT_LOOP = (
    "this event loop does not tell when its turns begin (uvloop, or stacks of "
    "py-spy): turns are told apart by what they run, and requests that follow each other at once may "
    "count as one"
)


@dataclass(slots=True)
class FunctionTime:
    """Where one function's time went, that of the libraries that it calls included.

    Attributes:
        frame: Its line that took most.
        shares: Seconds in each column, over the session's length; all threads together.
        errors: Standard error of each.
        total: The same, with the user's functions that it calls.
        threads: How many threads ran it.
        codec: What it spent most of that in where that is a codec (json, pickle); else empty.
    """

    frame: Frame
    shares: Shares = field(default_factory=no_shares)
    errors: Shares = field(default_factory=no_shares)
    total: Shares = field(default_factory=no_shares)
    threads: int = 0
    codec: str = ""


@dataclass(slots=True)
class CallbackTime:
    """What an event loop ran: a task's coroutine, or a callback, with all that it called.

    Attributes:
        frame: Its outermost function, at the line where it was most: where it awaits the next.
        shares: Seconds in each column, over the session's length.
    """

    frame: Frame
    shares: Shares = field(default_factory=no_shares)


@dataclass(frozen=True, slots=True)
class WaitTime:
    """One thread that waited for the lock while another held it.

    Attributes:
        waiter, holder: Positions among the record's threads; ``holder`` -1 where nobody held it at
            that moment.
        share: Of the session's length.
        frame: Where the holder was most, None where that is not known.
    """

    waiter: int
    holder: int
    share: float
    frame: Frame | None


@dataclass(frozen=True, slots=True)
class ProcessSummary:
    """Everything that is evaluated of one process."""

    record: ProcessRecord
    seconds: list[Spent]
    gil_held_share: float
    gil_held_error: float
    threads: list[ThreadTime]
    everywhere: list[FunctionTime]
    waits: list[WaitTime]
    loops: list[LoopTime]
    callbacks: list[CallbackTime]

    @property
    def looks_per_s(self) -> float:
        """How often its busiest thread really was looked at, which may be less often than asked for."""
        return max((thread.looks for thread in self.threads), default=0) / self.record.wall_s

    @property
    def weaknesses(self) -> list[str]:
        """What could not be told: for its source, and for its loops."""
        silent = [] if all(loop.tells_turns for loop in self.loops) else [_SILENT_LOOP]
        unseen = [
            f"{frame.qualname} ({frame.file}:{frame.line}) waits for events outside of asyncio: if that "
            "is a loop of its own (uvloop without asyncio.run, gevent), its lag and stalls are not seen"
            for frame in unseen_loops(self.record)
        ]
        return [*self.record.weaknesses, *silent, *unseen]

    @property
    def functions(self) -> list[FunctionTime]:
        """Those that time is charged to; ``everywhere`` has also those that only call others."""
        return [one for one in self.everywhere if one.threads]

    @property
    def stalls(self) -> list[Stall]:
        """Of all loops, in the order of time."""
        found = [stall for loop in self.loops for stall in loop.stalls]
        return sorted(found, key=lambda stall: stall.start_s)

    @property
    def lag_p99_s(self) -> float | None:
        """Of the loop that does worst; None without a loop."""
        return max((loop.lag_p99_s for loop in self.loops), default=None)


def summarise(session: Session) -> list[ProcessSummary]:
    """Evaluate a session, process by process."""
    return [summarise_process(record) for record in session.processes]


def summarise_process(record: ProcessRecord) -> ProcessSummary:
    """Evaluate one process."""
    seconds = spent(record)
    held, error = held_share(record, seconds)
    roots = roots_of(record.frames)
    return ProcessSummary(
        record=record,
        seconds=seconds,
        gil_held_share=held,
        gil_held_error=error,
        threads=thread_times(record, seconds),
        everywhere=_functions(record, seconds, roots),
        waits=_waits(record, seconds, roots),
        loops=loop_times(record),
        callbacks=_callbacks(record, seconds),
    )


def _functions(record: ProcessRecord, seconds: Sequence[Spent], roots: Roots) -> list[FunctionTime]:
    charged_to: dict[_Function, list[tuple[Spent, Frame]]] = defaultdict(list)
    total: dict[_Function, Shares] = defaultdict(no_shares)
    somewhere: dict[_Function, Frame] = {}
    codecs: dict[_Function, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    stacks = _Stacks(record, roots)
    for one in seconds:
        frame, frames, codec = stacks.find(record.looks[one.look].stack if one.look >= 0 else -1)
        if frame is not None:
            charged_to[_key(frame)].append((one, frame))
            codecs[_key(frame)][codec] += one.seconds
        for function, at in frames.items():
            total[function][one.column] += one.seconds / record.wall_s
            somewhere.setdefault(function, at)
    found = [
        _function_time(record, charged_to.get(function, []), at, total[function])
        for function, at in somewhere.items()
    ]
    for made in found:
        spent_in = codecs[_key(made.frame)]
        made.codec = max(spent_in, key=spent_in.__getitem__, default="")
    return sorted(found, key=lambda one: -sum(one.shares.values()))


def _function_time(
    record: ProcessRecord, parts: Sequence[tuple[Spent, Frame]], frame: Frame, total: Shares
) -> FunctionTime:
    lines: dict[Frame, float] = defaultdict(float)
    for one, at in parts:
        lines[at] += one.seconds
    made = FunctionTime(max(lines, key=lines.__getitem__, default=frame), total=total)
    made.threads = len({one.thread for one, _ in parts})
    for one, _ in parts:
        made.shares[one.column] += one.seconds / record.wall_s
    for column, share in made.shares.items():
        if share:
            chosen = [one for one, _ in parts if one.column == column]
            made.errors[column] = series_error(record, chosen, record.start_us, record.end_us)
    return made


def _key(frame: Frame) -> _Function:
    return frame.file, frame.qualname, frame.first_line


_OnStack = tuple[Frame | None, dict[_Function, Frame], str]


class _Stacks:
    """Of each stack the frame that it is charged to, every function on it once, and a codec on it."""

    def __init__(self, record: ProcessRecord, roots: Roots) -> None:
        self._record, self._roots = record, roots
        self._known: dict[int, _OnStack] = {-1: (None, {}, "")}

    def find(self, stack: int) -> _OnStack:
        if stack not in self._known:
            frames = [self._record.frames[at] for at in self._record.stacks[stack]]
            functions: dict[_Function, Frame] = {}
            for frame in frames:
                functions.setdefault(_key(frame), frame)
            frame_of = charged(frames, self._roots)
            codec = "" if frame_of is None else codec_of(frames, frame_of)
            self._known[stack] = frame_of, functions, codec
        return self._known[stack]


def _callbacks(record: ProcessRecord, seconds: Sequence[Spent]) -> list[CallbackTime]:
    lines: dict[_Function, dict[Frame, float]] = defaultdict(lambda: defaultdict(float))
    shares: dict[_Function, Shares] = defaultdict(no_shares)
    known: dict[int, Frame | None] = {-1: None}
    for one in seconds:
        stack = record.looks[one.look].stack if one.look >= 0 else -1
        if stack not in known:
            known[stack] = outermost_of_callback([record.frames[at] for at in record.stacks[stack]])
        frame = known[stack]
        if frame is not None:
            lines[_key(frame)][frame] += one.seconds
            shares[_key(frame)][one.column] += one.seconds / record.wall_s
    found = [
        CallbackTime(max(lines[key], key=lines[key].__getitem__), of_key)
        for key, of_key in shares.items()
    ]
    return sorted(found, key=lambda one: -sum(one.shares.values()))


def _waits(record: ProcessRecord, seconds: Sequence[Spent], roots: Roots) -> list[WaitTime]:
    places = _places_in_time(record, roots)
    shares: dict[tuple[int, int], float] = defaultdict(float)
    where: dict[tuple[int, int], dict[Frame, float]] = defaultdict(lambda: defaultdict(float))
    for one in seconds:
        if one.column != "gil_wait" or one.look < 0:
            continue
        look = record.looks[one.look]
        pair = (one.thread, look.holder)
        shares[pair] += one.seconds / record.wall_s
        frame = places.get((look.holder, look.start_us))
        if frame is not None:
            where[pair][frame] += one.seconds
    return sorted(
        (
            WaitTime(
                waiter,
                holder,
                share,
                max(where[waiter, holder], key=where[waiter, holder].__getitem__)
                if where[waiter, holder]
                else None,
            )
            for (waiter, holder), share in shares.items()
        ),
        key=lambda wait: -wait.share,
    )


def _places_in_time(record: ProcessRecord, roots: Roots) -> dict[tuple[int, int], Frame]:
    """Where each holder of the lock was at each look."""
    return {
        (look.thread, look.start_us): frame
        for look in record.looks
        if look.holds and (frame := charged(record.stack_of(look), roots)) is not None
    }


def thread_title(record: ProcessRecord, index: int) -> str:
    """What a thread is called: its name, else what it runs, else its number."""
    thread = record.threads[index]
    if thread.name:
        return thread.name
    entry = _entry_of(record, index)
    return f"thread {thread.native_id}" + (f" ({entry.qualname})" if entry else "")


def _entry_of(record: ProcessRecord, index: int) -> Frame | None:
    """The outermost function of a thread that is not threading's own."""
    for look in record.looks:
        if look.thread == index and look.stack >= 0:
            for frame in reversed(record.stack_of(look)):
                if not frame.file.endswith(("threading.py", "concurrent/futures/thread.py")):
                    return frame
    return None


def document(
    session: Session, summaries: Sequence[ProcessSummary], advice: Sequence[Any] = ()
) -> dict[str, Any]:
    """The JSON document ``lanewise.diagnosis/1``; the process that computes most is also at the top."""
    processes = [process_document(one) for one in summaries]
    first = processes[summaries.index(max(summaries, key=_computing))] if processes else {}
    return {
        "schema": "lanewise.diagnosis/1",
        "created_at": session.created_at,
        "lanewise_version": session.lanewise_version,
        "command": session.command,
        "host": session.host,
        "source": first.get("source", "none"),
        "process": first.get("process", {}),
        "threads": [thread for one in processes for thread in one["threads"]],
        "functions": [function for one in processes for function in one["functions"]],
        "waits": [wait for one in processes for wait in one["waits"]],
        "tasks": [task for one in processes for task in one["tasks"]],
        "stalls": [stall for one in processes for stall in one["stalls"]],
        "advice": list(advice),
        "notes": session.notes,
        "processes": [one["process"] for one in processes],
    }


def _computing(summary: ProcessSummary) -> float:
    return sum(thread.alive_s * (1 - _asleep(thread.shares)) for thread in summary.threads)


def _asleep(shares: Shares) -> float:
    return shares["io_sleep"] + shares["lock_wait"]


def process_document(summary: ProcessSummary) -> dict[str, Any]:
    """One process's part of the document."""
    record = summary.record
    pid = record.pid
    return {
        "source": record.source,
        "process": {
            "pid": pid,
            "command": record.command,
            "python_version": record.python_version,
            "gil_enabled": record.gil_enabled,
            "free_threaded_build": record.free_threaded_build,
            "observed_s": record.wall_s,
            "cores": record.cores,
            "switch_interval_s": record.switch_interval_s,
            "gil_held_share": summary.gil_held_share if record.gil_known else None,
            "gil_held_error": summary.gil_held_error if record.gil_known else None,
            "loop_lag_p50_s": max((loop.lag_p50_s for loop in summary.loops), default=None),
            "loop_lag_p99_s": summary.lag_p99_s,
            "loop_lag_max_s": max((loop.lag_max_s for loop in summary.loops), default=None),
            "loop_stalled_share": max((loop.stalled_share for loop in summary.loops), default=None),
            "source": record.source,
            "weaknesses": summary.weaknesses,
            "looks_per_s": summary.looks_per_s,
            "late_share": record.late_share,
            "torn_stacks": record.torn,
        },
        "threads": [
            {
                "pid": pid,
                "native_id": record.threads[one.thread].native_id,
                "name": thread_title(record, one.thread),
                "alive_s": one.alive_s,
                "looks": one.looks,
                "shares": one.shares,
                "errors": one.errors,
            }
            for one in summary.threads
        ],
        "functions": [
            {
                "pid": pid,
                "function": one.frame.qualname,
                "dotted": dotted(one.frame),
                "path": one.frame.file,
                "line": one.frame.line,
                "threads": one.threads,
                "shares": one.shares,
                "errors": one.errors,
                "total_shares": one.total,
            }
            for one in summary.functions
        ],
        "waits": [
            {
                "pid": pid,
                "waiter": thread_title(record, one.waiter),
                "holder": thread_title(record, one.holder) if one.holder >= 0 else None,
                "share": one.share,
                "function": one.frame.qualname if one.frame else None,
                "path": one.frame.file if one.frame else None,
                "line": one.frame.line if one.frame else None,
            }
            for one in summary.waits
        ],
        "tasks": [
            {
                "pid": pid,
                "name": one.frame.qualname,
                "path": one.frame.file,
                "line": one.frame.line,
                "shares": one.shares,
            }
            for one in summary.callbacks
        ],
        "stalls": [
            {
                "pid": pid,
                "start_s": one.start_s - record.start_us / 1e6,
                "duration_s": one.duration_s,
                "path": one.path,
                "line": one.line,
                "function": one.function,
                "cause": one.cause,
                "looks": one.looks,
                "stack": [f"{frame.file}:{frame.line} {frame.qualname}" for frame in one.stack],
            }
            for one in summary.stalls
        ],
    }
