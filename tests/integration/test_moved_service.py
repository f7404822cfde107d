"""One small service, the same file on every build, under load; where it was off, the lock comes back.

Load is open-loop: requests go out when their time has come, whatever became of those before. Nothing here
asserts how long anything takes: every reply must come and be right, and routes must follow the lock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig

import pytest
from tests.integration.test_lock_flips import COMPILER, HEADER, build

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

pytestmark = pytest.mark.timeout(300)

TASKS = """
import hashlib
from lanewise import task

@task(size=lambda seed, turns: turns)
def compute(seed, turns):
    total = seed
    for turn in range(turns):
        total = (total * 31 + turn) % 1_000_003
    return total

@task(size=lambda data: len(data))
def digest(data):
    return hashlib.sha256(data).hexdigest()

@task(size=lambda text: len(text))
def words(text):
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts
"""

SERVICE = """
import asyncio, json, logging, sys, warnings
from lanewise import Runtime
from lanewise.host.facts import free_threaded_build
import tasks

TURNS = 30_000
CALLS = {
    "compute": lambda number: (tasks.compute, (number, TURNS)),
    "digest": lambda number: (tasks.digest, (b"%d" % number * 1000,)),
    "words": lambda number: (tasks.words, (f"a b {number} a " * 200,)),
}
told = []

async def reply(rt, kind, number):
    if kind == "wait":
        await asyncio.sleep(0.005)
        return number
    if kind == "import":
        import middle
        return middle.NAME
    function, args = CALLS[kind](number)
    return await rt.run(function, *args)

async def serve(rt, reader, writer):
    while line := await reader.readline():
        kind, number = line.decode().split()
        try:
            answer = {"ok": await reply(rt, kind, int(number))}
        except Exception as error:
            answer = {"error": repr(error)}
        writer.write(json.dumps(answer).encode() + b"\\n")
        await writer.drain()
    writer.close()

async def request(port, kind, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{kind} {number}\\n".encode())
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return kind, number, answer

async def load(port, count, every_s, first):
    # When its time has come, whatever became of those before.
    loop, sent = asyncio.get_running_loop(), []
    started = loop.time()
    kinds = ("compute", "wait", "words", "compute", "digest", "wait")
    for at in range(count):
        await asyncio.sleep(max(0.0, started + at * every_s - loop.time()))
        sent.append(asyncio.create_task(request(port, kinds[at % len(kinds)], first + at)))
    return await asyncio.gather(*sent)

def lane_now(rt, number=7):
    return rt.explain(tasks.compute, number, TURNS).split(" -> ")[1].split("/")[0]

async def main():
    warnings.showwarning = lambda message, *_: told.append(str(message))
    warnings.simplefilter("always")
    async with Runtime() as rt:
        server = await asyncio.start_server(lambda r, w: serve(rt, r, w), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers = await load(port, 90, 0.012, 0)
        beyond = asyncio.create_task(load(port, 90, 0.012, 1000))
        await asyncio.sleep(0)
        answers.append(await request(port, "import", 0))
        answers += await beyond
        if free_threaded_build():
            # What is known of threads is of no use now: some calls more, until their lane is found.
            number = 10_000
            while lane_now(rt) != "process":
                answers += await load(port, 12, 0.0, number)
                number += 12
        at_the_end = {"lane": lane_now(rt), "gil_enabled": rt.statistics().gil_enabled}
        counts = rt.statistics().tasks
        server.close()
        await server.wait_closed()
    print(json.dumps({
        "answers": answers,
        "told": told,
        "failed": sum(one.failed + one.killed + one.shed for one in counts.values()),
        **at_the_end,
    }))

if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(main())
"""


def expected(kind: str, number: int) -> object:
    """What the same functions give when they are plainly called, here."""
    names: dict[str, object] = {}
    exec(TASKS.replace("from lanewise import task", "task = lambda **_: (lambda f: f)"), names)
    if kind == "wait":
        return number
    if kind == "import":
        return "middle"
    arguments = {
        "compute": (number, 30_000),
        "digest": (b"%d" % number * 1000,),
        "words": (f"a b {number} a " * 200,),
    }
    return names[kind](*arguments[kind])  # type: ignore[operator]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Run the service once, with an extension in mid-run that declares nothing where one can be built."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "tasks.py").write_text(TASKS)
    (folder / "service.py").write_text(SERVICE)
    if FREE_THREADED:
        if COMPILER is None or not HEADER.exists():
            pytest.skip("needs a compiler and this interpreter's headers")
        build(folder, "x_silent", "")
    (folder / "middle.py").write_text(
        "NAME = __name__\n" + ("import x_silent\n" if FREE_THREADED else "")
    )
    ran = subprocess.run(
        [sys.executable, "service.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) | {"folder": str(folder)}


def test_every_reply_comes_and_is_right(outcome: dict[str, object]) -> None:
    assert outcome["failed"] == 0
    assert len(outcome["answers"]) >= 181  # type: ignore[arg-type]
    for kind, number, answer in outcome["answers"]:  # type: ignore[attr-defined]
        assert answer == {"ok": expected(kind, number)}, (kind, number)


@pytest.mark.skipif(not FREE_THREADED, reason="only a free-threaded build can lose it")
def test_routes_follow_the_lock_and_the_module_is_named(outcome: dict[str, object]) -> None:
    forced = os.environ.get("PYTHON_GIL") == "1" or sys._xoptions.get("gil") == "1"
    assert outcome["gil_enabled"]
    assert outcome["lane"] == "process"
    told = [one for one in outcome["told"] if "GIL is on again" in one]  # type: ignore[attr-defined]
    assert len(told) == (0 if forced else 1)
    for one in told:
        assert "x_silent" in one
        assert f"{outcome['folder']}/middle.py:2" in one
        assert "service.py" in one


@pytest.mark.skipif(FREE_THREADED, reason="for builds with the lock")
def test_with_the_lock_nothing_is_told(outcome: dict[str, object]) -> None:
    assert outcome["gil_enabled"]
    assert not [one for one in outcome["told"] if "GIL" in one]  # type: ignore[attr-defined]
