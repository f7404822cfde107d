"""How often one client may ask: a bucket of tokens each, refilled with time.

Buckets are kept in memory, for each process of a server by itself: they are there to keep one
client from taking what others need, and that need not be exact. Wrong passwords, which must be
counted exactly, are counted in the database (supplyr.store.login_failures).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

# Beyond so many clients the one that has been quiet for longest is forgotten: its bucket is full.
_MAX_BUCKETS = 50_000
_MINUTE_S = 60.0


class RateLimiter:
    """Token buckets by subject. owner: the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def taken(self, subject: str, per_minute: int, cost: float = 1.0) -> float:
        """Take from a subject's bucket; return 0.0, or the seconds until it has enough.

        A full bucket holds a sixth of what a minute brings (at least 5): so much may come at once.
        """
        now = self._clock()
        capacity = max(5.0, cost, per_minute / 6)
        tokens, since = self._buckets.pop(subject, (capacity, now))
        per_s = per_minute / _MINUTE_S
        tokens = min(capacity, tokens + (now - since) * per_s)
        enough = tokens >= cost
        self._buckets[subject] = (tokens - cost if enough else tokens, now)
        while len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (cost - tokens) / per_s


def whole_seconds(seconds: float) -> str:
    """Return seconds as a Retry-After header has them: whole, rounded up, 1 at least."""
    return str(max(1, math.ceil(seconds)))
