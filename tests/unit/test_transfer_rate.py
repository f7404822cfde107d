"""How fast bytes cross: never faster than memory, whatever a noisy measurement says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.model.facts import FASTEST_TRANSFER_BYTES_PER_S, transfer_rate


@given(st.floats(1, 1e12), st.floats(allow_nan=False, allow_infinity=False))
def test_a_rate_is_positive_and_no_faster_than_memory(crossed_bytes: float, took_s: float) -> None:
    rate = transfer_rate(crossed_bytes, took_s)
    assert 0 < rate <= FASTEST_TRANSFER_BYTES_PER_S * (1 + 1e-9)


def test_what_is_slower_is_told_as_it_was() -> None:
    assert transfer_rate(8e6, 0.004) == pytest.approx(2e9)


@pytest.mark.parametrize("took_s", [0.0, -1e-3, 1e-6])
def test_a_time_of_which_nothing_is_left_is_no_speed_without_end(took_s: float) -> None:
    assert transfer_rate(8e6, took_s) == FASTEST_TRANSFER_BYTES_PER_S
