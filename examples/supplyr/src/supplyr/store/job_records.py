"""What jobs leave behind: steps that are done for good, attempts, row errors, files."""

import json
import time
from collections.abc import Iterable
from typing import Any

from supplyr.db.database import Reader, Row, Transaction
from supplyr.store.jobs import Held


async def steps_done(reader: Reader, job_id: int) -> dict[str, Any]:
    """Return the outcomes of the steps that a job has done for good, by name."""
    rows = await reader.fetch_all(
        "SELECT step, outcome_json FROM job_steps WHERE job_id = ?", (job_id,)
    )
    return {row["step"]: json.loads(row["outcome_json"]) for row in rows}


async def add_step(transaction: Transaction, held: Held, step: str, outcome: Any) -> None:
    """Note that a step is done; ConflictError when it was done already."""
    await transaction.execute(
        "INSERT INTO job_steps (job_id, step, attempt, outcome_json, done_at_s)"
        " VALUES (?, ?, ?, ?, ?)",
        (held.id, step, held.attempt, json.dumps(outcome, ensure_ascii=False), time.time()),
    )


async def attempts_of(reader: Reader, job_id: int) -> list[Row]:
    """Return a job's attempts, first one first."""
    return await reader.fetch_all(
        "SELECT * FROM job_attempts WHERE job_id = ? ORDER BY number", (job_id,)
    )


async def add_row_errors(
    transaction: Transaction, job_id: int, errors: Iterable[tuple[int, str, str]], refused: int
) -> None:
    """Note what is wrong with rows (row, field, message), and how many rows are refused."""
    await transaction.execute_many(
        "INSERT INTO job_row_errors (job_id, row_number, field, message) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (job_id, row_number, field) DO NOTHING",
        [(job_id, row, field, message[:500]) for row, field, message in errors],
    )
    await transaction.execute(
        "UPDATE jobs SET rows_rejected = rows_rejected + ? WHERE id = ?", (refused, job_id)
    )


async def row_errors(reader: Reader, job_id: int, after: tuple[int, str], limit: int) -> list[Row]:
    """Return a page of what is wrong with rows, from behind (row, field) on."""
    return await reader.fetch_all(
        "SELECT row_number, field, message FROM job_row_errors WHERE job_id = ?"
        " AND (row_number > ? OR (row_number = ? AND field > ?))"
        " ORDER BY row_number, field LIMIT ?",
        (job_id, after[0], after[0], after[1], limit),
    )


async def add_file(
    transaction: Transaction,
    job_id: int,
    role: str,
    path: str,
    file_name: str,
    media_type: str,
    size_bytes: int,
) -> None:
    """Note a file of a job; `path` is relative to the data folder."""
    await transaction.execute(
        "INSERT INTO job_files (job_id, role, path, file_name, media_type, size_bytes,"
        " created_at_s) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (job_id, role, path, file_name, media_type, size_bytes, time.time()),
    )


async def file_of(reader: Reader, job_id: int, role: str) -> Row | None:
    """Return the latest file of a job in a role, or None."""
    return await reader.fetch_one(
        "SELECT * FROM job_files WHERE job_id = ? AND role = ? AND deleted_at_s IS NULL"
        " ORDER BY id DESC LIMIT 1",
        (job_id, role),
    )
