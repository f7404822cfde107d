"""Passwords: hashed and checked on a lane, a few at a time.

Argon2id takes 64 MB for each one on purpose, so the number of those at once is what bounds the
memory that logins can take. Who finds no place waits for a moment and is then asked to come again.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lanewise import OverloadedError, Runtime

from supplyr.accounts import (
    InvalidPasswordHashError,
    hash_password,
    memory_cost_of_hash_kib,
    verify_password,
)

MIN_CHARACTERS = 12
MAX_CHARACTERS = 256


class PasswordError(ValueError):
    """A new password cannot be taken; the message says why."""


def check_new(password: str, email: str) -> None:
    """Raise PasswordError for a password that is too easy to guess."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise PasswordError(f"A password needs {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.")
    if len(set(password)) < 5:
        raise PasswordError("A password needs at least five different characters.")
    if password.casefold() in email.casefold() or email.partition("@")[0].casefold() == password:
        raise PasswordError("A password must not be the address.")


class Passwords:
    """Hashes and checks passwords on lanes. owner: the app's event loop."""

    def __init__(self, runtime: Runtime, *, memory_kib: int, at_once: int, wait_s: float) -> None:
        self._runtime = runtime
        self._memory_kib = memory_kib
        self._places = asyncio.Semaphore(at_once)
        self._wait_s = wait_s
        self._decoy: str | None = None

    async def hashed(self, password: str) -> str:
        """Return the hash of a password; OverloadedError where there is no place for it."""
        async with self._place():
            return await self._runtime.run(hash_password, password, self._memory_kib)

    async def holds(self, stored_hash: str | None, password: str) -> bool:
        """Whether a password is right. None takes as long as any: nobody learns who has an account.

        Raises OverloadedError where there is no place for it.
        """
        if not 0 < len(password) <= MAX_CHARACTERS:
            return False
        if stored_hash is None:
            if self._decoy is None:
                self._decoy = await self.hashed("nobody's password")
            await self.holds(self._decoy, password)
            return False
        try:
            async with self._place():
                return await self._runtime.run(verify_password, stored_hash, password)
        except InvalidPasswordHashError:
            return False

    def is_outdated(self, stored_hash: str) -> bool:
        """Whether a hash was made with other costs than are set now."""
        return memory_cost_of_hash_kib(stored_hash) != self._memory_kib

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        try:
            await asyncio.wait_for(self._places.acquire(), self._wait_s)
        except TimeoutError as error:
            raise OverloadedError(
                "more passwords are to be checked than there are places", retry_after_s=self._wait_s
            ) from error
        try:
            yield
        finally:
            self._places.release()
