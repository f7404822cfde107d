"""`lanewise diagnose` on real programs, by every source that this machine and interpreter have.

What is compared is known from how the programs are made. A busy machine can spoil a recording, so
one that disagrees is repeated, twice at most.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lanewise.cli.main import main
from lanewise.diagnose.py_spy import find_py_spy
from lanewise.host.facts import gil_enabled

PROGRAMS = Path(__file__).parent / "far_side" / "diagnose_targets.py"
PUBLISHED = sys.version_info >= (3, 13)
ATTEMPTS = 3

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other processes are read through /proc"),
    pytest.mark.skipif(not gil_enabled(), reason="there is no lock to look at"),
]
stacks = pytest.mark.skipif(
    not PUBLISHED and find_py_spy() is None, reason="stacks of this version need py-spy"
)


def diagnosed(tmp_path, name, *options, seconds=20, duration="1.5s"):
    """Run the command on a program that is started for it; the JSON document and the exit status."""
    path = tmp_path / f"{name}.json"
    program = [sys.executable, str(PROGRAMS), name, str(seconds)]
    status = main(
        ["diagnose", "--json", str(path), "--duration", duration, *options, "--", *program]
    )
    return json.loads(path.read_text()), status


def until(agrees, make):
    """Repeat a recording until it agrees; the last one, whatever it says."""
    for _ in range(ATTEMPTS):
        found = make()
        if agrees(found):
            break
    return found


def held(shares):
    return shares["python_gil"] + shares["native_gil"]


def busiest(document):
    return min(
        document["threads"], key=lambda one: one["shares"]["io_sleep"] + one["shares"]["lock_wait"]
    )


def test_a_call_that_sleeps_with_the_lock_holds_it(tmp_path):
    def make():
        return diagnosed(tmp_path, "half", duration="2.4s")[0]

    def agrees(found):
        return abs(found["process"]["gil_held_share"] - 0.5) < 0.1

    found = until(agrees, make)
    assert agrees(found), found["process"]
    shares = next(one["shares"] for one in found["threads"] if held(one["shares"]) > 0.1)
    assert shares["io_sleep"] == pytest.approx(0.5, abs=0.1)


def test_threads_of_bytecode_wait_for_each_other(tmp_path):
    def make():
        return diagnosed(tmp_path, "bytecode")[0]

    def agrees(found):
        workers = [one["shares"] for one in found["threads"] if one["shares"]["gil_wait"] > 0.05]
        return len(workers) == 2 and all(
            held(one) + one["gil_wait"] + one["run_queue"] > 0.8 for one in workers
        )

    found = until(agrees, make)
    assert agrees(found), found["threads"]
    assert found["waits"]


def test_the_columns_of_every_thread_add_up(tmp_path):
    found, status = diagnosed(tmp_path, "bytecode", duration="1s")
    assert status == 0
    for one in found["threads"]:
        assert sum(one["shares"].values()) == pytest.approx(1.0)


@pytest.mark.skipif(not PUBLISHED, reason="needs published offsets")
def test_native_code_with_the_lock_is_told_from_bytecode(tmp_path):
    def agrees(pair):
        native, python = (busiest(one)["shares"] for one in pair)
        return (
            native["native_gil"] > 4 * native["python_gil"]
            and python["python_gil"] > 4 * python["native_gil"]
        )

    def make():
        return diagnosed(tmp_path, "encode")[0], diagnosed(tmp_path, "bytecode")[0]

    found = until(agrees, make)
    assert agrees(found), [one["threads"] for one in found]


@stacks
def test_a_blocked_loop_is_found_with_its_line(tmp_path):
    def make():
        return diagnosed(tmp_path, "loop", duration="2s")[0]

    def agrees(found):
        named = [one for one in found["stalls"] if one["function"] == "blocking_handler"]
        return len(named) >= 4 and 0.35 < found["process"]["loop_stalled_share"] < 0.65

    found = until(agrees, make)
    assert agrees(found), found["stalls"]
    stall = max(found["stalls"], key=lambda one: one["duration_s"])
    assert "time.sleep" in Path(stall["path"]).read_text().splitlines()[stall["line"] - 1]
    assert stall["cause"].startswith("blocking call")


@pytest.mark.skipif(not PUBLISHED, reason="py-spy reads whole stacks, and says nothing of turns")
def test_a_loop_is_found_below_a_deep_stack(tmp_path):
    """A handler that calls itself six hundred times stands on its loop all the same."""

    def make():
        return diagnosed(tmp_path, "deep", duration="2s")[0]

    def agrees(found):
        return (found["process"]["loop_stalled_share"] or 0.0) > 0.35

    found = until(agrees, make)
    assert agrees(found), found["process"]
    stall = max(found["stalls"], key=lambda one: one["duration_s"])
    assert stall["function"] == "blocking_handler"
    assert stall["duration_s"] < 0.4


@stacks
def test_a_condition_that_holds_gives_exit_status_1(tmp_path):
    def make():
        return diagnosed(tmp_path, "loop", "--fail-on", "loop_lag_p99_ms>20", duration="2s")

    found, status = until(lambda made: made[1] == 1, make)
    assert status == 1
    assert found["gate"] == [
        {"condition": "loop_lag_p99_ms>20", "value": found["gate"][0]["value"], "failed": True}
    ]


@stacks
def test_functions_are_named_with_their_file(tmp_path):
    def make():
        return {one["function"]: one for one in diagnosed(tmp_path, "bytecode")[0]["functions"]}

    def agrees(functions):
        return "bytecode" in functions and held(functions["bytecode"]["shares"]) > 0.1

    functions = until(agrees, make)
    assert Path(functions["bytecode"]["path"]) == PROGRAMS
    assert held(functions["bytecode"]["shares"]) > 0.1


def test_a_session_can_be_shown_and_compared_later(tmp_path, capsys):
    saved = tmp_path / "session.json"
    report = tmp_path / "page.html"
    diagnosed(tmp_path, "encode", "--session", str(saved), "--report", str(report), duration="1s")
    assert report.read_text().startswith("<!doctype html>")
    assert main(["diagnose", "show", str(saved)]) == 0
    assert "GIL held" in capsys.readouterr().out
    assert main(["diagnose", "show", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "lanewise.diagnosis/1"
    assert main(["diagnose", "show", str(saved), "--fail-on", "gil_held>=0"]) == 1
    capsys.readouterr()
    assert main(["diagnose", "diff", str(saved), str(saved)]) == 0
    assert "same" in capsys.readouterr().out


def test_children_are_followed(tmp_path):
    def make():
        return diagnosed(tmp_path, "parent", "--follow", duration="3s")[0]["processes"]

    def agrees(processes):
        return len(processes) == 2 and (processes[1]["gil_held_share"] or 0) > 0.5

    processes = until(agrees, make)
    assert agrees(processes), processes


def test_a_running_process_is_left_as_it_was(tmp_path):
    program = subprocess.Popen(
        [sys.executable, str(PROGRAMS), "bytecode", "600"], stdout=subprocess.PIPE, text=True
    )
    with program:
        try:
            assert program.stdout.readline() == "begun\n"
            for _ in range(5):
                path = tmp_path / "pid.json"
                status = main(
                    [
                        "diagnose",
                        "--pid",
                        str(program.pid),
                        "--duration",
                        "0.2s",
                        "--json",
                        str(path),
                    ]
                )
                assert status == 0
                assert json.loads(path.read_text())["process"]["pid"] == program.pid
            assert program.poll() is None
        finally:
            program.kill()


def test_a_program_that_is_no_python_is_refused_in_words(capsys):
    with subprocess.Popen([shutil.which("sleep"), "60"]) as program:
        try:
            status = main(["diagnose", "--pid", str(program.pid), "--duration", "1s"])
        finally:
            program.kill()
    assert status == 2
    assert "not a Python interpreter" in capsys.readouterr().err


def test_a_process_that_is_not_there_is_told(capsys):
    with subprocess.Popen([sys.executable, "-c", ""]) as program:
        pass
    assert main(["diagnose", "--pid", str(program.pid)]) == 2
    assert "no process" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["--pid", "1", "--", "python"], ["show", "absent.json"], ["--rate", "0"]]
)
def test_used_wrongly_is_told(arguments, capsys):
    assert main(["diagnose", *arguments]) == 2
    assert capsys.readouterr().err.startswith("lanewise: ")


@pytest.mark.parametrize("arguments", [["show"], ["diff", "one.json"], ["--fail-on", "speed>1"]])
def test_what_cannot_be_parsed_is_told(arguments, capsys):
    with pytest.raises(SystemExit) as told:
        main(["diagnose", *arguments])
    assert told.value.code == 2
    assert "error" in capsys.readouterr().err


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to be somebody else"
)
def test_without_permission_a_weaker_source_is_used_and_named(tmp_path):
    """Somebody else's process: what is missing is told, and the kernel's counters are still there."""
    program = subprocess.Popen(
        [sys.executable, str(PROGRAMS), "bytecode", "600"], stdout=subprocess.PIPE, text=True
    )

    def make():
        found = subprocess.run(
            [sys.executable, "-B", "-c", AS_NOBODY, str(program.pid)],
            capture_output=True,
            text=True,
            timeout=110,
            check=True,
        )
        return json.loads(found.stdout)

    def agrees(made):
        return sum(one["shares"]["python_gil"] for one in made["threads"]) > 0.1

    with program:
        try:
            assert program.stdout.readline() == "begun\n"
            made = until(agrees, make)
        finally:
            program.kill()
    assert made["source"] == "scheduler"
    assert made["process"]["gil_held_share"] is None
    assert "belongs to another user" in made["process"]["weaknesses"][0]
    assert agrees(made), made["threads"]


# Imports while it still may read everything, and then becomes nobody.
AS_NOBODY = """
import os, sys
from lanewise.cli.main import main
from lanewise.cli.version import library_version
from lanewise.host.facts import host_facts
library_version(), host_facts()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(["diagnose", "--pid", sys.argv[1], "--duration", "1s", "--json"]))
"""
