"""A diagnosis for people: tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from lanewise.cli.output import Output
from lanewise.diagnose.advice import Advice
from lanewise.diagnose.captured import Captured
from lanewise.diagnose.compare import Change
from lanewise.diagnose.gate import Verdict
from lanewise.diagnose.session import Frame, Session
from lanewise.diagnose.states import COLUMNS, Shares, no_shares
from lanewise.diagnose.summary import ProcessSummary, thread_title
from lanewise.model.units import format_seconds

_MOST_ROWS = 12
_MOST_STALLS = 8
_LEAST_SHARE = 0.002
# Between two columns of a table.
_PADDING = 2
_NAME_LETTERS = 20
_FILE_LETTERS = 18
_HEADINGS = ("python", "native", "native", "GIL", "run", "lock", "I/O,")
_SECOND = ("+GIL", "+GIL", "free", "wait", "queue", "wait", "sleep")


def print_session(
    output: Output, session: Session, summaries: Sequence[ProcessSummary], advice: Sequence[Advice]
) -> None:
    """Print a whole diagnosis: threads, functions, who waits for whom, stalls, advice."""
    for summary in summaries:
        _print_process(output, summary)
    for note in session.notes:
        output.warning(note)
    output.title("advice")
    for one in advice:
        print_advice(output, one)


def _print_process(output: Output, summary: ProcessSummary) -> None:
    record = summary.record
    output.title(f"process {record.pid}: {record.command[:90]}")
    build = " (free-threaded)" if record.free_threaded_build else ""
    output.note(
        f"Python {record.python_version}{build}, {record.cores} cores, looked at for "
        f"{record.wall_s:.1f} s, {summary.looks_per_s:.0f} times a second; "
        f"source: {record.source}"
    )
    for weakness in summary.weaknesses:
        output.note(f"weakness: {weakness}")
    lock = f"GIL held {summary.gil_held_share:.1%} ± {summary.gil_held_error:.1%} of the time"
    if not record.gil_known:
        lock = "how long the GIL is held could not be seen"
    elif not record.gil_enabled:
        lock = "the GIL is off"
    output.line(f"  {lock}{_lag(summary)}")
    _print_threads(output, summary)
    _print_functions(output, summary)
    _print_callbacks(output, summary)
    _print_waits(output, summary)
    _print_stalls(output, summary)


def _lag(summary: ProcessSummary) -> str:
    if not summary.loops:
        return ""
    worst = max(summary.loops, key=lambda loop: loop.lag_p99_s)
    return (
        f"; event loop lag p99 {format_seconds(worst.lag_p99_s)}, max "
        f"{format_seconds(worst.lag_max_s)}, "
        f"stalled {worst.stalled_share:.1%}"
    )


def _columns(first: str) -> list[tuple[str, str]]:
    heads = [f"{one}\n{two}" for one, two in zip(_HEADINGS, _SECOND, strict=True)]
    return [(first, "left"), *((head, "right") for head in heads)]


def _shares_table(output: Output, first: str, rows: Sequence[tuple[str, Shares, Shares]]) -> None:
    """Print names with their shares; without standard errors where the terminal is too narrow.

    A figure that is cut off says nothing, and the errors are in the JSON as well.
    """
    cells = [[name, *_cells(shares, errors)] for name, shares, errors in rows]
    columns = [max(len(row[at]) for row in cells) for at in range(len(COLUMNS) + 1)]
    heads = (len(first), *map(len, _HEADINGS))
    needed = sum(max(pair) + _PADDING for pair in zip(columns, heads, strict=True))
    if needed > output.console.width:
        cells = [[name, *_cells(shares, no_shares())] for name, shares, _ in rows]
    output.table(_columns(first), cells)


def _cells(shares: Shares, errors: Shares) -> list[str]:
    return [
        f"{shares[column]:.1%}" + (f" ±{100 * errors[column]:.1f}" if errors[column] else "")
        if shares[column] >= _LEAST_SHARE
        else "·"
        for column in COLUMNS
    ]


def _print_threads(output: Output, summary: ProcessSummary) -> None:
    output.title("threads: where each one's time went (± standard error)")
    order = sorted(
        summary.threads, key=lambda one: one.shares["io_sleep"] + one.shares["lock_wait"]
    )
    rows = [
        (thread_title(summary.record, one.thread)[:34], one.shares, one.errors)
        for one in order[:_MOST_ROWS]
    ]
    if rows:
        _shares_table(output, "thread", rows)
    if len(order) > _MOST_ROWS:
        output.note(f"and {len(order) - _MOST_ROWS} more, which did less")


def _print_functions(output: Output, summary: ProcessSummary) -> None:
    busy = sorted(
        summary.functions,
        key=lambda one: (
            -(sum(one.shares.values()) - one.shares["io_sleep"] - one.shares["lock_wait"])
        ),
    )
    rows = [
        (_place(one.frame), one.shares, one.errors)
        for one in busy[:_MOST_ROWS]
        if sum(one.shares.values()) >= _LEAST_SHARE
    ]
    if rows:
        output.title(
            "functions: yours, with the libraries that they call; all threads, of the wall time"
        )
        _shares_table(output, "function", rows)


def _print_callbacks(output: Output, summary: ProcessSummary) -> None:
    found = [one for one in summary.callbacks if sum(one.shares.values()) >= _LEAST_SHARE]
    if found:
        output.title("what the event loop ran: coroutines at their await line, of the wall time")
        none = no_shares()
        _shares_table(
            output, "task", [(_place(one.frame), one.shares, none) for one in found[:_MOST_ROWS]]
        )


def _place(frame: Frame) -> str:
    name, file = frame.qualname, PurePath(frame.file).name
    short = name if len(name) <= _NAME_LETTERS else f"…{name[1 - _NAME_LETTERS :]}"
    return f"{short} {file[-_FILE_LETTERS:]}:{frame.line}"


def _print_waits(output: Output, summary: ProcessSummary) -> None:
    waits = [one for one in summary.waits if one.share >= _LEAST_SHARE][:_MOST_ROWS]
    if not waits:
        return
    output.title("who makes whom wait for the GIL")
    record = summary.record
    rows = [
        [
            thread_title(record, one.waiter)[:34],
            f"{one.share:.1%}",
            thread_title(record, one.holder)[:34] if one.holder >= 0 else "nobody (handing over)",
            _place(one.frame) if one.frame else "",
        ]
        for one in waits
    ]
    output.table([("waits", "left"), ("share", "right"), ("behind", "left"), ("in", "left")], rows)


def _print_stalls(output: Output, summary: ProcessSummary) -> None:
    stalls = sorted(summary.stalls, key=lambda stall: -stall.duration_s)
    if not stalls:
        return
    output.title(f"event loop stalls: {len(stalls)}, the longest")
    began_s = summary.record.start_us / 1e6
    for stall in stalls[:_MOST_STALLS]:
        where = f"{stall.path}:{stall.line} {stall.function}" if stall.path else "no line of yours"
        output.line(
            f"  at {stall.start_s - began_s:7.2f} s for {format_seconds(stall.duration_s)}: {where} "
            f"({stall.cause})"
        )


def print_advice(output: Output, advice: Advice) -> None:
    """Print one advice with what it rests on."""
    gain = "" if advice.predicted_gain is None else f", throughput × {advice.predicted_gain:.2f}"
    lag = (
        ""
        if advice.predicted_loop_lag_p99_s is None or advice.strategy in {"stay", "unclear"}
        else f", loop lag p99 → {format_seconds(advice.predicted_loop_lag_p99_s)}"
    )
    about = advice.function or "the program"
    output.line(f"  {about}: {advice.strategy}{gain}{lag}")
    output.line(f"    {advice.reason}")
    if advice.strategy not in {"stay", "unclear"}:
        output.note(f"  assumed: {advice.assumption}")
    output.note(f"  verify: {advice.verify}")


def print_captured(output: Output, captured: Sequence[Captured]) -> None:
    """Print of which calls the arguments were kept, and why not of others."""
    if captured:
        output.title("arguments of real calls")
    for one in captured:
        kept = f"{len(one.sizes)} kept" if one.sizes else "none kept"
        output.line(f"  {one.target}: {kept}")
        if not one.sizes and not one.unfit:
            output.note(
                "  no call of it was seen: is it MODULE:FUNCTION as the program imports it?"
            )
        for reason in one.unfit:
            output.note(f"  a call was left out, for {reason}")
        if one.verify:
            output.note(f"  measure with them: {one.verify}")


def print_verdicts(output: Output, verdicts: Sequence[Verdict]) -> None:
    """Print what each condition of the gate was compared with."""
    output.title("gate")
    for verdict in verdicts:
        seen = "nothing to compare" if verdict.value is None else f"is {verdict.value:.4g}"
        seen = verdict.unseen or seen
        words = "FAILED" if verdict.failed else "ok"
        output.line(f"  {words}: {verdict.condition.text}: {seen}")


def print_changes(output: Output, changes: Sequence[Change]) -> None:
    """Print what differs between two sessions."""
    output.title("before → after (± standard error of the difference)")
    rows = [
        [
            one.what[-70:],
            _figure(one.before),
            _figure(one.after),
            f"±{one.error:.3f}" if one.error else "",
            one.sense,
        ]
        for one in changes
    ]
    output.table(
        [("what", "left"), ("before", "right"), ("after", "right"), ("", "right"), ("", "left")],
        rows,
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
