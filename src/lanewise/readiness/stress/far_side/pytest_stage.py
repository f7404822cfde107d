"""A collected test suite, of which tests are run as they are asked for, each round in a fork.

A fork starts as the suite stands after its collection, so a cache that the first round has filled
is empty again in the second, and a crash costs one round. pytest-run-parallel makes the threads;
what is asked for says whether they are used, what is serialised, and where delays are put.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import inspect
import json
import os
import re
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Callable, Mapping
from types import CodeType
from typing import IO, Any

import pytest
from _pytest.runner import runtestprotocol

from .delays import Delays
from .forks import in_fork
from .notes import Notes
from .one_at_a_time import OneAtATime
from .steps import codes_below, is_below

_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_LONGEST = 300
# Plugins that would run the tests otherwise than they are asked for.
_OTHERS = ("freethreaded", "randomly", "threadpool", "rerunfailures", "cacheprovider")
_SWITCHED_OFF = (("xdist", "-n0"), ("pytest_cov", "--no-cov"))


def serve(options: Mapping[str, Any], questions: IO[str], answers: IO[str]) -> None:
    """Collect, then answer until there are no more questions."""
    arguments = [
        *(word for name in _OTHERS for word in ("-p", f"no:{name}")),
        *(flag for module, flag in _SWITCHED_OFF if importlib.util.find_spec(module)),
        f"--parallel-threads={options['threads']}",
        f"--iterations={options['iterations']}",
        "--ignore-gil-enabled",
        "-q",
        *options["arguments"],
    ]
    stage = _Stage(options, questions, answers)
    status = pytest.main(arguments, plugins=[stage])
    if not stage.ready:
        stage.say({"error": f"pytest ended before it had collected: exit status {int(status)}"})


class _Stage:
    """The plugin that takes the place of pytest's own loop over the tests."""

    def __init__(self, options: Mapping[str, Any], questions: IO[str], answers: IO[str]) -> None:
        self.ready = False
        self._root: str = options["root"].rstrip("/") + "/"
        self._watched = {(file, line): name for file, line, name in options["watched"]}
        self._questions = questions
        self._answers = answers
        self._originals: dict[str, Any] = {}
        self._wrapped: dict[str, Any] = {}
        self._items: dict[str, Any] = {}
        self._why: dict[str, str] = {}
        self._uncollected: list[dict[str, str]] = []
        self._caught: list[dict[str, Any]] = []
        self._test_files: set[str] = set()

    def say(self, answer: Mapping[str, Any]) -> None:
        """Send one answer."""
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def pytest_collectreport(self, report: Any) -> None:
        """Keep what cannot be collected."""
        if report.failed:
            text = str(report.longrepr).strip().splitlines() or [""]
            self._uncollected.append({"id": report.nodeid, "why": text[-1][:_LONGEST]})

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the tests as they are before they are made parallel."""
        for item in items:
            test = getattr(item, "obj", None)
            self._originals[item.nodeid] = test
            if inspect.iscoroutinefunction(inspect.unwrap(test) if callable(test) else test):
                # Called in threads it would only make coroutines that nobody awaits, and pass.
                item.add_marker(pytest.mark.thread_unsafe(reason="is a coroutine"))
                item.add_marker(pytest.mark.iterations(1))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        """Answer."""
        self.ready = True
        plugin = session.config.pluginmanager.get_plugin("_run-parallel")
        self._why = dict(getattr(plugin, "thread_unsafe", {}))
        for item in session.items:
            self._items[item.nodeid] = item
            self._wrapped[item.nodeid] = getattr(item, "obj", None)
            self._test_files.add(str(item.path))
        self.say(
            {
                "tests": [self._described(nodeid) for nodeid in self._items],
                "uncollected": self._uncollected,
                "python": sys.version.split()[0],
                "gil_enabled": _gil_enabled(),
                "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            }
        )
        for line in self._questions:
            try:
                self.say(self._answered(json.loads(line)))
            except Exception as error:  # noqa: BLE001 - because: one question's trouble is that question's
                self.say({"error": traceback.format_exception_only(error)[-1].strip()})
        return True

    def _described(self, nodeid: str) -> dict[str, Any]:
        unsafe = nodeid in self._why
        return {"id": nodeid, "alone": (self._why[nodeid] or "is unsafe") if unsafe else None}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Keep what was raised, and where."""
        yield
        del item
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            self._catch(call.excinfo.value)

    def _catch(self, error: BaseException) -> None:
        lines = traceback.format_exception_only(error)[-1].strip().splitlines() or [""]
        frames = traceback.extract_tb(error.__traceback__)
        places = [[f.filename, f.lineno, f.name] for f in frames if self._is_ours(f.filename)]
        self._caught.append({"error": lines[0][:_LONGEST], "places": places})

    def _is_ours(self, file: str | None) -> bool:
        return file is not None and is_below(file, (self._root,))

    # --- one round --------------------------------------------------------------------------------

    def _answered(self, question: Mapping[str, Any]) -> dict[str, Any]:
        item = self._items[question["test"]]
        timeout_s = float(question["timeout_s"])
        with tempfile.TemporaryFile() as stacks:
            found = in_fork(lambda: self._round(item, question, stacks, timeout_s), timeout_s)
            if "status" in found:
                return found
            stacks.seek(0)
            text = stacks.read().decode(errors="replace")
        return self._ended(found, text)

    def _ended(self, found: Mapping[str, Any], text: str) -> dict[str, Any]:
        status = "hung" if "hung" in found else "crashed"
        if status == "crashed":  # the thread that did it comes first, or is named so
            text = text[max(text.find("Current thread"), 0) :].split("\n\n", maxsplit=1)[0]
        places = [[file, int(line), name] for file, line, name in _FRAME.findall(text)]
        ours = [place for place in reversed(places) if self._is_ours(place[0])]
        return {"status": status, "places": ours, "error": "", **found}

    def _round(
        self, item: Any, question: Mapping[str, Any], stacks: IO[bytes], timeout_s: float
    ) -> dict[str, Any]:
        faulthandler.enable(file=stacks)
        # A little before the end: what everybody waits for is to be read then.
        faulthandler.dump_traceback_later(timeout_s * 0.9, file=stacks)
        together = question["mode"] == "together"
        item.obj = (self._wrapped if together else self._originals)[item.nodeid]
        notes, guard = self._prepare(question)
        sys.setswitchinterval(1e-6)
        reports: list[Any] = []
        times, broken = 0, False
        while times < question["repeats"] and not broken:
            times += 1
            try:
                reports += runtestprotocol(item, nextitem=None, log=False)
            except Exception as error:  # noqa: BLE001 - because: of a test that has taken stdout away, say
                self._catch(error)
                broken = True
            broken = broken or any(report.failed for report in reports)
        sys.setprofile(None)
        sys.settrace(None)
        skipped = any(report.skipped for report in reports)
        return {
            "status": "failed" if broken else "skipped" if skipped else "passed",
            "times": times,
            **(self._caught[0] if self._caught else {"error": "", "places": []}),
            "called": list(notes.called) if notes else [],
            "arguments": notes.arguments if notes else {},
            "own_threads": bool(notes and notes.threads),
            "breaches": len(guard.breaches) if guard else 0,
            "gil_enabled": _gil_enabled(),
        }

    def _prepare(self, question: Mapping[str, Any]) -> tuple[Notes | None, OneAtATime | None]:
        if question["delays"]:
            files = {file for file, _ in self._watched}
            Delays(codes_below([self._root], wanted=lambda c: c.co_filename in files)).install()
        if question["note"]:
            notes = Notes(self._watched)
            notes.install()
            return notes, None
        if question["guard"] is None:
            return None, None
        guard = OneAtATime(self._guarded(question["guard"]), self._is_test)
        guard.install()
        return None, guard

    def _guarded(self, which: Any) -> Callable[[CodeType], bool]:
        if which == "all":
            return lambda code: self._is_ours(code.co_filename) and not self._is_test(code)
        places = {(file, line) for file, line in which}
        return lambda code: (code.co_filename, code.co_firstlineno) in places

    def _is_test(self, code: CodeType) -> bool:
        file = code.co_filename
        return file in self._test_files or os.path.basename(file) == "conftest.py"  # noqa: PTH119 - because: a string, millions of times


def _gil_enabled() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())
