"""The command line when it is stopped, has one core, or is asked for another verb."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import troubled
from command_line import (
    FAR_SIDE,
    FINE,
    FOUND,
    INTERRUPTED,
    WRONG,
    lanewise,
    lanewise_process,
    told,
)

from lanewise.host.facts import gil_enabled

# --- one core, Ctrl-C, kill -----------------------------------------------------------------------


@pytest.mark.skipif(not gil_enabled(), reason="without the lock its share is known to be none")
def test_on_one_core_the_held_share_is_missing_with_its_reason_and_the_rest_works():
    core = min(os.sched_getaffinity(0))
    run = lanewise_process(
        *("measure", "troubled:healthy", "--sizes", "100", "--concurrency", "1"),
        *("--budget", "8s", "--json"),  # enough for each lane, where others want that core as well
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    assert run.returncode == FINE, told(run)
    document = json.loads(run.stdout)
    (task,) = document["tasks"]
    assert document["host"]["usable_cores"] == 1
    assert document["host"]["gil_sampler"]["available"] is False
    assert "one usable core" in document["host"]["gil_sampler"]["reason"]
    assert {cost["gil_held_share"] for cost in task["costs"]} == {None}
    assert all(cost["wall_s"] > 0 for cost in task["costs"])
    assert task["lanes"]
    assert task["routes"]


@dataclass
class Running:
    """A measurement that has begun to load its lanes."""

    process: subprocess.Popen[str]
    mark: str

    def left(self):
        """Processes that the measurement started and that do not end by themselves."""
        left = {}
        for pid in processes_marked(self.mark):
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                left[os.pidfd_open(pid)] = pid
        try:
            deadline = time.monotonic() + 30
            running = set(left)
            while running and time.monotonic() < deadline:
                ended, _, _ = select.select(running, [], [], deadline - time.monotonic())
                running -= set(ended)
            return [Path(f"/proc/{left[handle]}/cmdline").read_text() for handle in running]
        finally:
            for handle in left:
                os.close(handle)


def processes_marked(mark):
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found


@contextlib.contextmanager
def loading(out):
    mark, address = f"lanewise-test-{uuid.uuid4()}", str(out.parent / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(8)
        listener.settimeout(60)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lanewise", "measure", "troubled:tells_when_loaded"),
                *("--sizes", "100,1000", "--concurrency", "1", "--budget", "60s", "--json", out),
            ],
            cwd=FAR_SIDE,
            env={**os.environ, "LANEWISE_TEST_MARK": mark, troubled.SOCKET_VARIABLE: address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A test run in the background of a shell inherits an ignored SIGINT, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - because: a call that takes no lock
        )
        try:
            listener.accept()[0].close()
            yield Running(process, mark)
        finally:
            for pid in processes_marked(mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.communicate()


def test_ctrl_c_ends_it_early_keeps_what_was_measured_and_leaves_no_process(tmp_path):
    out = tmp_path / "out.json"
    with loading(out) as running:
        running.process.send_signal(signal.SIGINT)
        _, errors = running.process.communicate(timeout=60)
        assert running.process.returncode == INTERRUPTED, errors
        assert running.left() == []
    document = json.loads(out.read_text())
    (task,) = document["tasks"]
    assert document["interrupted"] is True
    assert sizes_in(task) == [100, 1000]
    assert "Traceback" not in errors


def sizes_in(task):
    return sorted({cost["size"] for cost in task["costs"]})


def test_a_measurement_that_is_terminated_leaves_no_process(tmp_path):
    with loading(tmp_path / "out.json") as running:
        running.process.terminate()
        running.process.communicate(timeout=60)
        assert running.left() == []


# --- the other verbs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb",
    [[], ["measure"], ["plan"], ["plan", "show"], ["plan", "check"], ["plan", "diff"], ["doctor"]],
)
def test_every_verb_explains_itself(verb):
    run = lanewise(*verb, "--help")
    assert run.returncode == FINE
    assert told(run).startswith("usage: lanewise")


def test_doctor_tells_what_this_machine_allows():
    run = lanewise("doctor", "--json")
    found = json.loads(run.stdout)
    assert found["lanes"].keys() >= {"event_loop", "thread", "process", "interpreter"}
    assert run.returncode == (FINE if found["gil_sampler"] is None else FOUND)
    assert "interpreter" in told(lanewise("doctor"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "VERB"),
        (["meassure"], "meassure"),
        (["plan"], "ACTION"),
        (["plan", "show", "missing.toml"], "lanewise measure"),
        (["plan", "diff", "missing.toml", "missing.toml"], "cannot be read"),
        (["plan", "check", "missing.toml"], "cannot be read"),
        (["plan", "check", "--budget", "5parsec"], "not a duration"),
        (["measure"], "TARGET"),
    ],
)
def test_wrong_use_is_told_in_words(arguments, words):
    run = lanewise(*arguments)
    message = told(run)
    assert run.returncode == WRONG
    assert words in message


def test_plan_show_of_a_plan_without_tasks_says_how_to_fill_it(tmp_path):
    plan = tmp_path / "lanewise.toml"
    plan.write_text("schema = 1\n")
    run = lanewise("plan", "show", plan)
    assert run.returncode == WRONG
    assert "None" not in told(run)
    assert "lanewise measure" in told(run)
