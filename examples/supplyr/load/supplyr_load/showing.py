"""What the demonstration shows of SUPPLYR: it runs, and what two builds do under the same load."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lanewise.cli.output import Output
from lanewise.model.units import format_seconds

from supplyr_load.bench import CHEAP_PER_HEAVY, Bench
from supplyr_load.capacity import size_for
from supplyr_load.data import Account, cheap_requests, ensure_directory, give_account
from supplyr_load.fleet import Fleet, VoidRunError
from supplyr_load.plots import Curve, figure, table, tail_plot, write_page
from supplyr_load.results import machine_facts
from supplyr_load.scenarios.mixed import measured, ratio
from supplyr_load.server import Options, Server

SUPPLIERS = 3000
_LOAD = 0.8
_JOB_S = 0.15
_BUILDS = {"handler": "in the handlers", "lanewise": "under the plan"}
_HEADINGS = ("heavy work runs", "cheap p50", "cheap p99", "against idle", "cheap ok", "heavy ok")


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, Account]]:
    """Serve a directory with suppliers for as long as the context lasts.

    Yields its address, and who may change it: with a password of this run.
    """
    directory = ensure_directory(folder, SUPPLIERS)
    account = give_account(directory)
    with Server(Options("lanewise", directory)) as server:
        yield f"http://127.0.0.1:{server.port}/", account


def show(output: Output, folder: Path, plan: Path, seconds: float, results: Path) -> Path | None:
    """Load both builds one after the other; print what their clients saw, and plot it.

    Returns the page, or None where the machine was too busy for a generator of load.
    """
    output.title("SUPPLYR, twice: the same directory and the same requests")
    try:
        seen, peak_per_s = _measured(folder, plan, seconds, results)
    except VoidRunError as error:
        output.warning(f"not shown: {error}")
        return None
    load = f"{_LOAD:g}"
    output.line(
        f"  {seen['lanewise'][load]['cheap_per_s']:.0f} cheap reads a second, and "
        f"{_LOAD:.0%} of the heavy calls that the lane can do ({peak_per_s:.1f}/s); open loop"
    )
    rows = [_row(name, seen[build]) for build, name in _BUILDS.items()]
    output.table([(name, "right" if at else "left") for at, name in enumerate(_HEADINGS)], rows)
    page = results / "load.html"
    write_page(page, "SUPPLYR under load", _parts(seen, rows))
    return page


def _measured(
    folder: Path, plan: Path, seconds: float, results: Path
) -> tuple[dict[str, dict[str, Any]], float]:
    directory = ensure_directory(folder, SUPPLIERS)
    with ExitStack() as stack:
        bench = Bench(
            folder=directory,
            results=results,
            fleet=stack.enter_context(Fleet()),
            cheap=cheap_requests(directory),
            work="price-list",
            size=size_for("price-list", _JOB_S),
            job_s=_JOB_S,
            processes=1,
            rounds=1,
            seconds=seconds,
            quick=True,
            plan=plan.resolve(),
            # A demonstration must come to an end on a busy machine too; what its generator adds
            # falls on both builds alike.
            max_lag_s=0.05,
        )
        servers = {build: stack.enter_context(bench.server(build)) for build in _BUILDS}
        for server in servers.values():
            bench.warm(server, 1.5)
        peak_per_s = bench.peak(servers["lanewise"]).per_s
        seen = {
            build: measured(bench, server, peak_per_s, (_LOAD,), 0)
            for build, server in servers.items()
        }
    return seen, peak_per_s


def _row(name: str, one: dict[str, Any]) -> list[str]:
    loaded = one[f"{_LOAD:g}"]
    return [
        f"  {name}",
        format_seconds(loaded["cheap_p50_s"]),
        format_seconds(loaded["cheap_p99_s"]),
        f"{ratio(one, f'{_LOAD:g}'):.1f} x",
        f"{loaded['cheap_ok']:.1%}",
        f"{loaded['heavy_ok']:.0%}",
    ]


def _parts(seen: dict[str, dict[str, Any]], rows: list[list[str]]) -> list[str]:
    curves = [Curve("idle", seen["lanewise"]["idle"]["cheap_curve"])]
    curves += [
        Curve(name, seen[build][f"{_LOAD:g}"]["cheap_curve"]) for build, name in _BUILDS.items()
    ]
    facts = machine_facts()
    return [
        figure(
            "How long a cheap read takes",
            f"Profiles, searches, suggestions; heavy calls are {1 / (1 + CHEAP_PER_HEAVY):.0%} of "
            f"all requests. Latency counts from the moment at which a request was to be sent; "
            f"what timed out counts as two seconds.",
            tail_plot("Latency of cheap reads by build", curves),
        ),
        "<h2>In figures</h2>",
        table(_HEADINGS, rows),
        f"<p>CPython {facts['python']}, {facts['usable_cores']} cores, {facts['processor']}.</p>",
    ]
