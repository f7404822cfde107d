"""What these services do on lanes. A module of its own, so that workers load no web framework."""

from __future__ import annotations

import lanewise


@lanewise.task(size=lambda limit: limit, timeout_s=10.0)
def primes_below(limit: int) -> int:
    """Count the primes below a limit, the slow way."""
    sieve = bytearray([1]) * max(limit, 2)
    sieve[0] = sieve[1] = 0
    for number in range(2, int(len(sieve) ** 0.5) + 1):
        if sieve[number]:
            for multiple in range(number * number, len(sieve), number):
                sieve[multiple] = 0
    return sum(sieve)
