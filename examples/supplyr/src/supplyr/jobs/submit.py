"""Add jobs: the same idempotency key of the same person is the same job, however often it comes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from supplyr.db.database import ConflictError, Database, Row
from supplyr.store import audit, jobs
from supplyr.store.jobs import NewJob

MAX_KEY_CHARACTERS = 200


def request_hash(payload: Mapping[str, Any]) -> str:
    """Return a hash of what is asked for, whatever the order of its members."""
    text = json.dumps(payload, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


async def submit(
    database: Database,
    kind: str,
    owner_id: int,
    actor: str,
    payload: Mapping[str, Any],
    idempotency_key: str | None = None,
) -> tuple[Row, bool]:
    """Add a job and an entry of the audit trail; (its row, whether it is new).

    Raises KeyUsedError when the key was used for something else, ValueError for an unusable key.
    """
    if idempotency_key is not None and not 0 < len(idempotency_key) <= MAX_KEY_CHARACTERS:
        raise ValueError(f"an idempotency key has 1 to {MAX_KEY_CHARACTERS} characters")
    new = NewJob(kind, owner_id, payload, idempotency_key, request_hash(payload))
    try:
        return await _add(database, new, actor)
    except ConflictError:
        # Somebody else added it between our look and our insertion: now it is found.
        return await _add(database, new, actor)


async def _add(database: Database, new: NewJob, actor: str) -> tuple[Row, bool]:
    async with database.transaction() as transaction:
        row, is_new = await jobs.add(transaction, new)
        if is_new:
            await audit.append(transaction, actor, f"job.{new.kind}", f"job:{row['id']}")
    return row, is_new
