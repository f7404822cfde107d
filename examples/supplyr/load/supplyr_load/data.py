"""The directory that is served, and requests for what is really in it."""

import asyncio
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from supplyr.accounts import hash_password
from supplyr.auth.sessions import end_sessions_of
from supplyr.db.opening import opened
from supplyr.seeding import seed_directory
from supplyr.settings import Settings
from supplyr.store import audit, login_failures, users
from supplyr_load.wire import Request, request

# What people do in a directory: most look at suppliers, some search, few are seen while typing.
_PROFILES, _SEARCHES, _SUGGESTIONS = 120, 50, 30
CHEAP = "cheap.*"
_ADMIN = "demo@supplyr.example"


def ensure_directory(data_dir: Path, suppliers: int) -> Path:
    """Return a folder with a generated directory, making it where it is not there yet."""
    folder = data_dir / f"directory-{suppliers}"
    done = folder / "generated"
    if not done.exists():
        settings = Settings(data_dir=folder)
        if settings.sqlite_path.exists():  # from a run that was interrupted
            settings.sqlite_path.unlink()
        asyncio.run(_generate(settings, suppliers))
        done.touch()
    return folder


async def _generate(settings: Settings, suppliers: int) -> None:
    async with opened(settings) as database:
        await seed_directory(database, suppliers)


def cheap_requests(folder: Path, seed: int = 1) -> Sequence[Request]:
    """Return the cheap reads: profiles, searches, suggestions, of suppliers that exist."""
    path = Settings(data_dir=folder).sqlite_path
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT id, name, city FROM suppliers WHERE status = 'active' ORDER BY id"
        ).fetchall()
    rng = Random(seed)
    made = [
        request("cheap.profile", f"/api/v1/suppliers/{rng.choice(rows)[0]}")
        for _ in range(_PROFILES)
    ]
    for _ in range(_SEARCHES):
        _, name, city = rng.choice(rows)
        words = f"{name.split()[0]} {city}" if rng.randrange(2) else name
        made.append(request("cheap.search", f"/api/v1/suppliers?limit=10&q={quote(words)}"))
    for _ in range(_SUGGESTIONS):
        name = rng.choice(rows)[1]
        typed = name[: 3 + rng.randrange(4)]
        made.append(request("cheap.suggest", f"/api/v1/suggestions?q={quote(typed)}"))
    return made


def heavy_request(work: str, size: int, kind: str = "heavy") -> Request:
    """Return a request for heavy work, see supplyr_load.builds."""
    return request(kind, f"/compare/heavy/{work}?size={size}")


class Account(NamedTuple):
    """Who may log in, and with what."""

    email: str
    password: str


def give_account(folder: Path) -> Account:
    """Let an administrator into a directory with a password that is made now, and return both."""
    account = Account(_ADMIN, secrets.token_urlsafe(12))
    settings = Settings(data_dir=folder)
    hashed = hash_password(account.password, settings.login_memory_kib)
    asyncio.run(_give(settings, account.email, hashed))
    return account


async def _give(settings: Settings, email: str, hashed: str) -> None:
    async with opened(settings) as database, database.transaction() as transaction:
        user = await users.by_email(transaction, email)
        if user is None:
            user_id = await users.add(transaction, email, "Demonstration", hashed, "admin")
            action = "user.create"
        else:
            # From an earlier run, whose password is nobody's any more.
            user_id, action = user["id"], "password.reset"
            await users.set_password(transaction, user_id, hashed)
            await end_sessions_of(transaction, user_id)
            await login_failures.forget(transaction, f"account:{users.email_key(email)}")
        await audit.append(transaction, "command", action, f"user:{user_id}")
