"""``lanewise audit --stress`` on projects with tests: verdicts, ties, crashes, hangs, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lanewise.readiness.stress.suite import Stage, Suite

pytest.importorskip("pytest_run_parallel")
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="each round is a fork"),
    pytest.mark.timeout(900),
]

SAMPLES = Path(__file__).parents[1] / "unit" / "audit_samples"
CONFIGURATION = (
    '[project]\nname = "shops"\nversion = "1"\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n'
)
TESTS = """\
from concurrent.futures import ThreadPoolExecutor
from {package} import basket, database, labels, metrics, numbers, prices


def test_counted_before_and_after():
    before = metrics.orders_served
    for _ in range(20):
        metrics.served()
    assert metrics.orders_served == before + 20


def test_numbers_are_new():
    assert numbers.{number}() != numbers.{number}()


def test_connection_is_one_object():
    assert database.connection() is database.connection()


def test_basket_and_labels():
    one = basket.Basket()
    one.put("a", 1)
    assert one.lines["a"] == 1
    assert labels.labels("Big Box", [])[-1].lower() == "box"


def test_threads_of_its_own_count():
    before = metrics.orders_served
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(metrics.served) for _ in range(40)]:
            done.result()
    assert metrics.orders_served == before + 40


def test_threads_of_its_own_get_one_quote():
    with ThreadPoolExecutor(4) as pool:
        quotes = list(pool.map(prices.quote, ["own"] * 4))
    assert len({{id(quote) for quote in quotes}}) == 1
"""
OTHERS = """\
import pytest

def test_wrong():
    assert 1 == 2

def test_skipped():
    pytest.skip("not here")

SEEN = []

def test_once_only():
    SEEN.append(1)
    assert SEEN == [1]

def test_captures(capsys):
    print("x")
    assert capsys.readouterr().out == "x\\n"
"""


def command(*arguments: str) -> list[str]:
    """The verb as a command."""
    return [sys.executable, "-m", "lanewise", "audit", *arguments]


def write_shops(root: Path) -> None:
    """Write the shop with the hazards, its safe twin, and tests of both that are the same."""
    for package, number in (("shop", "next_order_number"), ("safe_shop", "next_code")):
        shutil.copytree(
            SAMPLES / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
        tests = root / "tests"
        tests.mkdir(exist_ok=True)
        (tests / f"test_{package}.py").write_text(TESTS.format(package=package, number=number))
    (root / "tests" / "test_others.py").write_text(OTHERS)
    (root / "pyproject.toml").write_text(CONFIGURATION)


@pytest.fixture(scope="module")
def shops(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Both shops, audited and run once."""
    root = tmp_path_factory.mktemp("shops")
    write_shops(root)
    options = [
        "--models",
        "kept",
        "--json",
        "out.json",
        "--sarif",
        "out.sarif",
        "--stress-budget",
        "10min",
    ]
    done = subprocess.run(
        command(".", "--stress", *options), cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr[-2000:]
    return root, done


def stress_of(root: Path) -> dict:
    """What the run says of itself."""
    return json.loads((root / "out.json").read_text())["stress"]


def test_every_hazard_is_confirmed_by_what_is_tied_to_it(shops) -> None:
    root, _ = shops
    findings = json.loads((root / "out.json").read_text())["findings"]
    confirmed = {one["rule"]: {proof["by"] for proof in one["confirmed"]} for one in findings}
    assert set(confirmed) == {"FT101", "FT102", "FT103", "FT104", "FT105", "FT106"}
    assert all("model" in by for by in confirmed.values()), confirmed
    assert all("test" in confirmed[rule] for rule in ("FT101", "FT102", "FT104")), confirmed
    for one in findings:
        for proof in one["confirmed"]:
            assert proof["by"] == "model" or "test_shop.py::" in proof["name"]
            assert proof["evidence"]


def test_the_twins_tests_blame_nobody(shops) -> None:
    root, _ = shops
    verdicts = {one["id"]: one["verdict"] for one in stress_of(root)["tests"]}
    twins = {name: verdict for name, verdict in verdicts.items() if "test_safe_shop" in name}
    assert len(twins) == 6
    assert set(twins.values()) <= {"passes", "assumes it is alone"}, twins
    # The same assertion about a global, of locked code and of code that is not: it says nothing of either.
    assert verdicts["tests/test_shop.py::test_counted_before_and_after"] == "assumes it is alone"
    assert (
        verdicts["tests/test_safe_shop.py::test_threads_of_its_own_count"] == "assumes it is alone"
    )


def test_what_is_not_our_matter_is_told_as_that(shops) -> None:
    root, _ = shops
    tests = {
        one["id"].partition("::")[2]: one
        for one in stress_of(root)["tests"]
        if "others" in one["id"]
    }
    assert tests["test_wrong"]["verdict"] == "fails alone"
    assert tests["test_skipped"]["verdict"] == "skipped"
    assert tests["test_once_only"]["verdict"] == "fails alone"
    assert "second time" in tests["test_once_only"]["message"]
    assert "capsys" in tests["test_captures"]["not_in_threads"]


def test_each_way_to_tell_says_it(shops) -> None:
    root, done = shops
    assert "confirmed by model of served" in done.stdout
    assert "confirmed by tests/test_shop.py::test_numbers_are_new" in done.stdout
    assert "stress: exploring FT101 shop.metrics.orders_served" in done.stderr
    results = json.loads((root / "out.sarif").read_text())["runs"][0]["results"]
    assert all(one["properties"]["confirmed"] for one in results)
    assert any("Confirmed by model of served" in one["message"]["text"] for one in results)
    kept = sorted(path.name for path in (root / "kept").iterdir())
    assert [name[:10] for name in kept] == [f"test_ft10{n}" for n in range(1, 7)]
    assert {one["test"] for one in stress_of(root)["models"]} == {f"kept/{name}" for name in kept}


SLOW = "import time, app\ndef test_slow():\n    time.sleep(1)\n    app.hit()\n"


def test_one_slow_test_does_not_take_the_time_of_all(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("n = 0\ndef hit():\n    global n\n    n += 1\n")
    (tmp_path / "test_app.py").write_text(SLOW)
    done = subprocess.run(
        command(".", "--stress", "--stress-budget", "120s", "--json"),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert [one["verdict"] for one in document["stress"]["tests"]] == ["not run"]
    assert [one["status"] for one in document["stress"]["models"]] == ["fails"]
    assert [one["by"] for one in document["findings"][0]["confirmed"]] == ["model"]


def test_without_stress_nothing_is_said_of_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('imported')\n")
    done = subprocess.run(
        command("--json"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "stress" not in json.loads(done.stdout)


# --- used wrongly ---------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An interpreter without pytest."""
    python = tmp_path / "bare-python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    python.chmod(0o755)
    return python


def refused(root: Path, *arguments: str) -> str:
    """What is said where the exit status is 2."""
    (root / "app.py").write_text("n = 0\ndef hit():\n    global n\n    n += 1\n")
    done = subprocess.run(
        command(".", *arguments), cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout
    return done.stderr


def test_how_to_get_what_is_missing_is_told(tmp_path: Path, bare: Path) -> None:
    words = refused(tmp_path, "--stress", "--python", str(bare))
    assert f"{bare} -m pip install pytest pytest-run-parallel" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "kept"], "give --stress as well"),
        (["--stress", "--factories", "none.py"], "none.py does not exist"),
        (["--stress", "--tests", "none"], "none does not exist"),
        (["--stress", "--threads", "1"], "from 2 to 64"),
        (["--stress", "--models", "app.py/kept"], "no tests can be written"),
    ],
)
def test_what_cannot_be_done_is_refused_first(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    assert words in refused(tmp_path, *arguments)


# --- rounds ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def suite_of(root: Path, app: str, tests: str) -> Iterator[Suite]:
    """A small suite whose functions are delayed."""
    root = root.resolve()
    (root / "app.py").write_text(app)
    (root / "test_app.py").write_text(tests)
    (root / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    stage = Stage(root=root, paths=(str(root),), watched=((str(root / "app.py"), 1, "app.all"),))
    with Suite(stage) as suite:
        yield suite


# One thread alone: where two crash at once, the first may take the process away before the other's stack is told.
CRASHING = (
    "import os, threading\ninside = []\nonce = threading.Lock()\ndef work():\n    inside.append(1)\n"
    "    if len(inside) > 1 and once.acquire(blocking=False):\n        os.abort()\n    inside.pop()\n"
)
STUCK = (
    "import itertools, threading, time\nA, B = threading.Lock(), threading.Lock()\nturns = itertools.count()\n"
    "def work():\n    if next(turns) % 2:\n        with A:\n            time.sleep(0.05)\n            with B:\n                return 1\n"
    "    with B:\n        time.sleep(0.05)\n        with A:\n            return 2\n"
)
WORK = "import app\ndef test_work():\n    for _ in range(20):\n        app.work()\n"


def test_a_crash_is_told_with_its_signal_and_the_control_clears_it(tmp_path: Path) -> None:
    with suite_of(tmp_path, CRASHING, WORK) as suite:
        for _ in range(3):  # that two threads meet inside needs a machine that lets both run
            free = suite.run("test_app.py::test_work", "together", timeout_s=60, delays=True)
            if free.status == "crashed":
                break
        control = suite.run(
            "test_app.py::test_work", "together", timeout_s=60, delays=True, guard="all"
        )
    assert (free.status, free.signal) == ("crashed", signal.SIGABRT)
    assert free.places[-1][2] == "work"
    assert (control.status, control.breaches) == ("passed", 0)


def test_a_standstill_is_ended_and_told_with_where_it_stood(tmp_path: Path) -> None:
    with suite_of(tmp_path, STUCK, WORK.replace("20", "2")) as suite:
        # The time is waited for in full, so the shortest comes first; a busy machine may need more of it
        # until the threads stand where they are to be seen.
        for timeout_s in (5, 20, 60):
            free = suite.run("test_app.py::test_work", "together", timeout_s=timeout_s)
            if free.status == "hung" and "work" in {name for *_, name in free.places}:
                break
        control = suite.run("test_app.py::test_work", "together", timeout_s=100, guard="all")
    assert free.status == "hung"
    assert "work" in {name for *_, name in free.places}
    assert control.status == "passed"


KINDS = """\
import asyncio, threading, unittest
import pytest

class TestPlain:
    def setup_method(self):
        self.value = 3
    def test_method(self):
        assert self.value == 3

class TestCase(unittest.TestCase):
    def setUp(self):
        self.value = 3
    def test_case(self):
        self.assertEqual(self.value, 3)

@pytest.mark.parametrize("n", [1, 2])
def test_each(n, tmp_path):
    (tmp_path / "f").write_text(str(n))
    assert (tmp_path / "f").read_text() == str(n)

def test_waits_for_a_thread_that_calls_the_project():
    import app
    done = []
    thread = threading.Thread(target=lambda: done.append(app.work()))
    thread.start()
    thread.join()
    assert done == [1]

def test_the_project_waits_for_its_own_threads():
    import app
    assert app.fan_out() == [1, 1, 1]
"""
FAN_OUT = (
    "from concurrent.futures import ThreadPoolExecutor\ndef work():\n    return 1\n"
    "def fan_out():\n    with ThreadPoolExecutor(2) as pool:\n        return [f.result() for f in [pool.submit(work) for _ in range(3)]]\n"
)


def test_tests_of_all_kinds_run_in_every_way(tmp_path: Path) -> None:
    with suite_of(tmp_path, FAN_OUT, KINDS) as suite:
        assert len(suite.tests) == 6
        for test in suite.tests:
            alone, _ = suite.note(test.id, repeats=2, timeout_s=60)
            assert alone.status == "passed", (test, alone)
            for guard in (None, "all"):
                found = suite.run(test.id, "together", timeout_s=60, guard=guard, delays=True)
                assert (found.status, found.breaches) == ("passed", 0), (test, guard, found)


def test_what_tests_give_to_functions_is_noted(tmp_path: Path) -> None:
    app = "def work(a, b=2, *, c=None):\n    return a\nclass Box:\n    def put(self, x):\n        return x\n"
    tests = "import app\ndef test_work():\n    app.work(1, c='x')\n    app.work(5)\n    app.Box().put([1, 2])\n    app.Box().put(object())\n"
    root = tmp_path.resolve()
    with suite_of(tmp_path, app, tests) as suite:
        suite._stage = Stage(
            root=root,
            paths=(str(root),),
            watched=(
                (str(root / "app.py"), 1, "app.work"),
                (str(root / "app.py"), 4, "app.Box.put"),
            ),
        )
        suite._child.close()
        suite._child = suite._start()
        _, notes = suite.note("test_app.py::test_work", repeats=1, timeout_s=60)
    assert notes["arguments"]["app.work"] == {
        "args": "(1, 2)",
        "kwargs": "{'c': 'x'}",
        "names": "['a', 'b']",
    }
    assert notes["arguments"]["app.Box.put"]["args"] == "([1, 2],)"
    assert not notes["own_threads"]


def test_what_cannot_be_collected_is_told_and_the_rest_run(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    with suite_of(tmp_path, "def work():\n    return 1\n", WORK) as suite:
        assert [one["id"] for one in suite.uncollected] == ["test_broken.py"]
        assert "no_such_module" in suite.uncollected[0]["why"]
        assert [test.id for test in suite.tests] == ["test_app.py::test_work"]


# --- what is left behind --------------------------------------------------------------------------


def those_that_stand_in(folder: Path) -> list[int]:
    """Processes whose working directory is a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


def those_that_stay_in(folder: Path) -> list[int]:
    """Those of them that do not end: who was killed needs a core once more to be gone."""
    staying = []
    for pid in those_that_stand_in(folder):
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if not select.select([handle], [], [], 60)[0]:
                    staying.append(pid)
            finally:
                os.close(handle)
    return staying


LASTING = """\
import subprocess, time
def test_lasts():
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open("began", "w") as fifo:
        fifo.write("x")
    time.sleep(1000)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells who is left")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_behind(how: signal.Signals, tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "app.py").write_text("n = 0\ndef hit():\n    global n\n    n += 1\n")
    (root / "test_app.py").write_text(LASTING)
    os.mkfifo(root / "began")
    with subprocess.Popen(
        command(".", "--stress"),
        cwd=root,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # A test run in the background of a shell inherits an ignored SIGINT, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - because: a call that takes no lock
    ) as process:
        assert (root / "began").read_text() == "x"
        process.send_signal(how)
        assert process.wait(timeout=300) == 130
    assert those_that_stay_in(root) == []
