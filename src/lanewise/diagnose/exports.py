"""The session in formats that other viewers read: speedscope and the Firefox Profiler. Pure.

What a thread did is not only a stack: the column goes along as the innermost frame, ``[waiting for
    the GIL]``, and for
Firefox as the category, which it colours by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lanewise.diagnose.session import Frame, ProcessRecord, Session
from lanewise.diagnose.states import COLUMNS, MEANING, Column, Look
from lanewise.diagnose.summary import ProcessSummary, thread_title

_SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
# The Gecko profile format of Firefox 101 and later; newer viewers read older versions.
_GECKO_VERSION = 24
_CATEGORY_COLOURS: dict[Column, str] = {
    "python_gil": "orange",
    "native_gil": "red",
    "native_free": "green",
    "gil_wait": "purple",
    "run_queue": "grey",
    "lock_wait": "blue",
    "io_sleep": "lightblue",
}


def speedscope(session: Session, summaries: list[ProcessSummary]) -> dict[str, Any]:
    """Return the document of speedscope: one sampled profile a thread."""
    frames: list[dict[str, Any]] = []
    numbers: dict[Frame | str, int] = {}

    def number(frame: Frame | str) -> int:
        if frame not in numbers:
            numbers[frame] = len(frames)
            if isinstance(frame, str):
                frames.append({"name": frame})
            else:
                frames.append({"name": frame.qualname, "file": frame.file, "line": frame.line})
        return numbers[frame]

    profiles = []
    for summary in summaries:
        record = summary.record
        for index in range(len(record.threads)):
            samples, weights = [], []
            for look, column, seconds in _parts(summary, index):
                stack = [number(frame) for frame in reversed(record.stack_of(look))]
                samples.append([*stack, number(f"[{MEANING[column]}]")])
                weights.append(seconds)
            profiles.append(
                {
                    "type": "sampled",
                    "name": f"{record.pid} {thread_title(record, index)}",
                    "unit": "seconds",
                    "startValue": 0,
                    "endValue": sum(weights),
                    "samples": samples,
                    "weights": weights,
                }
            )
    return {
        "$schema": _SPEEDSCOPE_SCHEMA,
        "exporter": f"lanewise@{session.lanewise_version}",
        "name": " ".join(session.command),
        "shared": {"frames": frames},
        "profiles": profiles,
    }


def _parts(summary: ProcessSummary, thread: int) -> Iterator[tuple[Look, Column, float]]:
    """A thread's looks in the order of time, each column of one apart."""
    mine = [one for one in summary.seconds if one.thread == thread and one.look >= 0]
    for one in sorted(mine, key=lambda part: summary.record.looks[part.look].start_us):
        yield summary.record.looks[one.look], one.column, one.seconds


def firefox(session: Session, summaries: list[ProcessSummary]) -> dict[str, Any]:
    """Return a Gecko profile: one thread each, stalls as markers, columns as categories."""
    return {
        "meta": {
            "version": _GECKO_VERSION,
            "product": "lanewise",
            "interval": 1000 / session.rate_hz,
            "startTime": 0,
            "shutdownTime": None,
            "processType": 0,
            "stackwalk": 1,
            "debug": 0,
            "gcpoison": 0,
            "asyncstack": 1,
            "categories": [
                {
                    "name": MEANING[column],
                    "color": _CATEGORY_COLOURS[column],
                    "subcategories": ["Other"],
                }
                for column in COLUMNS
            ],
            "markerSchema": [],
        },
        "libs": [],
        "pausedRanges": [],
        "processes": [],
        "threads": [
            _gecko_thread(summary, index)
            for summary in summaries
            for index in range(len(summary.record.threads))
        ],
    }


class _GeckoTables:
    """The tables of one thread: strings, frames, stacks. Each row once."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.frames: list[list[Any]] = []
        self.stacks: list[list[int | None]] = []
        self._strings: dict[str, int] = {}
        self._frames: dict[tuple[str, int, int], int] = {}
        self._stacks: dict[tuple[int | None, int], int] = {}

    def string(self, text: str) -> int:
        if text not in self._strings:
            self._strings[text] = len(self.strings)
            self.strings.append(text)
        return self._strings[text]

    def stack(self, stack: list[Frame], category: int) -> int | None:
        prefix: int | None = None
        for frame in reversed(stack):
            key = (f"{frame.qualname} ({frame.file}:{frame.first_line})", frame.line, category)
            if key not in self._frames:
                self._frames[key] = len(self.frames)
                self.frames.append(
                    [self.string(key[0]), False, None, None, frame.line, None, category, 0]
                )
            at = (prefix, self._frames[key])
            if at not in self._stacks:
                self._stacks[at] = len(self.stacks)
                self.stacks.append([at[0], at[1]])
            prefix = self._stacks[at]
        return prefix


def _gecko_thread(summary: ProcessSummary, index: int) -> dict[str, Any]:
    record = summary.record
    tables = _GeckoTables()
    samples = [
        [tables.stack(list(record.stack_of(look)), COLUMNS.index(column)), look.start_us / 1000, 0]
        for look, column, _ in _parts(summary, index)
    ]
    markers = [
        [
            tables.string("stall"),
            stall.start_s * 1000,
            (stall.start_s + stall.duration_s) * 1000,
            1,
            0,
            {"type": "Text", "name": f"{stall.cause}: {stall.function} {stall.path}:{stall.line}"},
        ]
        for stall in summary.stalls
        if stall.thread == index
    ]
    return {
        "name": thread_title(record, index),
        "processType": "default",
        "processName": record.command[:80],
        "pid": record.pid,
        "tid": record.threads[index].native_id,
        "registerTime": record.threads[index].first_us / 1000,
        "unregisterTime": _end_ms(record, index),
        "samples": {"schema": {"stack": 0, "time": 1, "eventDelay": 2}, "data": samples},
        "stackTable": {"schema": {"prefix": 0, "frame": 1}, "data": tables.stacks},
        "frameTable": {
            "schema": {
                "location": 0, "relevantForJS": 1, "innerWindowID": 2, "implementation": 3, "line": 4,
                "column": 5, "category": 6, "subcategory": 7,
            },
            "data": tables.frames,
        },
        "markers": {
            "schema": {
                "name": 0, "startTime": 1, "endTime": 2, "phase": 3, "category": 4, "data": 5,
            },
            "data": markers,
        },
        "stringTable": tables.strings,
    }  # fmt: skip


def _end_ms(record: ProcessRecord, index: int) -> float | None:
    ended = record.threads[index].last_us < record.end_us
    return record.threads[index].last_us / 1000 if ended else None
