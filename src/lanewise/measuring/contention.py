"""FT201: threads that run without the lock and yet keep each other from running. Pure.

Nothing in the code tells how hot an object is, so two figures that were measured in the same rounds are
compared: how many times one caller's throughput several callers have in threads, where they share all
objects, and in processes, where each has its own. The second also shows that the cores were there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lanewise.measuring.samples import CellKey
from lanewise.measuring.statistics import Interval
from lanewise.model.measurement import Contender, Contention, Cost

# Threads that scale to less than this part of what processes do share something hot. What threads share
# without harm (the allocator, the code's own reference counts) was seen to cost up to a tenth.
CONTENDED_SHARE = 0.7
# Processes that scale to less than this part of the cores wanted had no cores to show anything with.
CORES_WERE_THERE = 0.75
# Calls that spend less than this part of their time on a core wait for something else.
_COMPUTES = 0.5


def contentions(
    rates: Mapping[CellKey, Interval],
    costs: Iterable[Cost],
    *,
    cores: int,
    gil_enabled: bool,
) -> tuple[Contention, ...]:
    """Find what keeps threads from running beside each other.

    Args:
        rates: The throughput of each cell with its interval.
        costs: Of the same task.
        cores: That this process may use; of more callers than that nothing is said.
        gil_enabled: With the lock on there is no such finding: threads take turns anyway.
    """
    if gil_enabled:
        return ()
    found: list[Contention] = []
    for cost in costs:
        if cost.cpu_s < _COMPUTES * cost.wall_s:
            continue
        levels = sorted({level for _, size, level in rates if size == cost.size})
        for level in levels:
            if 1 < level <= cores:
                one = _contention(rates, cost, level)
                if one is not None:
                    found.append(one)
    return tuple(found)


def scaling(several: Interval, alone: Interval) -> Interval:
    """How many times one caller's throughput several have, between the bounds that both allow."""
    low = several.low / max(alone.high, 1e-12)
    high = several.high / max(alone.low, 1e-12)
    return Interval(several.value / max(alone.value, 1e-12), low, high)


def _contention(rates: Mapping[CellKey, Interval], cost: Cost, level: int) -> Contention | None:
    threads = _scaling(rates, Contender("thread", cost.variant), cost.size, level)
    apart = _scaling(rates, Contender("process", cost.variant), cost.size, level)
    if threads is None or apart is None:
        return None
    if apart.value < CORES_WERE_THERE * level or threads.high > CONTENDED_SHARE * apart.low:
        return None
    return Contention(
        variant=cost.variant,
        size=cost.size,
        concurrency=level,
        scaling=threads.value,
        scaling_apart=apart.value,
    )


def _scaling(
    rates: Mapping[CellKey, Interval], contender: Contender, size: float, level: int
) -> Interval | None:
    several, alone = rates.get((contender, size, level)), rates.get((contender, size, 1))
    return None if several is None or alone is None else scaling(several, alone)
