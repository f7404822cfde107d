"""What another interpreter buys: which samples count, and what is said of them."""

import json

import pytest

from lanewise.readiness.buys import InterpreterYield, TaskBuys, render_buys
from lanewise.readiness.buys.samples import Sample, lane_yield


def samples(scaling, *, cores=1.8, count=5, alone=100.0):
    return [Sample(alone, alone * scaling, cores) for _ in range(count)]


def side(python, *, threads, processes, cores=1.8, alone=100.0, gil_enabled=False):
    return InterpreterYield(
        python,
        "3.13.5",
        free_threaded=not gil_enabled,
        gil_enabled=gil_enabled,
        lanes=(
            lane_yield("thread", samples(threads, cores=cores, alone=alone), 2),
            lane_yield("process", samples(processes, cores=cores, alone=alone), 2),
        ),
        call_s=0.01,
    )


def bought(*, threads=1.9, processes=1.8, there_lock=False, cores=1.8, alone=100.0):
    here = side("python", threads=1.0, processes=1.8, gil_enabled=True)
    there = side(
        "python3.14t",
        threads=threads,
        processes=processes,
        gil_enabled=there_lock,
        cores=cores,
        alone=alone,
    )
    return TaskBuys("app:task", 10.0, 2, here, there)


def test_samples_without_the_cores_are_discarded():
    mixed = samples(1.9) + samples(1.0, cores=1.1, count=20)
    assert lane_yield("thread", mixed, 2).scaling == pytest.approx(1.9)
    assert (lane_yield("thread", mixed, 2).kept, lane_yield("thread", mixed, 2).taken) == (5, 25)


def test_too_few_that_count_say_nothing():
    assert lane_yield("thread", samples(1.9, count=2), 2).scaling is None
    assert lane_yield("thread", samples(1.9, cores=1.5), 2).scaling is None


def test_what_threads_buy_is_told_against_the_best_lane_here():
    one = bought(alone=120.0)
    assert one.gain == pytest.approx(120 * 1.9 / 180)
    assert not one.contended
    assert "2 threads under python3.14t carry 1.90 times what one does" in one.verdict
    assert "(thread) carries 1.27 times the best one here (process)" in one.verdict
    assert "no gain" in bought(alone=80.0).verdict


def test_contention_shows_against_processes_there():
    one = bought(threads=0.7)
    assert one.contended
    assert "FT201" in one.verdict
    assert not bought(threads=1.5).contended


def test_a_lock_that_came_back_is_the_reason_and_not_contention():
    one = bought(threads=1.0, there_lock=True)
    assert not one.contended
    assert "switches the lock on there" in one.verdict


def test_a_busy_machine_gets_no_figure():
    one = bought(cores=1.2)
    assert one.gain is None
    assert not one.contended
    assert "too busy to say: in 10 of 20 samples" in one.verdict
    assert "too busy to say" in render_buys([one])


def test_it_is_json_and_text():
    told = json.loads(json.dumps(bought().as_dict()))
    assert told["there"]["lanes"][0]["lane"] == "thread"
    assert told["gain"] == pytest.approx(190 / 180)
    text = render_buys([bought(), TaskBuys("app:other", error="it declares no inputs")])
    assert "5 of 5 samples with 2 cores" in text
    assert "not measured: it declares no inputs" in text
