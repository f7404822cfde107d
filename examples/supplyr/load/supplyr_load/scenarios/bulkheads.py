"""S7: a flood of thumbnails while people log in and suppliers are compared.

One pool for everything is where a flood of one kind drowns all others.
"""

from typing import Any

from supplyr_load.arrivals import Phase, Share
from supplyr_load.bench import CLIENT_TIMEOUT_S, Bench
from supplyr_load.capacity import peak
from supplyr_load.data import CHEAP, heavy_request
from supplyr_load.results import Result, Table, Verdict, milliseconds, percent

BUILDS = ("lanewise", "pool")
EDGE_PX, MEMORY_KIB, RECORDS = 700, 19 * 1024, 150
_FLOOD = 3.0
_OTHERS_PER_S = 1.5


def run(bench: Bench, builds: tuple[str, ...] = BUILDS) -> Result:
    """Run each build once: alone, then flooded."""
    found = {build: measured(bench, build) for build in builds}
    rows = []
    for build, one in found.items():
        for kind in ("password", "duplicates", "thumbnails", "cheap"):
            alone, flooded = one["alone"].get(kind), one["flooded"][kind]
            rows.append(
                (
                    f"{build}, {kind}",
                    "-" if alone is None else percent(alone["ok"]),
                    percent(flooded["ok"]),
                    "-" if alone is None else milliseconds(alone["p99_s"]),
                    milliseconds(flooded["p99_s"]),
                )
            )
    ours = found["lanewise"]["flooded"]
    kinds = ("password", "duplicates")
    served = min(ours[kind]["ok"] for kind in kinds)
    headings = ("build, kind", "ok alone", "ok in the flood", "p99 alone", "p99 in the flood")
    return Result(
        "S7",
        "Bulkheads: thumbnails at three times what the lane carries",
        Table(headings, rows),
        [
            Verdict(
                "logins and duplicate checks answered beside the flood, at least 95 %",
                percent(served),
                served >= 0.95,
            ),
            Verdict("cheap reads ok at least 99.5 %", percent(ours["cheap"]["ok"]),
                    ours["cheap"]["ok"] >= 0.995),
        ],
        raw=found,
    )  # fmt: skip


def measured(bench: Bench, build: str) -> dict[str, Any]:
    """Return what became of each kind, alone and in the flood."""
    flood = heavy_request("thumbnails", EDGE_PX, "thumbnails")
    others = (
        Share(_OTHERS_PER_S, (heavy_request("password", MEMORY_KIB, "password"),),
              CLIENT_TIMEOUT_S),
        Share(_OTHERS_PER_S, (heavy_request("duplicates", RECORDS, "duplicates"),),
              CLIENT_TIMEOUT_S),
        bench.cheap_share(20.0),
    )  # fmt: skip
    with bench.server(build) as server:
        bench.warm(server)
        for share in others[:2]:
            peak(server.port, share.requests[0], 2, 1.0)
        per_s = peak(server.port, flood, 4 * bench.processes, min(4.0, bench.seconds)).per_s
        alone = bench.fleet.run([Phase("alone", bench.seconds, others)], bench.seed, server.port)
        flooded = bench.fleet.run(
            [
                Phase(
                    "flooded",
                    bench.seconds,
                    (*others, Share(_FLOOD * per_s, (flood,), CLIENT_TIMEOUT_S)),
                )
            ],
            bench.seed,
            server.port,
        ).checked(bench.max_lag_s)
        left = server.state()["in_flight"]
        state = server.state()
        server.await_calm()
    bench.keep(f"S7-{build}", flooded)
    told: dict[str, Any] = {"peak_per_s": per_s, "left_queued": left, "routes": state["routes"]}
    for name, seen in (("alone", alone), ("flooded", flooded)):
        told[name] = {}
        for kind in ("password", "duplicates", "thumbnails", "cheap"):
            tally = seen.kinds(name, CHEAP if kind == "cheap" else kind)
            if tally.asked:
                told[name][kind] = {
                    "asked": tally.asked,
                    "ok": tally.share("ok"),
                    "shed": tally.share("shed"),
                    "p99_s": tally.quantile_s(0.99),
                }
    return told
