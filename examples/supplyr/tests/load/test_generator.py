"""The generator tells the truth about a server whose times are known."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from held_ports import held_port
from supplyr_load.arrivals import Phase, Share, schedule
from supplyr_load.fleet import Fleet, Seen, VoidRunError
from supplyr_load.generator import Generated, Lag, generate
from supplyr_load.tally import Tally, merged, write_histograms
from supplyr_load.wire import request

# What is there against standstills must not run out where server or generator stand still.
pytestmark = pytest.mark.timeout(300)
PATIENCE_S = 100.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The known server, in a process of its own."""
    with held_port() as chosen:
        line = [
            *("--port", str(chosen), "--no-access-log", "--log-level", "warning"),
            # asyncio's timers are never early. A connection that is kept is not closed meanwhile.
            *("--lifespan", "off", "--loop", "asyncio", "--timeout-keep-alive", "600"),
        ]
        process = subprocess.Popen(  # noqa: S603 - because: our own command line
            [sys.executable, "-m", "uvicorn", "known_app:app", *line], cwd=Path(__file__).parent
        )
        try:
            probe = schedule([Phase("probe", 1.0, (Share(1.0, [request("probe", "/")]),))], 4)[:1]
            until = time.monotonic() + PATIENCE_S
            while not generate(probe, "127.0.0.1", chosen).tallies[0, "probe"].counts["ok"]:
                assert process.poll() is None, "the known server has ended"
                assert time.monotonic() < until, "the known server does not start"
            yield chosen
        finally:
            process.kill()
            process.wait()


def told(
    port: int, target: str, rate_per_s: float, duration_s: float, timeout_s: float = PATIENCE_S
) -> Generated:
    """Ask for one thing."""
    share = Share(rate_per_s, [request("it", target)], timeout_s)
    return generate(schedule([Phase("all", duration_s, (share,))], 7), "127.0.0.1", port)


def test_latency_is_the_servers_time(port: int) -> None:
    for _ in range(3):
        tally = told(port, "/wait/50", 40, 2.0).tallies[0, "it"]
        assert tally.counts == {"ok": tally.asked}
        assert tally.latency.get_min_value() / 1e6 >= 0.0495
        if tally.quantile_s(0.5) < 0.25:
            break
    # Half of the answers are near what they should be, at a time when the machine has a core free.
    assert tally.quantile_s(0.5) < 0.25


def test_a_stall_is_seen_by_all_who_came_meanwhile(port: int) -> None:
    """Coordinated omission: a closed loop would have seen one slow answer here."""
    shares = (
        Share(100, [request("quick", "/")], PATIENCE_S),
        Share(1.5, [request("it", "/stall/600")], PATIENCE_S),
    )
    arrivals = schedule([Phase("all", 3.0, shares)], 3)
    stalls = [arrival.due_s for arrival in arrivals if arrival.request.kind == "it"]
    assert stalls
    # Of those that came in the first 300 ms of a stall none can have been quicker than 300 ms.
    caught = sum(
        any(0.01 < arrival.due_s - at < 0.3 for at in stalls)
        for arrival in arrivals
        if arrival.request.kind == "quick"
    )
    assert caught > 10
    # A server that waits for a core may answer those who came meanwhile before it begins to stall.
    for _ in range(3):
        tally = generate(arrivals, "127.0.0.1", port).tallies[0, "quick"]
        if tally.quantile_s(1 - 0.9 * caught / tally.asked) > 0.25:
            break
    assert tally.quantile_s(1 - 0.9 * caught / tally.asked) > 0.25


def test_timeouts_count_as_long_as_the_client_waited(port: int) -> None:
    # An answer that never comes: one after some seconds might find the client standing still.
    seen = told(port, "/wait/600000", 30, 0.5, timeout_s=0.2)
    tally = seen.tallies[0, "it"]
    assert tally.counts == {"timeout": tally.asked}
    assert tally.quantile_s(0.01) == pytest.approx(0.2, rel=0.01)
    assert len(seen.bad_at_s) == tally.asked


@pytest.mark.parametrize(
    ("target", "outcome"),
    [("/status/503", "shed"), ("/status/429", "shed"), ("/status/500", "failed"),
     ("/chunked", "ok"), ("/close", "ok")],
)  # fmt: skip
def test_outcomes(port: int, target: str, outcome: str) -> None:
    tally = told(port, target, 60, 0.5).tallies[0, "it"]
    assert tally.asked > 10
    assert tally.counts == {outcome: tally.asked}


def test_nobody_there_is_a_failure_not_a_crash() -> None:
    with held_port() as unused:
        tally = told(unused, "/", 50, 0.3).tallies[0, "it"]
    assert tally.counts == {"failed": tally.asked}


def test_processes_send_everything_once(port: int) -> None:
    phases = [
        Phase(
            name,
            1.0,
            (Share(600, [request("a", "/")], 20.0), Share(600, [request("b", "/")], 20.0)),
        )
        for name in ("first", "second")
    ]
    with Fleet(2) as fleet:
        running = fleet.start(phases, 5, port)
        assert len(running.futures) == 2
        seen = running.result()
    arrivals = schedule(phases, 5)
    for number, phase in enumerate(phases):
        expected = sum(arrival.phase == number for arrival in arrivals)
        assert seen.kinds(phase.name, "*").asked == expected
        assert seen.kinds(phase.name, "a", "b").asked == expected


def test_a_late_generator_makes_a_run_void() -> None:
    seen = Seen((), Lag(0.001, 0.012, 0.030), 0, (), 0.0)
    with pytest.raises(VoidRunError, match=r"12\.0 ms late.*30\.0 ms"):
        seen.checked(0.005)
    assert seen.checked(0.02) is seen


@given(st.integers(0, 2**32), st.floats(1, 200), st.floats(0.1, 5))
def test_arrivals_are_those_of_the_seed(seed: int, rate_per_s: float, duration_s: float) -> None:
    asked = [request("a", "/1"), request("a", "/2")]
    phases = [Phase(name, duration_s, (Share(rate_per_s, asked),)) for name in "xy"]
    made = schedule(phases, seed)
    assert made == schedule(phases, seed)
    assert [one.due_s for one in made] == sorted(one.due_s for one in made)
    for one in made:
        assert one.phase * duration_s <= one.due_s < (one.phase + 1) * duration_s


def test_arrivals_are_poisson() -> None:
    made = schedule([Phase("long", 400.0, (Share(50, [request("a", "/")]),))], 11)
    gaps = [later.due_s - one.due_s for one, later in pairwise(made)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.03)
    # Of an exponential distribution the deviation is as large as the mean.
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)


OUTCOMES_SEEN = st.lists(
    st.tuples(st.sampled_from(["ok", "shed", "timeout", "failed", "left"]), st.floats(0, 5)),
    min_size=1,
    max_size=60,
)


@given(OUTCOMES_SEEN, st.integers(0, 60))
def test_tallies_survive_json_and_merging(seen: list[tuple[str, float]], cut: int) -> None:
    def tally(part: list[tuple[str, float]]) -> Tally:
        made = Tally()
        for outcome, latency_s in part:
            made.add(outcome, latency_s, 2.0)  # type: ignore[arg-type]  # drawn from the outcomes
        return made

    whole = tally(seen)
    again = merged(Tally.from_json(one.to_json()) for one in (tally(seen[:cut]), tally(seen[cut:])))
    assert again.counts == whole.counts
    assert again.asked == len(seen)
    for share in (0.5, 0.99, 1.0):
        assert again.quantile_s(share) == whole.quantile_s(share)


def test_histograms_can_be_read_by_others(tmp_path: Path) -> None:
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    one = Tally()
    for number in range(1, 1001):
        one.add("ok", number / 1e3, 2.0)
    path = tmp_path / "it.hlog"
    write_histograms(path, {"cheap": one, "heavy": one}, 3.0)
    with closing(HistogramLogReader(str(path), HdrHistogram(1, 120_000_000, 3))) as reader:
        read = [reader.get_next_interval_histogram() for _ in range(2)]
    assert [each.get_tag() for each in read] == ["cheap", "heavy"]
    assert read[0].get_value_at_percentile(50) / 1e6 == pytest.approx(0.5, rel=0.01)
