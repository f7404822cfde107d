"""Password hashing: right, wrong and damaged."""

import pytest

from supplyr.accounts import (
    InvalidPasswordHashError,
    hash_password,
    memory_cost_of_hash_kib,
    verify_password,
)

PASSWORD = "Grüße aus Köln"


def test_round_trip() -> None:
    stored = hash_password(PASSWORD, 64)
    assert stored.startswith("$argon2id$")
    assert memory_cost_of_hash_kib(stored) == 64
    assert verify_password(stored, PASSWORD)
    assert not verify_password(stored, PASSWORD + "!")


def test_equal_passwords_have_different_hashes() -> None:
    assert hash_password(PASSWORD, 64) != hash_password(PASSWORD, 64)


@pytest.mark.parametrize("memory_cost_kib", [0, 7, 2**30])
def test_memory_cost_out_of_range(memory_cost_kib: int) -> None:
    with pytest.raises(ValueError, match="memory_cost_kib must be within 8 and"):
        hash_password(PASSWORD, memory_cost_kib)


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_password_length(password: str) -> None:
    with pytest.raises(ValueError, match="1 to 1024 characters"):
        hash_password(password, 64)


@pytest.mark.parametrize(
    "stored",
    ["", "plain", "$argon2id$v=19$m=64,t=3,p=1$broken", "$argon2id$v=19$m=999999999,t=3,p=1$a$b"],
)
def test_damaged_hashes(stored: str) -> None:
    with pytest.raises(InvalidPasswordHashError, match="reset the password"):
        verify_password(stored, PASSWORD)
