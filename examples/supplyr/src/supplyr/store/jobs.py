"""Jobs: their rows and attempts. What may happen is in job_life, what they leave in job_records.

Each change reads the row, lets `job_life` decide, and writes the outcome, in the transaction of its
caller; on PostgreSQL the row is locked meanwhile, on SQLite there is one writer.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from supplyr.db.database import ConflictError, Reader, Row, Transaction
from supplyr.store import job_life as states
from supplyr.store.job_life import Life, NotYoursError, Outcome

# Takers on PostgreSQL queue for it, so that two never count the same jobs of a kind.
_LOCK = 7_208_319
_MAX_ERROR_CHARACTERS = 2000


class NewJob(NamedTuple):
    """A job to be added. The same `idempotency_key` of an owner and kind is the same job."""

    kind: str
    owner_id: int | None
    payload: Mapping[str, Any]
    idempotency_key: str | None = None
    request_hash: str = ""
    max_attempts: int = 3


class Held(NamedTuple):
    """A job that somebody runs: by its lease and the number of the attempt."""

    id: int
    kind: str
    owner_id: int | None
    payload: dict[str, Any]
    owner: str
    attempt: int


class KeyUsedError(Exception):
    """The idempotency key was used for another request."""


def life_of(row: Mapping[str, Any]) -> Life:
    """Return what `job_life` needs of a row."""
    return Life(
        state=row["state"],
        attempt=row["attempts"],
        failures=row["failures"],
        max_attempts=row["max_attempts"],
        not_before_s=row["not_before_s"],
        lease_owner=row["lease_owner"],
        lease_until_s=row["lease_until_s"],
        cancel_asked=row["cancel_asked_at_s"] is not None,
        error=row["error"],
    )


async def get(reader: Reader, job_id: int) -> Row | None:
    """Return a job's row, or None."""
    return await reader.fetch_one("SELECT * FROM jobs WHERE id = ?", (job_id,))


async def latest(
    reader: Reader, owner_id: int | None, before_id: int | None, limit: int
) -> list[Row]:
    """Return jobs, newest first: of one owner, or of all where that is None."""
    return await reader.fetch_all(
        "SELECT * FROM jobs WHERE (CAST(? AS BIGINT) IS NULL OR owner_id = ?) AND id < ?"
        " ORDER BY id DESC LIMIT ?",
        (owner_id, owner_id, before_id if before_id is not None else 2**62, limit),
    )


async def add(transaction: Transaction, new: NewJob) -> tuple[Row, bool]:
    """Add a job, or find the one with its idempotency key; (row, whether it is new).

    Raises KeyUsedError when the key was used for another request.
    """
    if new.idempotency_key is not None:
        known = await transaction.fetch_one(
            "SELECT * FROM jobs WHERE kind = ? AND idempotency_key = ?"
            " AND coalesce(owner_id, 0) = ?",
            (new.kind, new.idempotency_key, new.owner_id or 0),
        )
        if known is not None:
            if known["request_hash"] != new.request_hash:
                raise KeyUsedError(new.idempotency_key)
            return known, False
    row = await transaction.fetch_one(
        "INSERT INTO jobs (kind, owner_id, idempotency_key, request_hash, payload_json,"
        " max_attempts, created_at_s) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (
            new.kind,
            new.owner_id,
            new.idempotency_key,
            new.request_hash,
            json.dumps(new.payload, ensure_ascii=False),
            new.max_attempts,
            time.time(),
        ),
    )
    if row is None:
        raise ConflictError("the job was not added")
    return row, True


async def _locked(transaction: Transaction, job_id: int) -> Row:
    lock = " FOR UPDATE" if transaction.dialect == "postgresql" else ""
    row = await transaction.fetch_one(f"SELECT * FROM jobs WHERE id = ?{lock}", (job_id,))  # noqa: S608 - constants
    if row is None:
        raise NotYoursError(f"there is no job {job_id}")
    return row


async def _write(transaction: Transaction, row: Row, life: Life, now_s: float) -> None:
    started = row["started_at_s"]
    cancel_asked = row["cancel_asked_at_s"]
    if life.cancel_asked and cancel_asked is None:
        cancel_asked = now_s
    await transaction.execute(
        "UPDATE jobs SET state = ?, attempts = ?, failures = ?, not_before_s = ?, lease_owner = ?,"
        " lease_until_s = ?, cancel_asked_at_s = ?, error = ?, started_at_s = ?, finished_at_s = ?"
        " WHERE id = ?",
        (
            life.state,
            life.attempt,
            life.failures,
            life.not_before_s,
            life.lease_owner,
            life.lease_until_s,
            cancel_asked,
            None if life.error is None else life.error[:_MAX_ERROR_CHARACTERS],
            now_s if started is None and life.state == "running" else started,
            now_s if life.state in states.FINAL else None,
            row["id"],
        ),
    )


async def _end_attempt(
    transaction: Transaction, job_id: int, attempt: int, outcome: Outcome, error: str | None
) -> None:
    await transaction.execute(
        "UPDATE job_attempts SET ended_at_s = ?, outcome = ?, error = ?"
        " WHERE job_id = ? AND number = ? AND ended_at_s IS NULL",
        (
            time.time(),
            outcome,
            None if error is None else error[:_MAX_ERROR_CHARACTERS],
            job_id,
            attempt,
        ),
    )


async def release_lost(
    transaction: Transaction, now_s: float, is_gone: Callable[[str], bool] = lambda _: False
) -> list[int]:
    """Give back the jobs whose runner is gone: its lease ran out, or `is_gone(owner)` knows it."""
    rows = await transaction.fetch_all("SELECT * FROM jobs WHERE state = 'running' ORDER BY id")
    lost: list[int] = []
    for seen in rows:
        if not life_of(seen).is_lost(now_s) and not is_gone(seen["lease_owner"] or ""):
            continue
        row = await _locked(transaction, seen["id"])
        life = life_of(row)
        if life.state != "running" or life.attempt != seen["attempts"]:
            continue
        over = states.lose(_expired(life, now_s), now_s)
        await _write(transaction, row, over, now_s)
        await _end_attempt(transaction, row["id"], life.attempt, "lost", over.error)
        lost.append(row["id"])
    return lost


def _expired(life: Life, now_s: float) -> Life:
    return replace(life, lease_until_s=min(life.lease_until_s or 0.0, now_s))


async def take(
    transaction: Transaction, kinds: Sequence[str], owner: str, now_s: float, lease_s: float
) -> Held | None:
    """Take the oldest job of one of `kinds` of which none runs anywhere; None if there is none."""
    if transaction.dialect == "postgresql":
        await transaction.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    rows = await transaction.fetch_all(
        "SELECT id, kind FROM jobs WHERE state = 'queued' AND cancel_asked_at_s IS NULL"
        " AND not_before_s <= ? AND kind NOT IN (SELECT kind FROM jobs WHERE state = 'running')"
        " ORDER BY id LIMIT 100",
        (now_s,),
    )
    for seen in rows:
        if seen["kind"] not in kinds:
            continue
        row = await _locked(transaction, seen["id"])
        # Somebody may have cancelled it since it was looked for.
        if life_of(row).may_be_taken(now_s):
            return await _taken(transaction, row, owner, now_s, lease_s)
    return None


async def _taken(
    transaction: Transaction, row: Row, owner: str, now_s: float, lease_s: float
) -> Held:
    life = states.take(life_of(row), owner, now_s, lease_s)
    await _write(transaction, row, life, now_s)
    await transaction.execute(
        "INSERT INTO job_attempts (job_id, number, runner, started_at_s) VALUES (?, ?, ?, ?)",
        (row["id"], life.attempt, owner, now_s),
    )
    return Held(
        row["id"],
        row["kind"],
        row["owner_id"],
        json.loads(row["payload_json"]),
        owner,
        life.attempt,
    )


async def renew(transaction: Transaction, held: Held, now_s: float, lease_s: float) -> Life:
    """Hold a job for longer; NotYoursError when it is held no more."""
    row = await _locked(transaction, held.id)
    life = states.renew(life_of(row), held.owner, held.attempt, now_s, lease_s)
    await _write(transaction, row, life, now_s)
    return life


async def check_held(transaction: Transaction, held: Held) -> None:
    """Raise NotYoursError unless the job is still held; it stays so until the transaction ends."""
    row = await _locked(transaction, held.id)
    states.renew(life_of(row), held.owner, held.attempt, 0.0, 0.0)


async def _end(
    transaction: Transaction,
    held: Held,
    decide: Callable[[Life], Life],
    outcome: Outcome,
    error: str | None = None,
) -> Life:
    row = await _locked(transaction, held.id)
    life = decide(life_of(row))
    await _write(transaction, row, life, time.time())
    await _end_attempt(transaction, held.id, held.attempt, outcome, error)
    return life


async def finish(transaction: Transaction, held: Held, result: Mapping[str, Any]) -> None:
    """A job is done, with `result`."""
    await _end(
        transaction, held, lambda life: states.finish(life, held.owner, held.attempt), "done"
    )
    await transaction.execute(
        "UPDATE jobs SET result_json = ?, progress_note = '' WHERE id = ?",
        (json.dumps(result, ensure_ascii=False), held.id),
    )


async def fail(transaction: Transaction, held: Held, error: str, *, for_good: bool) -> Life:
    """An attempt failed; what becomes of the job is returned."""

    def decide(life: Life) -> Life:
        return states.fail(life, held.owner, held.attempt, time.time(), error, for_good=for_good)

    return await _end(transaction, held, decide, "failed", error)


async def stop(transaction: Transaction, held: Held) -> None:
    """The server ends: give the job back."""
    await _end(
        transaction, held, lambda life: states.stop(life, held.owner, held.attempt), "stopped"
    )


async def end_cancelled(transaction: Transaction, held: Held) -> None:
    """The runner has ended a job because that was asked."""
    await _end(
        transaction,
        held,
        lambda life: states.cancelled(life, held.owner, held.attempt),
        "cancelled",
    )


async def ask_cancel(transaction: Transaction, job_id: int) -> Life:
    """Ask for a job's end; NotYoursError where there is none of that number."""
    row = await _locked(transaction, job_id)
    life = states.ask_cancel(life_of(row))
    if life != life_of(row):
        await _write(transaction, row, life, time.time())
    return life


async def set_progress(
    transaction: Transaction, job_id: int, done: int, total: int | None, note: str
) -> None:
    """Note how far a job is."""
    await transaction.execute(
        "UPDATE jobs SET progress_done = ?, progress_total = ?, progress_note = ? WHERE id = ?",
        (done, total, note[:200], job_id),
    )
