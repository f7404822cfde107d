"""Wrong passwords, counted where all processes of a server see them.

An attempt is counted before its password is looked at and taken back if that was right, so that a
hundred attempts at once are a hundred.
"""

from typing import NamedTuple

from supplyr.db.database import Transaction

# So many mistakes cost nothing; from then on each doubles the wait. Many may share an address.
FREE_BY_ACCOUNT = 5
FREE_BY_ADDRESS = 20
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 900.0
_FORGOTTEN_AFTER_S = 3600.0


class Attempt(NamedTuple):
    """Whether an attempt may be made, and if not, in how many seconds."""

    wait_s: float

    @property
    def allowed(self) -> bool:
        """Whether the password may be looked at."""
        return self.wait_s <= 0


def wait_after(failures: int, free: int) -> float:
    """Return the seconds to wait after so many failures in a row, the first `free` of which are."""
    if failures <= free:
        return 0.0
    return float(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures - free - 1, 20)))


async def begin(transaction: Transaction, subject: str, free: int, now_s: float) -> Attempt:
    """Count an attempt of a subject ("account:...", "address:..."), unless it has to wait."""
    await transaction.execute(
        "DELETE FROM login_failures WHERE failed_at_s < ? AND blocked_until_s < ?",
        (now_s - _FORGOTTEN_AFTER_S, now_s),
    )
    row = await transaction.fetch_one(
        "INSERT INTO login_failures (subject, failures, failed_at_s, blocked_until_s)"
        " VALUES (?, 0, ?, 0)"
        " ON CONFLICT (subject) DO UPDATE SET failed_at_s = login_failures.failed_at_s"
        " RETURNING failures, blocked_until_s",
        (subject, now_s),
    )
    assert row is not None
    if row["blocked_until_s"] > now_s:
        return Attempt(row["blocked_until_s"] - now_s)
    failures = row["failures"] + 1
    await transaction.execute(
        "UPDATE login_failures SET failures = ?, failed_at_s = ?, blocked_until_s = ?"
        " WHERE subject = ?",
        (failures, now_s, now_s + wait_after(failures, free), subject),
    )
    return Attempt(0.0)


async def take_back(transaction: Transaction, subject: str) -> None:
    """Take back one attempt of a subject, and no more: others of it may have been wrong."""
    await transaction.execute(
        "UPDATE login_failures SET failures = failures - 1, blocked_until_s = 0"
        " WHERE subject = ? AND failures > 0",
        (subject,),
    )


async def forget(transaction: Transaction, subject: str) -> None:
    """Forget the failures of a subject: its password was right."""
    await transaction.execute("DELETE FROM login_failures WHERE subject = ?", (subject,))
