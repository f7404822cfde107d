"""Logging in: by address and password, with a wait after some mistakes."""

import time
from typing import NamedTuple

from lanewise import OverloadedError

from supplyr.auth.passwords import Passwords
from supplyr.auth.sessions import begin_session, end_session
from supplyr.db.database import Database
from supplyr.settings import Settings
from supplyr.store import audit, login_failures, users


class LoggedIn(NamedTuple):
    """A new session's token."""

    token: str


class Refused(NamedTuple):
    """Why not. `wait_s` is 0 where the password (or the address) was wrong."""

    wait_s: float


async def log_in(
    database: Database,
    passwords: Passwords,
    settings: Settings,
    *,
    email: str,
    password: str,
    address: str,
    old_token: str = "",
) -> LoggedIn | Refused:
    """Check a password and begin a session; the one that the browser had before is ended.

    Raises OverloadedError where too many log in at once; that is no attempt.
    """
    account, place = f"account:{users.email_key(email)[:254]}", f"address:{address}"
    now = time.time()
    async with database.transaction() as transaction:
        attempts = [
            await login_failures.begin(transaction, account, login_failures.FREE_BY_ACCOUNT, now),
            await login_failures.begin(transaction, place, login_failures.FREE_BY_ADDRESS, now),
        ]
    wait_s = max(attempt.wait_s for attempt in attempts)
    if wait_s > 0:
        return Refused(wait_s)
    user = await users.by_email(database, email)
    stored = None if user is None else user["password_hash"]
    try:
        holds = await passwords.holds(stored, password)
    except OverloadedError:
        # The password was not looked at: whoever comes again with the right one must not wait.
        async with database.transaction() as transaction:
            for subject in (account, place):
                await login_failures.take_back(transaction, subject)
        raise
    if not holds or user is None:
        return Refused(0.0)
    fresh = await _fresh(passwords, password, stored)
    async with database.transaction() as transaction:
        await login_failures.forget(transaction, account)
        # Else whoever has an account could try others' passwords and log in between.
        await login_failures.take_back(transaction, place)
        if fresh is not None:
            await users.set_password(transaction, user["id"], fresh)
        if old_token:
            await end_session(transaction, old_token)
        token = await begin_session(transaction, user["id"], settings)
        await audit.append(transaction, f"user:{user['id']}", "login", f"user:{user['id']}")
    return LoggedIn(token)


async def _fresh(passwords: Passwords, password: str, stored: str | None) -> str | None:
    """Return a hash with the costs that are set now, or None where there is no need or no room."""
    if not passwords.is_outdated(stored or ""):
        return None
    try:
        return await passwords.hashed(password)
    except OverloadedError:
        return None  # the next login has another chance
