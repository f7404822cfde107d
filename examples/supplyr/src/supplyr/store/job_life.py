"""The life of a job, as pure decisions: no database, no clock.

::

    queued --take--> running --finish--> done
      ^  |              |  |---fail----> failed      (for good, or too often)
      |  |              |  |---cancel--> cancelled
      |  +--cancel-->   |  |
      +---- fail, lose, stop (another attempt)

Whoever runs a job holds it by a lease and by the number of its attempt. A runner that was thought
dead and comes back has the number of an attempt that is over, and every change it tries is refused.
"""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["queued", "running", "done", "failed", "cancelled"]
Outcome = Literal["done", "failed", "cancelled", "lost", "stopped"]

FINAL: frozenset[State] = frozenset({"done", "failed", "cancelled"})
# Doubled with each failure: long enough for a database or a disk to come back.
BACKOFF_S = 2.0
MAX_BACKOFF_S = 300.0


class NotYoursError(Exception):
    """The job is not held by who wants to change it: its lease ran out, or it is over."""


@dataclass(frozen=True, slots=True)
class Life:
    """What decides what may happen to a job next.

    Attributes:
        attempt: Number of the latest attempt, 0 before the first; each has its own.
        failures: Attempts that failed or were lost. Those that a server's end stopped do not count.
        not_before_s: Not taken earlier, in seconds since 1970.
        lease_owner: Who runs it, and until when that holds unless it is renewed.
        cancel_asked: Somebody wants it to end.
    """

    state: State = "queued"
    attempt: int = 0
    failures: int = 0
    max_attempts: int = 3
    not_before_s: float = 0.0
    lease_owner: str | None = None
    lease_until_s: float | None = None
    cancel_asked: bool = False
    error: str | None = None

    def may_be_taken(self, now_s: float) -> bool:
        """Whether a runner may start it now."""
        return self.state == "queued" and not self.cancel_asked and self.not_before_s <= now_s

    def is_lost(self, now_s: float) -> bool:
        """Whether its runner has not been heard of for longer than its lease."""
        return self.state == "running" and (self.lease_until_s or 0.0) <= now_s


def take(life: Life, owner: str, now_s: float, lease_s: float) -> Life:
    """Start the next attempt; NotYoursError where it may not be taken."""
    if not life.may_be_taken(now_s):
        raise NotYoursError(f"a {life.state} job cannot be taken now")
    return replace(
        life,
        state="running",
        attempt=life.attempt + 1,
        lease_owner=owner,
        lease_until_s=now_s + lease_s,
        error=None,
    )


def _check_held(life: Life, owner: str, attempt: int) -> None:
    if life.state != "running" or life.lease_owner != owner or life.attempt != attempt:
        raise NotYoursError(
            f"attempt {attempt} by {owner} is over: the job is {life.state}, attempt {life.attempt}"
        )


def renew(life: Life, owner: str, attempt: int, now_s: float, lease_s: float) -> Life:
    """Hold it for longer; a lease that ran out too, unless somebody else took the job since."""
    _check_held(life, owner, attempt)
    return replace(life, lease_until_s=now_s + lease_s)


def _over(life: Life, state: State, **changes: object) -> Life:
    return replace(life, state=state, lease_owner=None, lease_until_s=None, **changes)  # type: ignore[arg-type]  # named at each call


def finish(life: Life, owner: str, attempt: int) -> Life:
    """It is done. Nothing that was asked later undoes that."""
    _check_held(life, owner, attempt)
    return _over(life, "done")


def fail(
    life: Life, owner: str, attempt: int, now_s: float, error: str, *, for_good: bool = False
) -> Life:
    """The attempt failed: another one later, unless it is for good or was the last."""
    _check_held(life, owner, attempt)
    return _failed(life, now_s, error, for_good=for_good)


def _failed(life: Life, now_s: float, error: str, *, for_good: bool) -> Life:
    failures = life.failures + 1
    if life.cancel_asked:
        return _over(life, "cancelled", failures=failures, error=error)
    if for_good or failures >= life.max_attempts:
        return _over(life, "failed", failures=failures, error=error)
    wait_s = min(BACKOFF_S * 2 ** (failures - 1), MAX_BACKOFF_S)
    return _over(life, "queued", failures=failures, error=error, not_before_s=now_s + wait_s)


def lose(life: Life, now_s: float) -> Life:
    """Its runner is gone: it counts as a failure, for it may be the job that kills runners."""
    if not life.is_lost(now_s):
        raise NotYoursError("its lease has not run out")
    lost = _failed(life, now_s, "the server ended while it ran", for_good=False)
    # No need to wait: what is gone cannot be overloaded.
    return replace(lost, not_before_s=now_s) if lost.state == "queued" else lost


def stop(life: Life, owner: str, attempt: int) -> Life:
    """The server ends: another one goes on with it, at once and without counting it."""
    _check_held(life, owner, attempt)
    if life.cancel_asked:
        return _over(life, "cancelled")
    return _over(life, "queued", error="the server was stopped while it ran")


def ask_cancel(life: Life) -> Life:
    """Somebody wants it to end: at once where nobody runs it, else when its runner sees it."""
    if life.state in FINAL:
        return life
    asked = replace(life, cancel_asked=True)
    return _over(asked, "cancelled") if life.state == "queued" else asked


def cancelled(life: Life, owner: str, attempt: int) -> Life:
    """The runner has ended it because that was asked."""
    _check_held(life, owner, attempt)
    return _over(life, "cancelled")
