"""S6: tens of thousands of rows are imported while people search."""

from typing import Any

from supplyr_load import product
from supplyr_load.arrivals import Phase
from supplyr_load.bench import Bench
from supplyr_load.data import CHEAP
from supplyr_load.results import Result, Table, Verdict, milliseconds, percent
from supplyr_load.scenarios.mixed import lag_counts, lag_quantile
from supplyr_load.server import Options, Server

BUILDS = ("lanewise", "handler")
_ROWS, _QUICK_ROWS = 50_000, 3_000
_CHEAP_PER_S = 40.0
_BOUND = 10.0
_PATIENCE_S = 900.0


def run(bench: Bench, builds: tuple[str, ...] = BUILDS) -> Result:
    """Import once into a copy of the directory, under each build."""
    rows = _QUICK_ROWS if bench.quick else _ROWS
    data = product.catalogue(rows)
    found = {build: measured(bench, build, data) for build in builds}
    table = [
        (
            build,
            one["state"],
            f"{one['took_s']:.0f} s",
            milliseconds(one["idle"]["p99_s"]),
            milliseconds(one["beside"]["p99_s"]),
            percent(one["beside"]["ok"]),
            " / ".join(milliseconds(one[when]["lag_max_s"]) for when in ("idle", "beside")),
        )
        for build, one in found.items()
    ]
    ours = found["lanewise"]
    lag = ours["beside"]["lag_max_s"] / max(1e-3, ours["idle"]["lag_max_s"])
    headings = (
        "build", "import", "took", "cheap p99 idle", "beside it", "ok beside it",
        "loop lag at most, idle / beside",
    )  # fmt: skip
    return Result(
        "S6",
        f"{rows:,} rows imported while searches go on",
        Table(headings, table),
        [
            Verdict(
                "every row is imported once",
                f"{ours['imported'][0]} rows, {ours['imported'][1]} different ones",
                ours["imported"] == (rows, rows),
            ),
            Verdict(
                f"loop lag at most {_BOUND:g} x idle (1 ms counts as idle's least)",
                f"{lag:.1f} x",
                lag <= _BOUND,
            ),
            Verdict(
                "cheap reads ok at least 99.5 %",
                percent(ours["beside"]["ok"]),
                ours["beside"]["ok"] >= 0.995,
            ),
        ],
        raw=found,
    )


def measured(bench: Bench, build: str, data: bytes) -> dict[str, Any]:
    """Return what became of the import, and of the reads without and beside it."""
    cheap = bench.cheap_share(_CHEAP_PER_S)
    with product.copied(bench.folder) as copy:
        key = product.writers_key(copy)
        environment = bench.server(build).options.environment
        with Server(Options(build, copy, bench.processes, environment=environment)) as server:
            bench.warm(server)
            idle, told = _observed(bench, server, "idle", bench.seconds, cheap)
            begun = product.start_import(server, key, data)
            beside, more = _observed(bench, server, "beside", 2 * bench.seconds, cheap)
            job = product.over(server, key, begun, _PATIENCE_S)
        rows = product.imported(copy)
    idle.checked(bench.max_lag_s)
    beside.checked(bench.max_lag_s)
    bench.keep(f"S6-{build}", beside)
    took_s = (job.get("finished_at_s") or 0) - (job.get("started_at_s") or 0)
    return {
        "state": job.get("state", "unknown"),
        "error": job.get("error"),
        "took_s": took_s,
        "imported": rows,
        "idle": told,
        "beside": more,
    }


def _observed(
    bench: Bench, server: Server, name: str, seconds: float, cheap: Any
) -> tuple[Any, dict[str, float]]:
    before = lag_counts(server)
    seen = bench.fleet.run([Phase(name, seconds, (cheap,))], bench.seed, server.port)
    after = lag_counts(server)
    tally = seen.kinds(name, CHEAP)
    return seen, {
        "p50_s": tally.quantile_s(0.5),
        "p99_s": tally.quantile_s(0.99),
        "ok": tally.share("ok"),
        "lag_p99_s": lag_quantile(before, after, 0.99),
        "lag_max_s": lag_quantile(before, after, 1.0),
    }
