"""Without the lock: a task whose calls keep each other from running, and its twin that does not.

What they share is a lock that each holds while it sleeps, so that they keep each other from running on
any machine, however busy. (An object that two threads count references of does so where there are cores
for both.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time

import pytest

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED")
    or os.environ.get("PYTHON_GIL") == "1"
    or sys._xoptions.get("gil") == "1",
    reason="needs a free-threaded build whose lock is off",
)

PROGRAM = """
import asyncio, json, logging, threading, time
from lanewise import Runtime, task

LOCK = threading.Lock()

@task(size=lambda number: 1)
def shared(number):
    with LOCK:
        time.sleep(0.008)
    return number

@task(size=lambda number: 1)
def twin(number):
    with threading.Lock():
        time.sleep(0.008)
    return number

told = []

class Told(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())

async def drive(rt, function, calls, enough):
    for done in range(0, calls, 3):
        if enough():
            return
        await asyncio.gather(*(rt.run(function, done + one) for one in range(3)))

async def main():
    logging.getLogger("lanewise").addHandler(Told())
    async with Runtime() as rt:
        def contended(function):
            return function.name in rt.statistics().contended
        await drive(rt, shared, 6_000, lambda: contended(shared))
        before = dict(rt.statistics().routes)
        await drive(rt, shared, 60, lambda: False)
        now = rt.statistics().routes
        after = {key[1]: now[key] - before.get(key, 0) for key in now if key[0] == shared.name}
        await drive(rt, twin, 300, lambda: contended(twin))
        print(json.dumps({
            "contended": list(rt.statistics().contended),
            "after": after,
            "explained": rt.explain(shared, 1),
            "told": [one for one in told if "FT201" in one],
            "name": shared.name,
        }))

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("contended")
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py"]
    until = time.monotonic() + 100
    # Where it gets no core, processes may win before threads have shown that they keep each other
    # waiting, and then there is nothing to tell: so it may try again.
    for _ in range(3):
        try:
            ran = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=max(1.0, until - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip("too busy to say: the calls did not come to an end in 100 s")
        assert ran.returncode == 0, ran.stderr
        found: dict[str, object] = json.loads(ran.stdout)
        if found["contended"]:
            break
    return found


def test_it_is_told_once_and_its_twin_is_not(outcome: dict[str, object]) -> None:
    assert outcome["contended"] == [outcome["name"]]
    (told,) = outcome["told"]  # type: ignore[misc]
    assert str(outcome["name"]) in told


def test_it_goes_to_processes(outcome: dict[str, object]) -> None:
    """All but the first of those that come together, which finds itself alone."""
    after = outcome["after"]
    assert isinstance(after, dict)
    assert sum(after.values()) == 60
    assert after.get("process", 0) >= 40
    assert "FT201" in str(outcome["explained"])
