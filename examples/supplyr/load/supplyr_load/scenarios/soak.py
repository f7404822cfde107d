"""S8: half of the load for a long time, with workers that are replaced again and again."""

import time
from typing import Any

from supplyr_load import processes
from supplyr_load.arrivals import Phase
from supplyr_load.bench import CHEAP_PER_HEAVY, Bench
from supplyr_load.data import CHEAP
from supplyr_load.results import Result, Table, Verdict, percent

_SECONDS, _QUICK_SECONDS = 900.0, 20.0
_SAMPLES = 120
_CALLS_PER_WORKER = 20
_LOAD = 0.5
# Of what is resident: growth that would double it in less than a day's hour is a leak.
_MAX_GROWTH_PER_H = 0.5


def run(bench: Bench) -> Result:
    """Run once; a quick bench sees too little to speak of slopes, and says so."""
    duration_s = _QUICK_SECONDS if bench.quick else _SECONDS
    with bench.server("lanewise", SUPPLYR_CALLS_PER_WORKER=str(_CALLS_PER_WORKER)) as server:
        bench.warm(server, 2.0)
        per_s = bench.peak(server).per_s
        shares = (
            bench.cheap_share(CHEAP_PER_HEAVY * _LOAD * per_s),
            bench.heavy_share(_LOAD * per_s),
        )
        running = bench.fleet.start([Phase("soak", duration_s, shares)], bench.seed, server.port)
        samples: list[tuple[float, processes.Facts]] = []
        while not running.done():
            samples.append((time.monotonic() - running.start_at, processes.facts(server.mark)))
            time.sleep(duration_s / _SAMPLES)
        seen = running.result()
        server.await_calm()
        state = server.state()
    bench.keep("S8", seen)
    return judged(seen.kinds("soak", CHEAP), seen.kinds("soak", "heavy"), samples, state, bench)


def judged(
    cheap: Any,
    heavy: Any,
    samples: list[tuple[float, processes.Facts]],
    state: dict[str, Any],
    bench: Bench,
) -> Result:
    """Make table and verdicts of samples."""
    later = samples[len(samples) // 3 :]
    per_h = slope(later) * 3600 / (sum(one.resident_bytes for _, one in later) / len(later))
    retired = state["workers"]["retired"]
    headings = ("", "at a third of the time", "at the end")
    first, last = later[0][1], later[-1][1]
    rows = [
        ("resident, MB", f"{first.resident_bytes / 1e6:.0f}", f"{last.resident_bytes / 1e6:.0f}"),
        ("open files", str(first.open_files), str(last.open_files)),
        ("processes", str(first.processes), str(last.processes)),
        ("zombies", str(first.zombies), str(max(one.zombies for _, one in later))),
    ]
    failed = heavy.counts["failed"] + heavy.counts["timeout"]
    return Result(
        "S8",
        f"Soak: {samples[-1][0] / 60:.1f} minutes, a worker replaced after "
        f"{_CALLS_PER_WORKER} calls",
        Table(headings, rows),
        [
            Verdict(
                f"resident memory grows by less than {_MAX_GROWTH_PER_H:.0%} an hour",
                f"{per_h:+.0%} an hour",
                None if bench.quick else per_h < _MAX_GROWTH_PER_H,
            ),
            Verdict(
                "no hang and no loss when workers are replaced",
                f"{retired} replaced, {failed} of {heavy.asked} heavy calls lost",
                retired > 0 and failed <= 0.005 * heavy.asked,
            ),
            Verdict("cheap reads ok at least 99.5 %", percent(cheap.share("ok")),
                    cheap.share("ok") >= 0.995),
            Verdict("open files do not grow", f"{first.open_files} to {last.open_files}",
                    last.open_files <= first.open_files + 8),
        ],
        raw={"samples": [(at_s, one._asdict()) for at_s, one in samples], "state": state},
    )  # fmt: skip


def slope(samples: list[tuple[float, processes.Facts]]) -> float:
    """Return bytes a second, by least squares."""
    n = len(samples)
    mean_s = sum(at_s for at_s, _ in samples) / n
    mean = sum(one.resident_bytes for _, one in samples) / n
    above = sum((at_s - mean_s) * (one.resident_bytes - mean) for at_s, one in samples)
    below = sum((at_s - mean_s) ** 2 for at_s, _ in samples)
    return above / below if below else 0.0
