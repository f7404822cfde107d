"""`lanewise diagnose` finds a planted wall in real servers, by one command, as they are."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lanewise.cli.main import main
from lanewise.host.facts import gil_enabled

for _name in ("fastapi", "uvicorn", "gunicorn"):
    pytest.importorskip(_name)
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other processes are read through /proc"),
    pytest.mark.skipif(not gil_enabled(), reason="there is no lock to look at"),
    pytest.mark.timeout(600),
]
ATTEMPTS = 3
APP = """
import time

from fastapi import FastAPI

app = FastAPI()

def summed(rows):
    return sum(number * number % 7 for number in range(rows))

def asked_of_the_database():
    time.sleep(0.1)

@app.get("/ready")
async def ready():
    return {}

@app.get("/sum")
async def sum_of_many():
    return {"sum": summed(400_000)}

@app.get("/ask")
async def ask():
    asked_of_the_database()
    return {}
"""


class Clients(threading.Thread):
    """Ask for a path again and again, until told to stop."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.over = url, threading.Event()
        self.answers = self.failures = 0

    def run(self):
        while not self.over.is_set():
            try:
                with urllib.request.urlopen(self.url, timeout=30) as answer:
                    answer.read()
                    self.answers += 1
            except OSError:
                self.failures += 1
                self.over.wait(0.05)

    def stop(self):
        self.over.set()
        self.join(60)


def answers(url, process):
    """Wait until a server answers."""
    while True:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.read()
        except (urllib.error.URLError, ConnectionError):
            threading.Event().wait(0.1)


@pytest.fixture
def served(tmp_path):
    """Start a server as users do, and stop it."""
    (tmp_path / "wall.py").write_text(APP)
    running = []

    def start(*command):
        words = [word.format(port=port) for word in command]
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=tmp_path)
        running.append(process)
        answers(f"http://127.0.0.1:{port}/ready", process)
        return process.pid, f"http://127.0.0.1:{port}"

    with socket.socket() as chosen:
        # Bound for as long as the server needs it, so that nobody else on this machine is given it; who
        # sets this option too, as servers do, may listen there all the same.
        chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
        yield start
        for process in running:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def diagnosed(pid, tmp_path, *options):
    path = tmp_path / "found.json"
    assert (
        main(["diagnose", "--pid", str(pid), "--duration", "2s", "--json", str(path), *options])
        == 0
    )
    return json.loads(path.read_text())


def wall_found(pid, tmp_path, function, *options):
    """The stalls put down to a function, of the first look that has any; a machine may be too busy."""
    for _ in range(ATTEMPTS):
        found = diagnosed(pid, tmp_path, *options)
        stalls = [one for one in found["stalls"] if one["function"] == function]
        if stalls:
            break
    return stalls, found


def held_by(pid):
    """What a process has open for good, and how many threads it has."""
    opened = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened.append(str(link.readlink()))
    # A client's connection is open at one moment and not at the next.
    lasting = sorted(one for one in opened if not one.startswith("socket:"))
    return lasting, len(list(Path(f"/proc/{pid}/task").iterdir()))


UVICORN = ("uvicorn", "wall:app", "--port", "{port}", "--log-level", "warning")
GUNICORN = (
    "gunicorn", "wall:app", "--workers", "2", "--worker-class", "uvicorn.workers.UvicornWorker",
    "--bind", "127.0.0.1:{port}", "--log-level", "warning",
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "function", "cause"),
    [
        ("/sum", "summed", "CPU: Python code"),
        ("/ask", "asked_of_the_database", "blocking call (sleep)"),
    ],
)
def test_what_blocks_a_fastapi_app_under_uvicorn_is_named(served, tmp_path, path, function, cause):
    pid, url = served(*UVICORN)
    clients = Clients(url + path)
    clients.start()
    try:
        stalls, found = wall_found(pid, tmp_path, function)
    finally:
        clients.stop()
    assert stalls, found["functions"]
    worst = max(stalls, key=lambda one: one["duration_s"])
    assert worst["path"] == str(tmp_path / "wall.py")
    assert cause in {one["cause"] for one in stalls}
    assert clients.answers


def test_the_wall_in_gunicorns_workers_is_found_by_following_them(served, tmp_path):
    pid, url = served(*GUNICORN)
    clients = Clients(url + "/sum")
    clients.start()
    try:
        stalls, found = wall_found(pid, tmp_path, "summed", "--follow")
    finally:
        clients.stop()
    assert len(found["processes"]) >= 3
    assert {one["pid"] for one in stalls} <= {one["pid"] for one in found["processes"]} - {pid}
    assert stalls, found["functions"]
    # The master only waits, which is no news beside that.
    assert found["advice"][0]["strategy"] != "stay"


def test_a_busy_server_that_is_looked_at_a_hundred_times_is_unharmed(served, tmp_path):
    pid, url = served(*UVICORN)
    clients = Clients(url + "/sum")
    clients.start()
    try:
        # Everything that it will ever open is open.
        diagnosed(pid, tmp_path, "--duration", "0.05s")
        before = held_by(pid)
        answered = clients.answers
        for _ in range(100):
            diagnosed(pid, tmp_path, "--duration", "0.05s")
        after = held_by(pid)
        assert Path(f"/proc/{pid}/status").read_text().count("TracerPid:\t0") == 1
    finally:
        clients.stop()
    assert after == before
    assert clients.answers > answered
    assert clients.failures == 0
