"""Logging in: by address and password, with a wait after some mistakes."""

import time
from typing import NamedTuple

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

    Raises OverloadedError where too many log in at once.
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
    if not await passwords.holds(stored, password) or user is None:
        return Refused(0.0)
    fresh = await passwords.hashed(password) if passwords.is_outdated(stored or "") else None
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
