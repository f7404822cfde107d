"""S3: clients leave when a tenth of their job is done; somebody else comes right after them.

What their jobs still cost, and how long the next client waits for them, is the whole difference
between a server that notices and one that does not.
"""

import asyncio
import time
from typing import Any

from supplyr_load import notes, processes
from supplyr_load.bench import Bench
from supplyr_load.generator import in_precise_loop
from supplyr_load.results import Result, Table, Verdict, median, spread
from supplyr_load.server import Server
from supplyr_load.wire import Connection, Request, request

BUILDS = ("lanewise", "pool", "threads", "handler")
_LEAVERS = 6
# So many of the usual jobs long, so that a tenth of it can be told from a request's way there.
_LENGTH = 4
_ALONE = 4
_LEAVE_AT = 0.1
_NEXT_AFTER_S = 0.02
_NEXT_TIMEOUT_S = 60.0
# The queue must not refuse those who are to leave: what is tested is what becomes of them.
_PATIENCE_S = "60"


def run(bench: Bench) -> Result:
    """Run as many rounds as the bench has."""
    builds = BUILDS[:2] if bench.quick else BUILDS
    found: dict[str, list[dict[str, Any]]] = {build: [] for build in builds}
    for _ in range(bench.rounds):
        for build in builds:
            with bench.server(build, SUPPLYR_QUEUE_TIMEOUT_S=_PATIENCE_S) as server:
                bench.warm(server)
                job_s, job_cpu_s = job_length_s(bench, server)
                found[build] += [storm(bench, server, job_s, job_cpu_s) for _ in range(2)]
    return judged(found)


def noted(bench: Bench, label: str) -> Request:
    """Return a request for a job that is noted under a label."""
    return request(label, f"/compare/noted?label={label}&size={_LENGTH * bench.size}")


def job_length_s(bench: Bench, server: Server) -> tuple[float, float]:
    """Return how long a job takes where nothing else is done, by the clock and in CPU time."""
    size = _LENGTH * bench.size
    server.send("GET", f"/compare/noted?label=first&size={size}")
    notes.clear(bench.folder)
    before_s = processes.facts(server.mark).cpu_s
    for number in range(_ALONE):
        server.send("GET", f"/compare/noted?label=alone{number}&size={size}")
    cpu_s = processes.facts(server.mark).cpu_s - before_s
    lengths = [ran.end_s - ran.begin_s for ran in notes.read(bench.folder) if ran.end_s]
    return median(lengths), cpu_s / _ALONE


def storm(bench: Bench, server: Server, job_s: float, job_cpu_s: float) -> dict[str, Any]:
    """Let clients leave, and one come after them."""
    notes.clear(bench.folder)
    before_s = processes.facts(server.mark).cpu_s
    left_at, asked_at = in_precise_loop(lambda: _leaving(bench, server.port, job_s))
    server.await_calm()
    cpu_s = processes.facts(server.mark).cpu_s - before_s
    ran = notes.read(bench.folder)
    begun = next((one.begin_s for one in ran if one.label == "next"), float("inf"))
    return {
        "job_s": job_s,
        "next_waits_jobs": (begun - asked_at) / job_s,
        "started_after_leaving": sum(
            one.label != "next" and one.begin_s > left_at + _NEXT_AFTER_S for one in ran
        ),
        # One job is the next client's own.
        "wasted_jobs": max(0.0, cpu_s / job_cpu_s - 1),
        "begun": [one.label for one in ran],
    }


async def _leaving(bench: Bench, port: int, job_s: float) -> tuple[float, float]:
    """Ask, leave when the first job is a tenth done, ask once more; return when both was."""
    loop = asyncio.get_running_loop()

    async def connected() -> Connection:
        return (await loop.create_connection(Connection, "127.0.0.1", port))[1]

    leavers = [await connected() for _ in range(_LEAVERS)]
    follower = await connected()
    answered: asyncio.Future[object] = loop.create_future()
    follower.on_answer = answered.set_result
    for number, leaver in enumerate(leavers):
        leaver.ask(noted(bench, f"leaver{number}").data)
    # A build that blocks its loop has done the first job before it looks at the others.
    while not (ran := notes.read(bench.folder)):
        await asyncio.sleep(0.002)
    await asyncio.sleep(max(0.0, ran[0].begin_s + _LEAVE_AT * job_s - time.monotonic()))
    left_at = time.monotonic()
    for leaver in leavers:
        leaver.close()
    await asyncio.sleep(_NEXT_AFTER_S)
    asked_at = time.monotonic()
    follower.ask(noted(bench, "next").data)
    await asyncio.wait_for(answered, _NEXT_TIMEOUT_S)
    follower.close()
    return left_at, asked_at


def judged(found: dict[str, list[dict[str, Any]]]) -> Result:
    """Make table and verdicts."""
    rows = [
        (
            build,
            spread([one["next_waits_jobs"] for one in storms], "{:.2f}"),
            spread([one["started_after_leaving"] for one in storms], "{:.0f}"),
            spread([one["wasted_jobs"] for one in storms], "{:.1f}"),
        )
        for build, storms in found.items()
    ]
    headings = ("build", "next waits, jobs", "started for nobody", "CPU spent on them, jobs")
    ours = found["lanewise"]
    waits = median(one["next_waits_jobs"] for one in ours)
    started = max(one["started_after_leaving"] for one in ours)
    return Result(
        "S3",
        f"Abandonment: {_LEAVERS} clients leave at {_LEAVE_AT:.0%} of their job",
        Table(headings, rows),
        notes=[
            "In all builds lanewise's middleware notices that a client has left and cancels its "
            "request, so that a plain pool forgets calls that no worker has taken yet."
        ],
        verdicts=[
            Verdict("the next job waits at most 1 job length", f"{waits:.2f}", waits <= 1.0),
            Verdict("no queued job of theirs starts", f"{started}", started == 0),
        ],
        raw=dict(found),
    )
