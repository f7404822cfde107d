"""The audit trail: append-only, each entry hashed together with the one before it.

Who changes an entry, takes one out or puts one in breaks the chain from there on, and `verify`
names the place. Who could rewrite the whole trail would still have to match a hash that somebody
noted elsewhere: `head` is for that.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from supplyr.db.database import Reader, Transaction

GENESIS = "0" * 64
_PAGE = 1000
# Any number; writers on PostgreSQL queue for it, so that no two continue the same entry.
_LOCK = 7_208_318


class Broken(NamedTuple):
    """Where the chain does not hold, and how."""

    number: int
    what: str


class Verdict(NamedTuple):
    """What a verification found: entries read, the last one's hash, and what is broken."""

    entries: int
    head: str
    broken: Broken | None


def entry_hash(previous: str, entry: Mapping[str, Any]) -> str:
    """Return the hash of an entry: of a JSON text with every field, and the hash before it."""
    told = [
        previous,
        entry["number"],
        repr(float(entry["at_s"])),
        entry["actor"],
        entry["action"],
        entry["subject"],
        entry["detail_json"],
    ]
    text = json.dumps(told, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


async def append(
    transaction: Transaction,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Append an entry in the transaction that does what it tells of; return its number.

    Args:
        transaction: Of the change itself: both are there in the end, or neither.
        actor: "user:7", "key:3", "system".
        action: "supplier.create" and the like.
        subject: "supplier:12", "job:5".
        detail: What else is to be known, JSON. No passwords, tokens or whole records.
    """
    if transaction.dialect == "postgresql":
        await transaction.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    last = await transaction.fetch_one(
        "SELECT number, entry_hash FROM audit_entries ORDER BY number DESC LIMIT 1"
    )
    previous = GENESIS if last is None else last["entry_hash"]
    entry: dict[str, Any] = {
        "number": 1 if last is None else last["number"] + 1,
        "at_s": time.time(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail_json": json.dumps(detail or {}, sort_keys=True, ensure_ascii=True),
    }
    await transaction.execute(
        "INSERT INTO audit_entries (number, at_s, actor, action, subject, detail_json,"
        " previous_hash, entry_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*entry.values(), previous, entry_hash(previous, entry)),
    )
    return int(entry["number"])


async def verify(reader: Reader) -> Verdict:
    """Read the whole trail, page by page, and say whether its chain holds."""
    verdict = Verdict(0, GENESIS, None)
    while True:
        rows = await reader.fetch_all(
            "SELECT * FROM audit_entries WHERE number > ? ORDER BY number LIMIT ?",
            (verdict.entries, _PAGE),
        )
        # Hashing a page takes some milliseconds, and there may be thousands of pages.
        verdict = await asyncio.to_thread(_continued, verdict, rows)
        if verdict.broken is not None or len(rows) < _PAGE:
            return verdict


def _continued(verdict: Verdict, rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """Return the verdict on what was read before and these entries behind it."""
    previous, expected = verdict.head, verdict.entries + 1
    for row in rows:
        if row["number"] != expected:
            what = f"entry {expected} is missing"
        elif row["previous_hash"] != previous:
            what = "it does not continue the entry before it"
        elif row["entry_hash"] != entry_hash(previous, row):
            what = "it was changed after it was written"
        else:
            previous, expected = row["entry_hash"], expected + 1
            continue
        return Verdict(expected - 1, previous, Broken(row["number"], what))
    return Verdict(expected - 1, previous, None)


async def latest(reader: Reader, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return entries, newest first, those below number `before` if it is given."""
    if before is None:
        return await reader.fetch_all(
            "SELECT * FROM audit_entries ORDER BY number DESC LIMIT ?", (limit,)
        )
    return await reader.fetch_all(
        "SELECT * FROM audit_entries WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before, limit),
    )


async def of_subject(reader: Reader, subject: str, limit: int) -> list[dict[str, Any]]:
    """Return what happened to one thing, newest first."""
    return await reader.fetch_all(
        "SELECT * FROM audit_entries WHERE subject = ? ORDER BY number DESC LIMIT ?",
        (subject, limit),
    )


async def contains(reader: Reader, head: str) -> bool:
    """Whether an entry has this hash: a head that somebody noted once."""
    row = await reader.fetch_one(
        "SELECT number FROM audit_entries WHERE entry_hash = ? LIMIT 1", (head,)
    )
    return row is not None or head == GENESIS
