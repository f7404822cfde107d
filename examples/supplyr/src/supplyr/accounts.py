"""Hash and verify passwords with Argon2id; the size of a call is its memory cost in KiB."""

import re
from functools import lru_cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from lanewise import task

# RFC 9106, second recommended option: 64 MiB, 3 passes. Parallelism is 1 here so that one call
# occupies one core and lanes stay comparable.
DEFAULT_MEMORY_COST_KIB = 65536
TIME_COST = 3
PARALLELISM = 1
MIN_MEMORY_COST_KIB = 8 * PARALLELISM
MAX_MEMORY_COST_KIB = 1024 * 1024
MAX_PASSWORD_CHARACTERS = 1024
_SAMPLE_PASSWORD = "correct horse battery staple"  # noqa: S105 - input of measurements only
_MEMORY_COST = re.compile(r"\$m=(\d{1,9}),")


class InvalidPasswordHashError(ValueError):
    """The stored hash is not an Argon2 hash that SUPPLYR would have written."""


def _hasher(memory_cost_kib: int) -> PasswordHasher:
    if not MIN_MEMORY_COST_KIB <= memory_cost_kib <= MAX_MEMORY_COST_KIB:
        raise ValueError(
            f"memory_cost_kib must be within {MIN_MEMORY_COST_KIB} and {MAX_MEMORY_COST_KIB},"
            f" got {memory_cost_kib!r}"
        )
    return PasswordHasher(
        time_cost=TIME_COST, memory_cost=memory_cost_kib, parallelism=PARALLELISM, type=Type.ID
    )


def _check_password(password: str) -> None:
    if not 0 < len(password) <= MAX_PASSWORD_CHARACTERS:
        raise ValueError(
            f"a password must have 1 to {MAX_PASSWORD_CHARACTERS} characters, got {len(password)}"
        )


def memory_cost_of_hash_kib(stored_hash: str) -> int:
    """Return the memory cost in KiB that a stored hash declares, 0 if it declares none."""
    match = _MEMORY_COST.search(stored_hash)
    return int(match.group(1)) if match else 0


def _hash_size(password: str, memory_cost_kib: int = DEFAULT_MEMORY_COST_KIB) -> int:
    return memory_cost_kib


def _hash_inputs(size: int) -> tuple[str, int]:
    return _SAMPLE_PASSWORD, size


def _verify_size(stored_hash: str, password: str) -> int:
    return memory_cost_of_hash_kib(stored_hash)


@lru_cache(maxsize=32)
def _sample_hash(memory_cost_kib: int) -> str:
    # A fixed salt, so that the inputs of a measurement repeat.
    return _hasher(memory_cost_kib).hash(_SAMPLE_PASSWORD, salt=b"supplyr-sample-1")


def _verify_inputs(size: int) -> tuple[str, str]:
    return _sample_hash(size), _SAMPLE_PASSWORD


@task(size=_hash_size, inputs=_hash_inputs, idempotent=True)
def hash_password(password: str, memory_cost_kib: int = DEFAULT_MEMORY_COST_KIB) -> str:
    """Return the Argon2id hash of `password` with a random salt, as an encoded string.

    Raises ValueError for an empty or overlong password and a memory cost out of range.
    """
    _check_password(password)
    return _hasher(memory_cost_kib).hash(password)


@task(size=_verify_size, inputs=_verify_inputs, idempotent=True)
def verify_password(stored_hash: str, password: str) -> bool:
    """Tell whether `password` is the one that was hashed.

    Raises InvalidPasswordHashError when the stored text is not an Argon2 hash or asks for more
    memory than MAX_MEMORY_COST_KIB: such a record is damaged and has to be reset.
    """
    if memory_cost_of_hash_kib(stored_hash) > MAX_MEMORY_COST_KIB:
        raise InvalidPasswordHashError(
            "the stored hash asks for too much memory; reset the password"
        )
    try:
        return PasswordHasher().verify(stored_hash, password)
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError) as error:
        raise InvalidPasswordHashError(
            f"the stored text is not a usable Argon2 hash ({error}); reset the password"
        ) from error
