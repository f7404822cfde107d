"""The export job: rows are gathered in steps, then written as a file that waits to be fetched."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from supplyr.exports.csv_rows import csv_heading, csv_page
from supplyr.exports.formats import FORMATS, FormatName
from supplyr.exports.rows import encode_rows
from supplyr.jobs.exporting import write_spool
from supplyr.jobs.files import store, write_whole
from supplyr.jobs.run import JobFailedError, Run
from supplyr.store import job_records, suppliers

KIND = "export"
# Made into rows on the event loop: a page takes it some milliseconds.
ROWS_A_STEP = 500


async def run_export(run: Run) -> dict[str, Any]:
    """Handle an export of the whole directory. Payload: format."""
    name: FormatName = run.job.payload["format"]
    total = await suppliers.count_active(run.database)
    if total > FORMATS[name].max_rows:
        raise JobFailedError(
            f"{total:,} suppliers do not fit into {name.upper()}"
            f" (at most {FORMATS[name].max_rows:,}); take CSV."
        )
    parts = await _gather(run, name, total)
    if "written" not in run.done:
        await _write(run, name, parts)
    written: dict[str, Any] = run.done["written"]
    return written


def _part(run: Run, number: int, attempt: int) -> Path:
    """Return the file of a part: one that is slow does not write over what a later one noted."""
    return run.folder / "parts" / f"{number:06d}-{attempt}"


def _parts(run: Run, count: int) -> list[Path]:
    noted = [run.done[f"part {number}"].get("attempt") for number in range(count)]
    if None in noted:  # by a version that named files otherwise; they are written anew
        raise ValueError("this export was begun by an older version: start it again")
    return [_part(run, number, attempt) for number, attempt in enumerate(noted)]


async def _gather(run: Run, name: FormatName, total: int) -> int:
    """Write the rows to files, one a step, and return how many files there are."""
    number = last_id = rows_seen = 0
    while True:
        step_name = f"part {number}"
        if step_name not in run.done:
            rows = await suppliers.active_after(run.database, last_id, ROWS_A_STEP)
            content = await asyncio.to_thread(encode_rows, rows)
            if name == "csv" and rows:
                content = await run.background.run(csv_page, content)
            await asyncio.to_thread(write_whole, _part(run, number, run.job.attempt), content)
            async with run.step(step_name) as step:
                step.outcome = {
                    "rows": len(rows),
                    "last_id": rows[-1]["id"] if rows else last_id,
                    "attempt": run.job.attempt,
                }
        outcome = run.done[step_name]
        number += 1
        if outcome["rows"] == 0:
            return number
        rows_seen, last_id = rows_seen + outcome["rows"], outcome["last_id"]
        await run.progress(rows_seen, max(total, rows_seen), "gathering")


async def _write(run: Run, name: FormatName, parts: int) -> None:
    rows = sum(outcome["rows"] for step, outcome in run.done.items() if step.startswith("part "))
    await run.progress(rows, rows, "writing the file", now=True)
    pieces = _csv_pieces(run, parts) if name == "csv" else _spooled_pieces(run, name, parts, rows)
    stored = await store(run.settings.data_dir, "exports", pieces)
    async with run.step("written") as step:
        await job_records.add_file(
            step.transaction,
            run.job.id,
            "output",
            stored.path,
            f"suppliers.{name}",
            FORMATS[name].media_type,
            stored.size_bytes,
        )
        step.outcome = {"rows": rows, "size_bytes": stored.size_bytes, "sha256": stored.sha256}


async def _csv_pieces(run: Run, parts: int) -> AsyncIterator[bytes]:
    yield csv_heading()
    for part in _parts(run, parts):
        yield await asyncio.to_thread(part.read_bytes)


async def _spooled_pieces(
    run: Run, name: FormatName, parts: int, rows: int
) -> AsyncIterator[bytes]:
    spool = run.folder / f"rows-{run.job.attempt}.jsonl"
    await asyncio.to_thread(_join, _parts(run, parts), spool)
    async for piece in write_spool(run.background, spool, rows, name):
        yield piece


def _join(parts: list[Path], target: Path) -> None:
    with target.open("wb") as file:
        for part in parts:
            file.write(part.read_bytes())
