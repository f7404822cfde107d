"""Hypothesis without a clock and without a memory: a failure comes from a change, not from luck."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "lanewise",
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lanewise")
