"""When which request is to be sent: Poisson arrivals from a seed, known before the run begins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from supplyr_load.wire import Request


@dataclass(frozen=True, slots=True)
class Share:
    """Requests that come with a rate of their own.

    Attributes:
        rate_per_s: How many a second, on average.
        requests: One of them is drawn for each arrival.
        timeout_s: How long a client waits, from the moment at which it wanted to send.
        leaves: Its clients do not fail after `timeout_s` but leave: what is tested is the server.
    """

    rate_per_s: float
    requests: Sequence[Request]
    timeout_s: float = 2.0
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run with constant rates, in seconds."""

    name: str
    duration_s: float
    shares: tuple[Share, ...]


class Arrival(NamedTuple):
    """One request that is to be sent `due_s` after the run's beginning."""

    due_s: float
    request: Request
    timeout_s: float
    leaves: bool
    phase: int


def schedule(phases: Sequence[Phase], seed: int) -> list[Arrival]:
    """Return all arrivals of the phases, one after another in time.

    Equal arguments give equal arrivals, so that every build gets the same requests at the same
    moments.
    """
    rng = Random(seed)
    made: list[Arrival] = []
    begins_s = 0.0
    for number, phase in enumerate(phases):
        for share in phase.shares:
            made.extend(_of_share(rng, share, begins_s, phase.duration_s, number))
        begins_s += phase.duration_s
    made.sort(key=lambda arrival: arrival.due_s)
    return made


def _of_share(
    rng: Random, share: Share, begins_s: float, duration_s: float, phase: int
) -> Iterator[Arrival]:
    if share.rate_per_s <= 0:
        return
    due_s = rng.expovariate(share.rate_per_s)
    while due_s < duration_s:
        request = share.requests[rng.randrange(len(share.requests))]
        yield Arrival(begins_s + due_s, request, share.timeout_s, share.leaves, phase)
        due_s += rng.expovariate(share.rate_per_s)
