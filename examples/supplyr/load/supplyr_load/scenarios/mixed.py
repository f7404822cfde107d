"""S1: cheap reads and heavy calls together, at a quarter, half and four fifths of capacity.

Every round asks every build, one after another and in turn first, so that what the machine's
neighbours do falls on all of them; only ratios within a round are judged.
"""

from contextlib import ExitStack
from typing import Any

from supplyr_load.arrivals import Phase
from supplyr_load.bench import CHEAP_PER_HEAVY, Bench
from supplyr_load.builds import BUILDS
from supplyr_load.data import CHEAP
from supplyr_load.fleet import Seen, VoidRunError
from supplyr_load.results import Result, Table, Verdict, median, milliseconds, percent, spread
from supplyr_load.server import Server

_ATTEMPTS = 3
_ASKED_LANEWISE, _ASKED_OTHERS = 2.0, 10.0


def run(bench: Bench, builds: tuple[str, ...] = BUILDS) -> Result:
    """Run all rounds."""
    loads = bench.loads
    rounds = bench.earlier("S1")
    void: list[str] = []
    with ExitStack() as stack:
        servers = {name: stack.enter_context(bench.server(name)) for name in builds}
        for server in servers.values():
            bench.warm(server, 2.0)
        lane_peak = bench.peak(servers["lanewise"])
        for number in range(len(rounds), len(rounds) + bench.rounds):
            turn = number % len(builds)
            order = builds[turn:] + builds[:turn]
            try:
                rounds.append(
                    {
                        name: measured(bench, servers[name], lane_peak.per_s, loads, number)
                        for name in order
                    }
                )
            except VoidRunError as error:
                void.append(str(error))
                bench.say(f"round {number + 1} is void: {error}")
                continue
            bench.keep_rounds("S1", rounds)
            told = [f"{name} {ratio(rounds[-1][name], f'{loads[-1]:g}'):.1f} x" for name in builds]
            bench.say(f"round {number + 1}: cheap p99 against idle: {', '.join(told)}")
    if not rounds:
        raise VoidRunError(void[-1])
    result = judged(rounds, builds, loads, lane_peak.per_s, bench)
    if void:
        result.notes.append(f"{len(void)} more rounds were void: the generator itself was late.")
    return result


def measured(
    bench: Bench, server: Server, peak_per_s: float, loads: tuple[float, ...], number: int
) -> dict[str, Any]:
    """Return what one build did in one round: idle, then at each load."""
    build = server.options.build
    found: dict[str, Any] = {}
    for load in (0.0, *loads):
        heavy_per_s = load * peak_per_s
        # Idle means: the same cheap reads as at the highest load, and nothing else.
        cheap_per_s = CHEAP_PER_HEAVY * (load or loads[-1]) * peak_per_s
        shares = (bench.cheap_share(cheap_per_s), bench.heavy_share(heavy_per_s))
        name = f"{load:g}" if load else "idle"
        before = lag_counts(server)
        seen = tried(bench, server, Phase(name, bench.seconds, shares), number, load)
        bench.keep(f"S1-round{number}-{build}", seen)
        cheap, heavy = seen.kinds(name, CHEAP), seen.kinds(name, "heavy")
        found[name] = {
            "cheap_per_s": round(cheap_per_s, 1),
            "heavy_per_s": round(heavy_per_s, 2),
            "cheap_ok": cheap.share("ok"),
            **{f"cheap_p{q}_s": cheap.quantile_s(q / 100) for q in (50, 99, 99.9)},
            "cheap_curve": cheap.curve(),
            "heavy_goodput_per_s": heavy.counts["ok"] / bench.seconds,
            "heavy_ok": heavy.share("ok"),
            "heavy_counts": dict(heavy.counts),
            "cheap_counts": dict(cheap.counts),
            "lag_p99_s": lag_quantile(before, lag_counts(server), 0.99),
            "routes": server.state()["routes"],
            "generator_lag_p99_s": seen.lag.p99_s,
            "generator_lag_max_s": seen.lag.max_s,
        }
    return found


def tried(bench: Bench, server: Server, phase: Phase, number: int, load: float) -> Seen:
    """Run a phase, up to three times where the generator was late for it."""
    seed = bench.seed + 1000 * number + round(load * 10)
    seen = bench.fleet.run([phase], seed, server.port)
    server.await_calm()
    for attempt in range(1, _ATTEMPTS):
        if seen.lag.p99_s <= bench.max_lag_s:
            break
        seen = bench.fleet.run([phase], seed + 100 * attempt, server.port)
        server.await_calm()
    return seen.checked(bench.max_lag_s)


def lag_counts(server: Server) -> list[list[float]]:
    """Return the histogram of the server's loop lag so far."""
    counts: list[list[float]] = server.state()["lag"]
    return counts


def lag_quantile(before: list[list[float]], after: list[list[float]], share: float) -> float:
    """Return a quantile of the loop's lag between two looks, as its class's upper bound."""
    earlier = {bound: count for bound, count in before if count}
    grown = [(bound, count - earlier.get(bound, 0)) for bound, count in after]
    total, seen = sum(count for _, count in grown), 0.0
    for bound, count in grown:
        seen += count
        if seen >= share * total:
            return bound
    return 0.0


def judged(
    rounds: list[dict[str, Any]],
    builds: tuple[str, ...],
    loads: tuple[float, ...],
    peak_per_s: float,
    bench: Bench,
) -> Result:
    """Make table and verdicts of rounds."""
    rows = []
    for load in loads:
        name = f"{load:g}"
        for build in builds:
            mine = [one[build] for one in rounds]
            rows.append(
                (
                    f"{load:.0%} {build}",
                    spread([ratio(one, name) for one in mine]),
                    milliseconds(median(one[name]["cheap_p99_s"] for one in mine)),
                    percent(median(one[name]["cheap_ok"] for one in mine)),
                    percent(median(one[name]["heavy_ok"] for one in mine)),
                    milliseconds(median(one[name]["lag_p99_s"] for one in mine)),
                )
            )
    headings = (
        "load, build", "cheap p99 / idle", "cheap p99", "cheap ok", "heavy ok", "loop lag p99",
    )  # fmt: skip
    result = Result("S1", "Mixed load", Table(headings, rows))
    result.verdicts = verdicts(rounds, builds, f"{loads[-1]:g}")
    result.notes = [
        f"{len(rounds)} rounds, {bench.seconds:g} s each; heavy: `{bench.work}` of "
        f"{bench.job_s * 1e3:.0f} ms CPU, {peak_per_s:.2f}/s at best in the lane; idle: the same "
        f"build in the same round without heavy calls."
    ]
    result.raw = {"peak_per_s": peak_per_s, "size": bench.size, "rounds": rounds}
    return result


def ratio(one: dict[str, Any], load: str) -> float:
    """Return how much worse the cheap reads' p99 is than the same build's when idle."""
    return float(one[load]["cheap_p99_s"] / one["idle"]["cheap_p99_s"])


def verdicts(rounds: list[dict[str, Any]], builds: tuple[str, ...], load: str) -> list[Verdict]:
    """Judge the highest load."""
    ours = [ratio(one["lanewise"], load) for one in rounds]
    made = [
        Verdict(
            f"cheap p99 at {load} of capacity at most {_ASKED_LANEWISE:g} x idle with lanewise",
            spread(ours) + " x",
            median(ours) <= _ASKED_LANEWISE,
        )
    ]
    for build in ("handler", "threads"):
        if build in builds:
            # Of the two builds in the same round, each against its own idle.
            worse = [ratio(one[build], load) / ratio(one["lanewise"], load) for one in rounds]
            made.append(
                Verdict(
                    f"{build} at least {_ASKED_OTHERS:g} x worse than lanewise, same round",
                    spread(worse) + " x",
                    median(worse) >= _ASKED_OTHERS,
                )
            )
    return made
