"""Sessions of people: a random token in a cookie, its hash in the database."""

import hashlib
import secrets
import time

from supplyr.auth.identity import Identity
from supplyr.db.database import Database, Transaction
from supplyr.settings import Settings

_TOKEN_BYTES = 32
# How exact `seen_at_s` is: not every page that is looked at should write.
_SEEN_EVERY_S = 60.0


def _hash(token: str) -> str:
    # A random token of 256 bits needs no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()


async def begin_session(transaction: Transaction, user_id: int, settings: Settings) -> str:
    """Make a session and return its token: always a new one, so that no old one can be planted."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    now = time.time()
    await transaction.execute(
        "INSERT INTO sessions (token_hash, user_id, created_at_s, seen_at_s, expires_at_s)"
        " VALUES (?, ?, ?, ?, ?)",
        (_hash(token), user_id, now, now, now + settings.session_max_s),
    )
    await transaction.execute("DELETE FROM sessions WHERE expires_at_s < ?", (now,))
    return token


async def end_session(transaction: Transaction, token: str) -> None:
    """End a session; nothing happens where there is none."""
    await transaction.execute("DELETE FROM sessions WHERE token_hash = ?", (_hash(token),))


async def end_sessions_of(transaction: Transaction, user_id: int, keep: str = "") -> int:
    """End all sessions of somebody but one; return how many."""
    return await transaction.execute(
        "DELETE FROM sessions WHERE user_id = ? AND token_hash <> ?", (user_id, _hash(keep))
    )


async def identity_of_session(
    database: Database, token: str, settings: Settings
) -> Identity | None:
    """Return whose session a token is, or None: unknown, over, or its user is disabled."""
    now = time.time()
    row = await database.fetch_one(
        "SELECT s.seen_at_s, u.id, u.email, u.display_name, u.role FROM sessions s"
        " JOIN users u ON u.id = s.user_id"
        " WHERE s.token_hash = ? AND s.expires_at_s > ? AND s.seen_at_s > ?"
        " AND u.disabled_at_s IS NULL",
        (_hash(token), now, now - settings.session_idle_s),
    )
    if row is None:
        return None
    if now - row["seen_at_s"] > _SEEN_EVERY_S:
        # Whoever looks at a page does not wait for those who write.
        database.aside(
            ("session", _hash(token)),
            "UPDATE sessions SET seen_at_s = ? WHERE token_hash = ?",
            (now, _hash(token)),
        )
    return Identity(row["id"], row["email"], row["display_name"], row["role"], "session")
