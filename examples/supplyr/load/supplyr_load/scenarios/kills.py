"""S4: a worker is killed in the middle of a job; the server is told to end; the server is killed.

Under every start method and server. What must not be left is a process that nobody knows of.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from itertools import product as product_of
from pathlib import Path
from typing import Any

from supplyr_load import notes, processes, product
from supplyr_load.bench import Bench
from supplyr_load.results import Result, Table, Verdict
from supplyr_load.server import Options, Server, ServerName

START_METHODS = ("forkserver", "spawn")
SERVERS: tuple[ServerName, ...] = ("uvicorn", "granian")
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
_GONE_WITHIN_S = 5.0
_BEGIN_WITHIN_S = 30.0
# A job that is still running whenever the signal comes.
_LONG_JOB_S = 3.0
_IN_FLIGHT = 3
_ROWS, _QUICK_ROWS = 5_000, 2_000
_OVER_WITHIN_S = 120.0


def run(bench: Bench) -> Result:
    """Run every combination once for each round."""
    there = [name for name in SERVERS if find_spec(name)]
    methods = START_METHODS[:1] if bench.quick else START_METHODS
    found: list[dict[str, Any]] = []
    for name, start_method in product_of(there, methods):
        for _ in range(bench.rounds):
            found.append(told(bench, worker_killed(bench, name, start_method)))
            for number in SIGNALS:
                found.append(told(bench, import_survives(bench, name, start_method, number)))
                found.append(
                    told(bench, server_ended(bench, "lanewise", name, start_method, number))
                )
    found.extend(  # for comparison
        told(bench, server_ended(bench, "pool", "uvicorn", "forkserver", number))
        for number in SIGNALS
    )
    return judged(found, sorted(set(SERVERS) - set(there)))


def told(bench: Bench, one: dict[str, Any]) -> dict[str, Any]:
    """Tell what was seen, and return it."""
    bench.say(", ".join(f"{name} {value}" for name, value in one.items()))
    return one


def served(bench: Bench, build: str, name: ServerName, start_method: str) -> Server:
    """Return a server with two workers and patience."""
    environment = {
        "SUPPLYR_PLAN": "" if bench.plan is None else str(bench.plan),
        "SUPPLYR_START_METHOD": start_method,
        "SUPPLYR_QUEUE_TIMEOUT_S": "60",
    }
    return Server(Options(build, bench.folder, 2, name, environment))


def worker_killed(bench: Bench, name: ServerName, start_method: str) -> dict[str, Any]:
    """Kill the worker that runs one of several jobs; the others and the next must not notice."""
    size = round(bench.size * _LONG_JOB_S / 4 / bench.job_s)
    with served(bench, "lanewise", name, start_method) as server:
        notes.clear(bench.folder)
        with ThreadPoolExecutor(_IN_FLIGHT) as clients:
            jobs = [
                clients.submit(server.send, "GET", f"/compare/noted?label=job{at}&size={size}")
                for at in range(_IN_FLIGHT)
            ]
            victim = begun(bench, 1)[0]
            os.kill(victim.pid, signal.SIGKILL)
            statuses = [job.result()[0] for job in jobs]
        after = server.send("GET", f"/compare/noted?label=after&size={bench.size}")[0]
    ran = [one.label for one in notes.read(bench.folder)]
    return {
        "what": "worker SIGKILL",
        "build": "lanewise",
        "server": name,
        "start_method": start_method,
        "lost": sum(status != 200 for status in statuses),
        "done_twice": len(ran) - len(set(ran)),
        "healed": after == 200,
    }


def server_ended(
    bench: Bench, build: str, name: ServerName, start_method: str, number: signal.Signals
) -> dict[str, Any]:
    """End the server while its workers compute; what is left of it after five seconds?"""
    size = round(bench.size * _LONG_JOB_S / bench.job_s)
    with served(bench, build, name, start_method) as server:
        notes.clear(bench.folder)
        with ThreadPoolExecutor(_IN_FLIGHT) as clients:
            for at in range(_IN_FLIGHT):
                clients.submit(_ignored, server, f"/compare/noted?label=job{at}&size={size}")
            begun(bench, 2)
            pid = serving(server)
            sent_at = time.monotonic()
            if number == signal.SIGKILL:
                os.kill(pid, number)
                if pid != server.pid:  # a supervisor that would start it anew
                    server.signal(number)
            else:
                server.signal(number)
            with suppress(subprocess.TimeoutExpired):
                server.wait(20)
            ended_s = time.monotonic() - sent_at
            left = processes.gone_within(server.mark, _GONE_WITHIN_S)
            names = [_name(one) for one in left]
    return {
        "what": f"server {number.name}",
        "build": build,
        "server": name,
        "start_method": start_method,
        "ended_s": ended_s,
        "left": len(left),
        "names": names,
    }


def import_survives(
    bench: Bench, name: ServerName, start_method: str, number: signal.Signals
) -> dict[str, Any]:
    """End the server in the middle of an import, start it again: every row once?"""
    rows = _QUICK_ROWS if bench.quick else _ROWS
    with product.copied(bench.folder) as copy:
        key = product.writers_key(copy)
        plan = "" if bench.plan is None else str(bench.plan)
        environment = {"SUPPLYR_PLAN": plan, "SUPPLYR_START_METHOD": start_method}
        options = Options("lanewise", copy, bench.processes, name, environment)
        with Server(options) as server:
            started = product.start_import(server, key, product.catalogue(rows))
            until = time.monotonic() + _BEGIN_WITHIN_S
            while time.monotonic() < until and not 0 < product.imported(copy)[0] < rows:
                time.sleep(0.005)
            at_kill = product.imported(copy)[0]
            os.kill(serving(server), number)
            if number == signal.SIGKILL:
                server.signal(number)
            with suppress(subprocess.TimeoutExpired):
                server.wait(20)
            left = processes.gone_within(server.mark, _GONE_WITHIN_S)
        with Server(options) as server:
            job = product.over(server, key, started, _OVER_WITHIN_S)
        there, different = product.imported(copy)
    return {
        "what": f"server {number.name} in an import",
        "build": "lanewise",
        "server": name,
        "start_method": start_method,
        "left": len(left),
        "ended_s": 0.0,
        "state": job.get("state"),
        "rows": rows,
        "rows_at_kill": at_kill,
        "rows_there": there,
        "rows_different": different,
    }


def serving(server: Server) -> int:
    """Return the process that serves: granian's is a child of the one that was started."""
    if server.options.server == "uvicorn":
        return server.pid
    told = [pid for pid in processes.children(server.pid) if pid in processes.marked(server.mark)]
    return told[0] if told else server.pid


def begun(bench: Bench, count: int) -> list[notes.Ran]:
    """Wait until so many jobs have begun and not ended."""
    until = time.monotonic() + _BEGIN_WITHIN_S
    while time.monotonic() < until:
        running = [one for one in notes.read(bench.folder) if one.end_s is None]
        if len(running) >= count:
            return running
        time.sleep(0.01)
    raise RuntimeError(f"no {count} jobs began within {_BEGIN_WITHIN_S:g} s")


def _ignored(server: Server, path: str) -> None:
    with suppress(OSError):
        server.send("GET", path)


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
    return "ended meanwhile"


def judged(found: list[dict[str, Any]], missing: Sequence[str]) -> Result:
    """Make table and verdicts."""
    rows = []
    for one in found:
        where = f"{one['what']}, {one['build']} on {one['server']}, {one['start_method']}"
        if "rows" in one:
            rows.append(
                (
                    where,
                    f"{one['left']} left",
                    f"{one['state']}: {one['rows_there']} of {one['rows']} rows, "
                    f"{one['rows_at_kill']} before",
                )
            )
        elif "left" in one:
            rows.append((where, f"{one['left']} left", f"ended after {one['ended_s']:.1f} s"))
        else:
            then = "the next job ran" if one["healed"] else "did not heal"
            rows.append((where, f"{one['lost']} lost, {one['done_twice']} twice", then))
    ours = [one for one in found if one["build"] == "lanewise"]
    left = sum(one.get("left", 0) for one in ours)
    workers = [one for one in ours if "lost" in one]
    lost = max((one["lost"] for one in workers), default=0)
    twice = sum(one["done_twice"] for one in workers)
    healed = all(one["healed"] for one in workers)
    imports = [one for one in ours if "rows" in one]
    whole = [one for one in imports if one["rows"] == one["rows_there"] == one["rows_different"]]
    result = Result(
        "S4",
        "Kills",
        Table(("what ends, where", "seen", "then"), rows),
        [
            Verdict("no process left 5 s after the server's end", f"{left} left", left == 0),
            Verdict(
                "no durable job lost, none done twice",
                f"{len(whole)} of {len(imports)} imports whole",
                len(whole) == len(imports) > 0,
            ),
            Verdict(
                "a killed worker costs exactly its job, nothing runs twice, the pool heals",
                f"{lost} lost, {twice} twice, {'healed' if healed else 'not healed'}",
                lost == 1 and twice == 0 and healed,
            ),
        ],
        raw={"runs": found},
    )
    if missing:
        result.notes.append(f"Not installed, so not seen: {', '.join(missing)}.")
    return result
