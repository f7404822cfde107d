"""People who may change the directory."""

import time
from typing import Any, Literal

from supplyr.db.database import Reader, Row, Transaction

Role = Literal["writer", "admin"]


def email_key(email: str) -> str:
    """Return an address as it is kept: whoever types it in capitals is the same."""
    return email.strip().casefold()


async def add(
    transaction: Transaction, email: str, display_name: str, password_hash: str, role: Role
) -> int:
    """Add somebody and return their id; ConflictError where the address is taken."""
    row = await transaction.fetch_one(
        "INSERT INTO users (email, display_name, password_hash, role, created_at_s)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (email_key(email), display_name, password_hash, role, time.time()),
    )
    assert row is not None
    return int(row["id"])


async def by_email(reader: Reader, email: str) -> Row | None:
    """Return somebody who may log in, or None."""
    return await reader.fetch_one(
        "SELECT * FROM users WHERE email = ? AND disabled_at_s IS NULL", (email_key(email),)
    )


async def by_id(reader: Reader, user_id: int) -> Row | None:
    """Return somebody who may log in, or None."""
    return await reader.fetch_one(
        "SELECT * FROM users WHERE id = ? AND disabled_at_s IS NULL", (user_id,)
    )


async def set_password(transaction: Transaction, user_id: int, password_hash: str) -> None:
    """Replace a password."""
    await transaction.execute(
        "UPDATE users SET password_hash = ? WHERE id = ?", (password_hash, user_id)
    )


async def set_disabled(transaction: Transaction, user_id: int, *, disabled: bool) -> bool:
    """Let somebody in no longer, or again; False where there is nobody of that number."""
    moment = time.time() if disabled else None
    changed = await transaction.execute(
        "UPDATE users SET disabled_at_s = ? WHERE id = ?", (moment, user_id)
    )
    if disabled:
        await transaction.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,))
    return changed > 0


async def every(reader: Reader) -> list[dict[str, Any]]:
    """Return everybody, without what is secret."""
    return await reader.fetch_all(
        "SELECT id, email, display_name, role, created_at_s, disabled_at_s FROM users ORDER BY id"
    )


async def there_are_any(reader: Reader) -> bool:
    """Whether somebody has an account."""
    return await reader.fetch_one("SELECT id FROM users LIMIT 1") is not None
