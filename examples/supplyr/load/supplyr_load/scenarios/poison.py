"""S5: inputs that never end, explode, crash their process or cannot be sent back.

Each is asked for while the usual traffic goes on, so that what it does to others can be seen.
"""

import json
import time
from typing import Any

from supplyr_load.arrivals import Phase
from supplyr_load.bench import CHEAP_PER_HEAVY, Bench
from supplyr_load.data import CHEAP
from supplyr_load.poison import POISONS
from supplyr_load.results import Result, Table, Verdict, milliseconds, percent

_MEMORY_BYTES = 400_000_000
_DEADLINE_S = 1.0
# From the deadline: to kill, to tell, and for the busy loop to turn.
_SLACK_S = 0.5
_LOAD = 0.25
_BOUND = 3.0
_EXPECTED = {
    "backtracking": "TaskTimeoutError",
    "bomb": "WorkerDiedError or TaskTimeoutError",
    "unsendable": "NotPortableError",
    "vanishing": "WorkerDiedError",
    "raising": "UnicodeDecodeError",
}


def run(bench: Bench) -> Result:
    """Ask for every poison, three times each."""
    with bench.server(
        "lanewise", SUPPLYR_WORKER_MEMORY_BYTES=str(_MEMORY_BYTES), SUPPLYR_PROCESSES="2"
    ) as server:
        bench.warm(server, 2.0)
        per_s = bench.peak(server).per_s
        cheap = bench.cheap_share(CHEAP_PER_HEAVY * 0.5 * per_s)
        heavy = bench.heavy_share(_LOAD * per_s)
        idle = bench.fleet.run([Phase("idle", bench.seconds, (cheap,))], bench.seed, server.port)
        idle.checked(bench.max_lag_s)
        duration_s = max(bench.seconds, 3 * len(POISONS) * 1.2)
        # Its making takes a while the first time.
        server.send("GET", "/compare/poison/bomb", timeout_s=120.0)
        running = bench.fleet.start(
            [Phase("poisoned", duration_s, (cheap, heavy))], bench.seed, server.port
        )
        asked: list[dict[str, Any]] = []
        while not running.done() and len(asked) < 3 * len(POISONS):
            kind = list(POISONS)[len(asked) % len(POISONS)]
            begun = time.monotonic()
            status, body = server.send("GET", f"/compare/poison/{kind}")
            taken_s = time.monotonic() - begun
            error = json.loads(body).get("error") if status in (200, 422, 504) else f"{status}"
            asked.append({"kind": kind, "status": status, "error": error, "taken_s": taken_s})
        seen = running.result()
        server.await_calm()
        workers = server.state()["workers"]
        alive = server.send("GET", "/healthz")[0] == 200
    idle_p99_s = idle.kinds("idle", CHEAP).quantile_s(0.99)
    beside = seen.kinds("poisoned", CHEAP)
    rows = [
        (
            kind,
            ", ".join(sorted({str(one["error"]) for one in asked if one["kind"] == kind})),
            milliseconds(max(one["taken_s"] for one in asked if one["kind"] == kind)),
        )
        for kind in POISONS
    ]
    typed = all(str(one["error"]) in _EXPECTED[one["kind"]] for one in asked)
    slowest_s = max(one["taken_s"] for one in asked if one["kind"] != "bomb")
    ratio = beside.quantile_s(0.99) / idle_p99_s
    return Result(
        "S5",
        "Poison",
        Table(("input", "told as", "after at most"), rows),
        [
            Verdict("every poison fails with its typed error", str(typed), typed),
            Verdict(
                f"by its deadline ({_DEADLINE_S:g} s)",
                milliseconds(slowest_s),
                slowest_s < _DEADLINE_S + _SLACK_S,
            ),
            Verdict(
                "cheap reads beside it ok at least 99.5 %",
                percent(beside.share("ok")),
                beside.share("ok") >= 0.995,
            ),
            Verdict(
                f"cheap p99 beside it at most {_BOUND:g} x idle", f"{ratio:.1f} x", ratio <= _BOUND
            ),
            Verdict("the server lives", str(alive), alive),
        ],
        raw={"asked": asked, "workers": workers, "idle_p99_s": idle_p99_s},
    )
