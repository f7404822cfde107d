"""Which advice goes first: what gains most, in throughput and in the loop's lag together. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lanewise.diagnose.load import Advice
from lanewise.diagnose.loop_advice import LATE_S

_ORDER = ("thread", "process", "interpreter", "variant", "free_threaded", "switch_interval")
# A lag below this is as good as none.
_NO_LAG_S = 0.001
# Off a loop, to move work is a line, and another library was not seen: what it may gain counts less.
_UNSEEN = 4.0


def score(advice: Advice, lag_now_s: float | None) -> float:
    """Logarithms of both factors, added up; below 0 for what changes nothing.

    Args:
        advice: What is judged.
        lag_now_s: Of the loop that is latest; None without a loop.
    """
    if advice.strategy in {"stay", "unclear"}:
        return -1.0
    found = math.log(max(advice.predicted_gain or 1.0, 1.0))
    after_s = advice.predicted_loop_lag_p99_s
    if after_s is not None and lag_now_s is not None and lag_now_s >= LATE_S:
        found += max(0.0, math.log((lag_now_s + _NO_LAG_S) / (after_s + _NO_LAG_S)))
    unseen = advice.strategy == "variant" and after_s is None
    return found / _UNSEEN if unseen else found


def best_first(scored: Iterable[tuple[float, Advice]]) -> list[tuple[float, Advice]]:
    """Sort, and leave out what says the same of the same function less well."""
    kept: dict[tuple[str | None, str], tuple[float, Advice]] = {}
    for value, advice in sorted(scored, key=_place):
        kept.setdefault((advice.function, advice.strategy), (value, advice))
    return list(kept.values())


def _place(scored: tuple[float, Advice]) -> tuple[float, int]:
    value, advice = scored
    place = _ORDER.index(advice.strategy) if advice.strategy in _ORDER else len(_ORDER)
    return -round(value, 9), place
