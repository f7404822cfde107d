"""Whatever happens in whatever order: one holder, no revival, no attempt counted twice."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from supplyr.store import job_life as life
from supplyr.store.job_life import FINAL, Life, NotYoursError

LEASE_S = 10.0


class JobMachine(RuleBasedStateMachine):
    """Runners that come, die, come back late and go on, around one job."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0
        self.job = Life(max_attempts=3)
        self.claims: list[tuple[str, int]] = []  # whoever thinks that they hold it
        self.finished = 0
        self.ended_as: str | None = None

    def _change(self, make: Any, *arguments: Any) -> bool:
        before = self.job
        try:
            self.job = make(before, *arguments)
        except NotYoursError:
            return False
        assert before.state not in FINAL or self.job == before
        return True

    @rule(owner=st.sampled_from("ab"))
    def take(self, owner: str) -> None:
        if self._change(life.take, owner, self.now_s, LEASE_S):
            self.claims.append((owner, self.job.attempt))

    @rule(by=st.floats(0.1, 30))
    def time_passes(self, by: float) -> None:
        self.now_s += by

    @rule()
    def lose(self) -> None:
        self._change(life.lose, self.now_s)

    @rule(data=st.data(), what=st.sampled_from(["renew", "finish", "fail", "stop", "cancelled"]))
    def somebody_acts(self, data: st.DataObject, what: str) -> None:
        if not self.claims:
            return
        owner, attempt = data.draw(st.sampled_from(self.claims))
        more: tuple[Any, ...] = ()
        if what == "renew":
            more = (self.now_s, LEASE_S)
        elif what == "fail":
            more = (self.now_s, "no")
        holds = (self.job.state, self.job.lease_owner, self.job.attempt) == (
            "running", owner, attempt,
        )  # fmt: skip
        assert self._change(getattr(life, what), owner, attempt, *more) == holds
        if holds and what == "finish":
            self.finished += 1

    @rule()
    def ask_cancel(self) -> None:
        self.job = life.ask_cancel(self.job)

    @invariant()
    def is_sound(self) -> None:
        job = self.job
        assert (job.state == "running") == (job.lease_owner is not None)
        assert (job.lease_owner is None) == (job.lease_until_s is None)
        assert job.failures <= job.max_attempts
        assert job.failures <= job.attempt == len(self.claims)
        assert self.finished == (job.state == "done")
        if job.state == "failed":
            assert job.failures == job.max_attempts
        if job.state == "queued":
            assert not job.cancel_asked
        if self.ended_as is not None:
            assert job.state == self.ended_as
        if job.state in FINAL:
            self.ended_as = job.state


JobMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestJobLife = JobMachine.TestCase


@given(st.integers(1, 8))
def test_waits_grow_and_end(most: int) -> None:
    job, now_s, waits = Life(max_attempts=most), 0.0, []
    while job.state == "queued":
        now_s = max(now_s, job.not_before_s)
        job = life.take(job, "a", now_s, LEASE_S)
        job = life.fail(job, "a", job.attempt, now_s, "no")
        waits.append(job.not_before_s - now_s)
    assert job.state == "failed"
    assert job.attempt == most
    assert waits[:-1] == sorted(waits[:-1])
    assert all(0 < wait_s <= life.MAX_BACKOFF_S for wait_s in waits[:-1])


def test_failing_for_good_ends_it_at_once() -> None:
    job = life.take(Life(), "a", 0.0, LEASE_S)
    assert life.fail(job, "a", 1, 1.0, "no", for_good=True).state == "failed"


def test_the_end_of_a_server_does_not_count() -> None:
    job = Life(max_attempts=1)
    for _ in range(5):
        job = life.stop(life.take(job, "a", 0.0, LEASE_S), "a", job.attempt + 1)
    assert job.state == "queued"
    assert job.failures == 0


def test_a_lost_job_is_due_at_once() -> None:
    job = life.take(Life(), "a", 0.0, LEASE_S)
    with pytest.raises(NotYoursError):
        life.lose(job, LEASE_S - 1)
    assert life.lose(job, LEASE_S).may_be_taken(LEASE_S)
