"""Check digits against numbers that companies publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplyr.vat import complete_vat_number, is_valid_vat_number

COUNTRIES = ("DE", "AT", "FR", "IT", "BE")


@pytest.mark.parametrize(
    "number", ["DE136695976", "ATU13585627", "FR40303265045", "IT00743110157", "BE0428759497"]
)
def test_published_numbers_are_valid(number: str) -> None:
    assert is_valid_vat_number(number)


@given(st.sampled_from(COUNTRIES), st.text("0123456789", min_size=10, max_size=10))
def test_completed_numbers_are_valid(country: str, body: str) -> None:
    assert is_valid_vat_number(complete_vat_number(country, body))


@given(
    st.sampled_from(COUNTRIES),
    st.text("0123456789", min_size=10, max_size=10),
    st.integers(1, 9),
)
def test_a_wrong_last_digit_is_noticed(country: str, body: str, shift: int) -> None:
    number = complete_vat_number(country, body)
    wrong = number[:-1] + str((int(number[-1]) + shift) % 10)
    assert not is_valid_vat_number(wrong)


@pytest.mark.parametrize(
    "number", ["", "DE", "XX123456789", "DE12345678", "ATX13585627", "DE²36695976"]
)
def test_malformed_numbers_are_invalid(number: str) -> None:
    assert not is_valid_vat_number(number)


@given(st.text())
def test_arbitrary_text_is_answered(text: str) -> None:
    assert not is_valid_vat_number("DE" + text) or len(text) == 9


@pytest.mark.parametrize(
    ("country", "body"), [("XX", "1234567890"), ("DE", "12"), ("DE", "12a45678")]
)
def test_completion_refuses_what_it_cannot_do(country: str, body: str) -> None:
    with pytest.raises(ValueError, match=r"known: AT|leading digits"):
        complete_vat_number(country, body)
