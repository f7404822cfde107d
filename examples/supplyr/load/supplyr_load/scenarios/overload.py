"""S2: more heavy work than the lane can do, up to three times; cheap reads go on at one rate.

What counts is goodput: answers that came while their clients still waited. A server that takes on
everything does the work of clients who have left.
"""

from typing import Any

from supplyr_load.arrivals import Phase
from supplyr_load.bench import CHEAP_PER_HEAVY, QUEUE_TIMEOUT_S, Bench
from supplyr_load.data import CHEAP
from supplyr_load.fleet import VoidRunError
from supplyr_load.results import Result, Table, Verdict, median, milliseconds, percent
from supplyr_load.server import Server
from supplyr_load.tally import merged

RAMP = (("1.0", 1.0), ("1.6", 1.6), ("3.0", 3.0), ("1.0 again", 1.0), ("0.5 after", 0.5))
OVERLOADS = ("1.6", "3.0")
BUILDS = ("lanewise", "pool", "handler", "threads")


def run(bench: Bench) -> Result:
    """Run the ramp over each build, as many rounds as the bench has."""
    builds = BUILDS[:3] if bench.quick else BUILDS
    rounds = bench.earlier("S2")
    void: list[str] = []
    for number in range(len(rounds), len(rounds) + bench.rounds):
        turn = number % len(builds)
        try:
            rounds.append(one_round(bench, builds[turn:] + builds[:turn], number, rounds[:1]))
        except VoidRunError as error:
            void.append(str(error))
            bench.say(f"round {number + 1} is void: {error}")
            continue
        bench.keep_rounds("S2", rounds)
    if not rounds:
        raise VoidRunError(void[-1])
    result = judged(rounds, builds, bench)
    if void:
        result.notes.append(f"{len(void)} more rounds were void: the generator itself was late.")
    return result


def one_round(
    bench: Bench, order: tuple[str, ...], number: int, first: list[dict[str, Any]]
) -> dict[str, Any]:
    """Ask each build; 1.0 is what the first build of the first round could do in its lane."""
    one: dict[str, Any] = {}
    per_s: float | None = first[0]["peak_per_s"] if first else None
    for build in order:
        with bench.server(build) as server:
            bench.warm(server, 2.0)
            if per_s is None:
                per_s = peak_of(bench, server)
            own = peak_of(bench, server) if build in ("lanewise", "pool") else per_s
            one[build] = measured(bench, server, per_s, own, number)
        at = one[build]["1.6"]
        bench.say(
            f"{build}: at 1.6 x {at['goodput_per_s']:.1f}/s in time of {own:.1f}/s at best, "
            f"cheap ok {at['cheap_ok']:.1%}"
        )
    one["peak_per_s"] = per_s
    return one


def peak_of(bench: Bench, server: Server) -> float:
    """Return what a build's lane carries at best, as the median of three tries."""
    return median(bench.peak(server).per_s for _ in range(1 if bench.quick else 3))


def measured(
    bench: Bench, server: Server, per_s: float, own_peak_per_s: float, number: int
) -> dict[str, Any]:
    """Return what a build did on the way up and down again."""
    cheap = bench.cheap_share(CHEAP_PER_HEAVY * per_s)
    phases = [
        Phase(name, bench.seconds, (cheap, bench.heavy_share(load * per_s))) for name, load in RAMP
    ]
    running = bench.fleet.start(phases, bench.seed + number, server.port)
    seen = running.result().checked(bench.max_lag_s)
    left = server.state()["in_flight"]
    calm_s = server.await_calm()
    bench.keep(f"S2-round{number}-{server.options.build}", seen)
    found: dict[str, Any] = {
        "own_peak_per_s": own_peak_per_s,
        "left_queued": left,
        "calm_after_s": calm_s,
        "recovery_s": recovery_s(seen.bad_at_s, 4 * bench.seconds),
        "generator_lag_p99_s": seen.lag.p99_s,
        "routes": server.state()["routes"],
    }
    for name, load in RAMP:
        heavy, cheaps = seen.kinds(name, "heavy"), seen.kinds(name, CHEAP)
        found[name] = {
            "offered_per_s": load * per_s,
            "asked": heavy.asked,
            "goodput_per_s": heavy.counts["ok"] / bench.seconds,
            "shed": heavy.share("shed"),
            "lost": heavy.share("timeout") + heavy.share("failed"),
            "shed_p99_s": heavy.shed_latency.get_value_at_percentile(99) / 1e6,
            "cheap_ok": cheaps.share("ok"),
            "cheap_asked": cheaps.asked,
            "cheap_p99_s": cheaps.quantile_s(0.99),
        }
    both = [seen.kinds(name, CHEAP) for name in OVERLOADS]
    found["cheap_ok"] = merged(both).share("ok")
    return found


def recovery_s(bad: tuple[tuple[float, str, str], ...], since_s: float) -> float:
    """Return for how long after `since_s` requests were still refused or lost."""
    late = [at_s - since_s for at_s, _, _ in bad if at_s >= since_s]
    return max(late, default=0.0)


def judged(rounds: list[dict[str, Any]], builds: tuple[str, ...], bench: Bench) -> Result:
    """Make table and verdicts of rounds."""
    rows = []
    for build in builds:
        for name, _ in RAMP:
            mine = [one[build][name] for one in rounds]
            rows.append(
                (
                    f"{build}, {name} x",
                    f"{median(one['offered_per_s'] for one in mine):.1f}",
                    f"{median(one['goodput_per_s'] for one in mine):.1f}",
                    percent(median(one["shed"] for one in mine)),
                    percent(median(one["lost"] for one in mine)),
                    percent(median(one["cheap_ok"] for one in mine)),
                    milliseconds(median(one["cheap_p99_s"] for one in mine)),
                )
            )
    headings = (
        "build, heavy load", "offered/s", "in time/s", "503", "timed out", "cheap ok", "cheap p99",
    )  # fmt: skip
    result = Result("S2", "Overload", Table(headings, rows), verdicts(rounds))
    result.notes = [
        "Left queued when the last client had gone: "
        + ", ".join(
            f"{build} {median(one[build]['left_queued'] for one in rounds):g}" for build in builds
        )
        + "."
    ]
    result.raw = {"rounds": rounds, "queue_timeout_s": QUEUE_TIMEOUT_S, "seconds": bench.seconds}
    return result


def verdicts(rounds: list[dict[str, Any]]) -> list[Verdict]:
    """Judge the lanewise build."""
    ours = [one["lanewise"] for one in rounds]
    made = []
    for name in OVERLOADS:
        goodput = median(one[name]["goodput_per_s"] / one["own_peak_per_s"] for one in ours)
        lost = median(one[name]["lost"] for one in ours)
        cheap = median(one[name]["cheap_ok"] for one in ours)
        made += [
            Verdict(f"{name} x: cheap reads ok at least 99.5 %", percent(cheap), cheap >= 0.995),
            Verdict(
                f"{name} x: heavy goodput at least 85 % of the lane's peak",
                percent(goodput),
                goodput >= 0.85,
            ),
            Verdict(f"{name} x: timeouts below 2 %", percent(lost), lost < 0.02),
        ]
    left = max(one["left_queued"] for one in ours)
    recovered = max(one["recovery_s"] for one in ours)
    made += [
        Verdict("nothing left queued", f"{left:g}", left == 0),
        Verdict(
            f"back to normal within one queue deadline ({QUEUE_TIMEOUT_S:g} s) at half the load",
            f"{recovered:.2f} s",
            recovered <= QUEUE_TIMEOUT_S,
        ),
    ]
    return made
