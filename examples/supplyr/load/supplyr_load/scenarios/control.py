"""S10: cheap reads only, with and without the middleware: what it costs those who need it not."""

from supplyr_load import processes
from supplyr_load.bench import Bench
from supplyr_load.capacity import Peak, peak
from supplyr_load.results import Result, Table, Verdict, median, spread
from supplyr_load.server import Server

_SLICES, _QUICK_SLICES = 40, 10
_SLICE_S = 0.5
_BOUND = 1.1


def run(bench: Bench) -> Result:
    """Ask both builds by turns, one request after another; only ratios of neighbours count."""
    profile = next(one for one in bench.cheap if one.kind == "cheap.profile")

    def asked(server: Server) -> tuple[Peak, float]:
        before_s = processes.cpu_s(server.pid)
        found = peak(server.port, profile, 1, _SLICE_S)
        spent_s = processes.cpu_s(server.pid) - before_s
        return found, spent_s / max(1.0, found.per_s * _SLICE_S)

    latency: list[float] = []
    cpu: list[float] = []
    with bench.server("lanewise") as ours, bench.server("lanewise", SUPPLYR_LOAD_BARE="1") as bare:
        for server in (ours, bare):
            bench.warm(server)
        for number in range(_QUICK_SLICES if bench.quick else _SLICES):
            pair = (ours, bare) if number % 2 else (bare, ours)
            seen = {server.port: asked(server) for server in pair}
            latency.append(seen[ours.port][0].median_s / seen[bare.port][0].median_s)
            cpu.append(seen[ours.port][1] / max(1e-9, seen[bare.port][1]))
    rows = [
        ("p50", spread(latency, "{:.3f}")),
        ("server CPU a request", spread(cpu, "{:.2f}")),
    ]
    middle = median(latency)
    return Result(
        "S10",
        "Cheap reads only",
        Table(("with the middleware / without", "ratio"), rows),
        [
            Verdict(
                f"p50 within {_BOUND - 1:.0%} of the app without the middleware",
                f"{middle - 1:+.1%}",
                middle <= _BOUND,
            )
        ],
        ["CPU is counted in hundredths of a second, so single slices vary by several percent."],
        {"latency": latency, "cpu": cpu},
    )
