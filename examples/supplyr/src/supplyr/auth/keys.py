"""API keys of programs: shown once, kept as a hash."""

import hashlib
import hmac
import secrets
import time
from typing import Any, NamedTuple

from supplyr.auth.identity import Identity
from supplyr.db.database import Database, Reader, Transaction

_START = "sk_"
_PREFIX_CHARACTERS = 12
_MAX_KEY_CHARACTERS = 100
_USED_EVERY_S = 60.0
MAX_KEYS = 20


class NewKey(NamedTuple):
    """A key that was just made: the only moment at which its text is known."""

    id: int
    key: str


def _hash(key: str) -> str:
    # As random as a session's token: no slow hash is needed.
    return hashlib.sha256(key.encode()).hexdigest()


async def make_key(transaction: Transaction, user_id: int, label: str) -> NewKey:
    """Make a key for somebody."""
    key = _START + secrets.token_urlsafe(36)
    row = await transaction.fetch_one(
        "INSERT INTO api_keys (user_id, label, prefix, key_hash, created_at_s)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (user_id, label, key[:_PREFIX_CHARACTERS], _hash(key), time.time()),
    )
    assert row is not None
    return NewKey(row["id"], key)


async def revoke_key(transaction: Transaction, user_id: int, key_id: int) -> bool:
    """Revoke a key of somebody; False where they have none of that number."""
    changed = await transaction.execute(
        "UPDATE api_keys SET revoked_at_s = ?"
        " WHERE id = ? AND user_id = ? AND revoked_at_s IS NULL",
        (time.time(), key_id, user_id),
    )
    return changed > 0


async def keys_of(reader: Reader, user_id: int) -> list[dict[str, Any]]:
    """Return the keys of somebody that are in use, newest first, without what is secret."""
    return await reader.fetch_all(
        "SELECT id, label, prefix, created_at_s, used_at_s FROM api_keys"
        " WHERE user_id = ? AND revoked_at_s IS NULL ORDER BY id DESC",
        (user_id,),
    )


async def identity_of_key(database: Database, key: str) -> Identity | None:
    """Return whose key it is, or None: unknown, revoked, or its user is disabled."""
    if not key.startswith(_START) or len(key) > _MAX_KEY_CHARACTERS:
        return None
    if not (key.isascii() and key.isprintable()):
        return None
    row = await database.fetch_one(
        "SELECT k.id AS key_id, k.key_hash, k.used_at_s, u.id, u.email, u.display_name, u.role"
        " FROM api_keys k JOIN users u ON u.id = k.user_id"
        " WHERE k.prefix = ? AND k.revoked_at_s IS NULL AND u.disabled_at_s IS NULL",
        (key[:_PREFIX_CHARACTERS],),
    )
    if row is None or not hmac.compare_digest(row["key_hash"], _hash(key)):
        return None
    now = time.time()
    if now - (row["used_at_s"] or 0.0) > _USED_EVERY_S:
        # Whoever reads does not wait for those who write.
        database.aside(
            ("key", row["key_id"]),
            "UPDATE api_keys SET used_at_s = ? WHERE id = ?",
            (now, row["key_id"]),
        )
    return Identity(row["id"], row["email"], row["display_name"], row["role"], "key", row["key_id"])
