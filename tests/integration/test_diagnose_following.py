"""`lanewise diagnose` begins and ends with what it looks at, and sees it as what it is by then."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lanewise.cli.main import main
from lanewise.host.facts import gil_enabled

PROGRAMS = Path(__file__).parent / "far_side" / "diagnose_targets.py"
PUBLISHED = sys.version_info >= (3, 13)
ATTEMPTS = 3
# A run that does not end by itself has failed long before the machine could be to blame.
ENOUGH_S = 110
# Long enough to be found before it ends, which takes longer where another run of it is needed.
LIFE_S = 2 if PUBLISHED else 8

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other processes are read through /proc"),
    pytest.mark.skipif(not gil_enabled(), reason="there is no lock to look at"),
]


def run(*options):
    """Run the command as a user does; what it says, and how it ends."""
    return subprocess.run(
        [sys.executable, "-m", "lanewise", "diagnose", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
        check=False,
    )


def program(name, seconds):
    return [sys.executable, str(PROGRAMS), name, str(seconds)]


def test_a_followed_program_without_a_duration_is_looked_at_until_it_ends(tmp_path):
    path = tmp_path / "found.json"
    done = run("--follow", "--json", path, "--", *program("bytecode", LIFE_S))
    assert done.returncode == 0, done.stderr
    [process] = json.loads(path.read_text())["processes"]
    assert process["gil_held_share"] > 0.3


def test_children_that_come_later_are_waited_for(tmp_path):
    path = tmp_path / "found.json"
    done = run("--follow", "--json", path, "--", *program("parent", LIFE_S))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(path.read_text())["processes"]) == 2


def test_a_script_goes_on_when_its_first_program_has_ended(tmp_path):
    """The session is not over before the script is, and the script is not ended for it."""
    words = shlex.join(program("bytecode", LIFE_S))
    script = tmp_path / "run.sh"
    script.write_text(f"set -e\n{words}\n{words}\necho finished > {tmp_path}/finished\n")
    path = tmp_path / "found.json"
    done = run("--follow", "--json", path, "--", "sh", script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "finished").read_text() == "finished\n"
    found = json.loads(path.read_text())
    assert len({process["pid"] for process in found["processes"]}) == 2
    assert not [note for note in found["notes"] if "left out" in note]


def test_a_script_without_python_is_told_and_ends_by_itself(tmp_path):
    done = run("--follow", "--", "sh", "-c", f"sleep 0.3; echo finished > {tmp_path}/finished")
    assert done.returncode == 2
    assert "could be looked at" in done.stderr
    assert (tmp_path / "finished").exists()


@pytest.mark.parametrize("options", [[], ["--follow"]])
def test_a_program_that_becomes_another_is_looked_at_as_what_it_is(tmp_path, options):
    """As poetry run, opentelemetry-instrument and their like do: the launcher's counters go on."""
    path = tmp_path / "found.json"
    launcher = (
        "import os, sys, time\n"
        f"end = time.monotonic() + {LIFE_S}\n"
        "while time.monotonic() < end: pass\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    done = run(
        "--json", path, *options, "--", sys.executable, "-c", launcher, *program("bytecode", LIFE_S)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    before, after = found["processes"]
    assert before["pid"] == after["pid"]
    assert PROGRAMS.name not in before["command"].partition("-c")[0]
    assert after["command"].endswith(f"bytecode {LIFE_S}")
    assert any("became another program" in note for note in found["notes"])
    assert after["gil_held_share"] > 0.3


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise SystemExit(7)", "exit status 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    ],
)
def test_a_program_that_fails_lets_no_gate_pass(tmp_path, body, told):
    path = tmp_path / "found.json"
    code = f"import time; time.sleep({LIFE_S})\n{body}"
    done = run("--json", path, "--fail-on", "gil_held>0.99", "--", sys.executable, "-c", code)
    assert done.returncode == 2, done.stderr
    assert any(told in note for note in json.loads(path.read_text())["notes"])


def test_a_program_that_was_ended_when_the_time_was_over_did_not_fail():
    done = run("--duration", "0.5s", "--", *program("bytecode", 600))
    assert done.returncode == 0, done.stderr


def test_what_a_program_prints_is_no_part_of_the_json():
    done = run("--json", "--", *program("bytecode", LIFE_S))
    assert json.loads(done.stdout)["schema"] == "lanewise.diagnosis/1"
    assert "begun" in done.stderr


def test_the_children_of_a_program_end_with_it(tmp_path):
    words = shlex.join(program("bytecode", 600))
    inner = f"{words} & echo $! > {tmp_path}/child; wait"
    done = run("--follow", "--duration", "1s", "--", "sh", "-c", inner)
    assert done.returncode == 0, done.stderr
    child = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{child}/exe").exists()


def test_children_that_compute_and_are_not_followed_are_told():
    done = run("--duration", "2s", "--", *program("parent", 600))
    assert done.returncode == 0, done.stderr
    assert "add --follow" in done.stdout.replace("\n", " ")


def beside(code, path):
    """Look at a program that has begun, until a recording says what is expected.

    From the process that started it, for others may not be allowed to read its memory.
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout.readline() == "begun\n"
            for _ in range(ATTEMPTS):
                words = ["--pid", str(running.pid), "--duration", "1s", "--json", str(path)]
                assert main(["diagnose", *words]) == 0
                yield json.loads(path.read_text()), running.pid
        finally:
            running.send_signal(signal.SIGCONT)
            running.kill()


INSIDE = """
import sys, threading
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters
body = "total = 0\\nwhile True: total = (total + 1) % 1000"

def inside():
    interpreters.run_string(interpreters.create(), body)

print("begun", flush=True)
# In 3.11 nobody else is ever given the lock again.
threading.Thread(target=inside, daemon=True).start()
threading.Event().wait()
"""


def computes(shares):
    return shares["python_gil"] + shares["native_gil"] + shares["run_queue"]


def test_a_thread_in_a_sub_interpreter_is_looked_at_once(tmp_path):
    """It has a state in the interpreter that it came from too, which stands where it was left."""
    for found, _ in beside(INSIDE, tmp_path / "found.json"):
        shares = max((one["shares"] for one in found["threads"]), key=computes)
        if computes(shares) > 0.9:
            break
    assert computes(shares) > 0.9, found["threads"]
    assert shares["native_free"] < 0.05


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


STOPPED = """
import os, signal, threading
print("begun", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
total = 0
while True: total = (total + 1) % 1000
"""


@pytest.mark.skipif(
    not PUBLISHED, reason="needs another run of the interpreter only to say the same"
)
def test_a_program_that_is_stopped_holds_nothing_up(tmp_path):
    looked = beside(STOPPED, tmp_path / "found.json")
    found = next(found for found, pid in looked if is_stopped(pid))
    assert found["process"]["gil_held_share"] < 0.2
    assert any("was stopped" in one for one in found["process"]["weaknesses"])


SETS = """
import sys, time
time.sleep(0.5)
sys.setswitchinterval(0.0005)
end = time.monotonic() + 6
while time.monotonic() < end: pass
"""


@pytest.mark.skipif(not PUBLISHED, reason="this one takes a second until it is looked at")
def test_what_a_program_sets_when_it_runs_is_seen(tmp_path):
    path = tmp_path / "found.json"
    done = run("--json", path, "--", sys.executable, "-c", SETS)
    assert done.returncode == 0, done.stderr
    assert json.loads(path.read_text())["process"]["switch_interval_s"] == 0.0005


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gets real-time priority"
)
def test_what_is_started_while_sampling_has_no_real_time_priority():
    done = subprocess.run(
        [sys.executable, "-c", STARTS], capture_output=True, text=True, timeout=ENOUGH_S, check=True
    )
    if done.stdout == "null\n":
        pytest.skip("root gets no real-time priority here")
    resting, careless, mine = json.loads(done.stdout)
    assert resting == [os.SCHED_OTHER, len(os.sched_getaffinity(0))]
    assert careless[0] == os.SCHED_OTHER
    assert mine == [os.SCHED_OTHER, len(os.sched_getaffinity(0))]


STARTS = """
import json, os, subprocess, sys, time
from lanewise.diagnose.recorder import Recorder

ASK = "import json, os; print(json.dumps([os.sched_getscheduler(0), len(os.sched_getaffinity(0))]))"
answers = []

class Target:
    shares_core = True
    def look(self, now_us):
        if len(answers) < 2:
            assert os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
            answers.append(asked())

def asked():
    return json.loads(subprocess.run([sys.executable, "-c", ASK], capture_output=True).stdout)

def lookers():
    if not recorder.real_time:
        print("null")
        sys.exit()
    if not answers:
        with recorder.at_rest():
            answers.append(asked())
    return [Target()]

recorder = Recorder(100, time.monotonic_ns())
recorder.run(lookers, lambda: len(answers) == 2, 60)
print(json.dumps([*answers, [os.sched_getscheduler(0), len(os.sched_getaffinity(0))]]))
"""
