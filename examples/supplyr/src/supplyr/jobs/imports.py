"""The import job: stage the upload once, then check and write it block by block.

Parsing and checking run in tasks, on bytes. Each block is written in one short transaction that
also notes the block as done, so whatever is killed at whatever moment, a block is there once or not
yet. Searches go on meanwhile: readers do not wait for a writer.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

from lanewise import TaskTimeoutError

from supplyr.db.database import ConflictError
from supplyr.imports.checking import AcceptedRow, Checked, accepted_rows, check_block
from supplyr.imports.reading import Options
from supplyr.imports.staging import stage_file
from supplyr.jobs.files import resolved, write_whole
from supplyr.jobs.import_products import index_products, words_of_rows, write_products
from supplyr.jobs.import_suppliers import plan_block, write_block, write_singly
from supplyr.jobs.run import JobFailedError, Run
from supplyr.search.making import encode_codes
from supplyr.spreadsheet import CatalogueError
from supplyr.store import audit, codes, job_records

KIND = "import"
# So many errors are kept for the report; all refused rows are counted.
MAX_KEPT_ERRORS = 20_000
_TRIES = 5
# Of the largest file it takes some seconds; waiting for a worker counts as well.
_STAGING_S = 600.0


class Totals(NamedTuple):
    """What blocks did so far."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    rejected: int = 0

    def plus(self, outcome: dict[str, int]) -> "Totals":
        """Add the outcome of a block."""
        return Totals(*(have + outcome.get(name, 0) for name, have in self._asdict().items()))


async def run_import(run: Run) -> dict[str, Any]:
    """Handle an import. Payload: upload, kind, columns, options, update_existing, supplier_id."""
    if "staged" not in run.done:
        await _stage(run)
    staged = run.done["staged"]
    texts = {
        row["code"]: f"{row['title']} {row['search_text']}"
        for row in await codes.every(run.database)
    }
    code_texts = encode_codes(texts)
    totals = Totals()
    kept = 0
    ahead: asyncio.Task[Checked] | None = None
    try:
        for number in range(staged["blocks"]):
            name = f"block {number}"
            if name not in run.done:
                checked = await (ahead or _checking(run, number))
                last = number + 1 >= staged["blocks"]
                # The next block is checked while this one is written.
                ahead = None if last else asyncio.ensure_future(_checking(run, number + 1))
                room = max(0, MAX_KEPT_ERRORS - kept)
                await _write(run, name, checked, frozenset(texts), code_texts, room)
            totals = totals.plus(run.done[name])
            kept += run.done[name].get("problems", 0)
            await run.progress(totals.rows, staged["rows"], f"{totals.rejected:,} refused")
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
    await run.progress(totals.rows, staged["rows"], now=True)
    await _index(run, code_texts)
    await _note(run, totals)
    return totals._asdict()


def _block_path(run: Run, number: int) -> Path:
    return run.folder / "blocks" / f"{number:06d}.json"


async def _stage(run: Run) -> None:
    payload = run.job.payload
    await run.progress(0, None, "reading the file", now=True)
    path = resolved(run.settings.data_dir, payload["upload"])
    try:
        status = await asyncio.to_thread(path.stat)
    except FileNotFoundError as error:
        raise JobFailedError("The upload is not there any more; upload the file again.") from error
    # Whatever somebody sent is opened where it can be killed, whatever the build: see JOBS.md.
    isolated = run.background.isolated(_STAGING_S)
    try:
        staged = await isolated.run(
            stage_file,
            str(path),
            status.st_size,
            payload["kind"],
            payload["columns"],
            Options(**payload.get("options", {})),
        )
    except CatalogueError as error:
        raise JobFailedError(str(error)) from error
    except TaskTimeoutError as error:
        raise JobFailedError("The file takes too long to be read; split it.") from error
    for number, block in enumerate(staged.blocks):
        await asyncio.to_thread(write_whole, _block_path(run, number), block)
    async with run.step("staged") as step:
        step.outcome = {"rows": staged.rows, "blocks": len(staged.blocks), "names": staged.names}


async def _checking(run: Run, number: int) -> Checked:
    block = await asyncio.to_thread(_block_path(run, number).read_bytes)
    names = tuple(run.done["staged"]["names"])
    return await run.background.run(check_block, block, run.job.payload["kind"], names)


def _without_unknown_codes(
    rows: list[AcceptedRow], known: frozenset[str]
) -> tuple[list[AcceptedRow], list[tuple[int, str, str]]]:
    good: list[AcceptedRow] = []
    problems: list[tuple[int, str, str]] = []
    for row in rows:
        found = row.values.get("codes") or []
        unknown = [code for code in found if code not in known] if isinstance(found, list) else []
        if unknown:
            problems.append((row.number, "codes", f"{unknown[0]} is not in the classification"))
        else:
            good.append(row)
    return good, problems


async def _write(
    run: Run,
    name: str,
    checked: Checked,
    known_codes: frozenset[str],
    code_texts: bytes,
    room: int,
) -> None:
    payload = run.job.payload
    rows, unknown = _without_unknown_codes(accepted_rows(checked), known_codes)
    problems = [tuple(problem) for problem in checked.problems] + unknown
    if payload["kind"] == "products":
        words = words_of_rows(rows)
        async with run.step(name) as step:
            counts = await write_products(step.transaction, payload["supplier_id"], rows, words)
            step.outcome = await _kept(run, step.transaction, checked, counts, problems, room)
        return
    update = payload["update_existing"]
    for _ in range(_TRIES):
        plan = await plan_block(run, rows, code_texts, update=update)
        every = [*problems, *plan.problems]
        try:
            async with run.step(name) as step:
                counts = await write_block(step.transaction, plan)
                step.outcome = await _kept(run, step.transaction, checked, counts, every, room)
        except ConflictError:
            # Somebody added or changed one of these suppliers since it was looked for: look again.
            continue
        return
    # Rows that do not fit with each other never will: they are refused, and not the whole block.
    plans = [(row.number, await plan_block(run, [row], code_texts, update=update)) for row in rows]
    async with run.step(name) as step:
        counts, refused = await write_singly(step.transaction, plans)
        every = [*problems, *refused]
        step.outcome = await _kept(run, step.transaction, checked, counts, every, room)


async def _kept(
    run: Run, transaction: Any, checked: Checked, counts: dict[str, int], problems: Any, room: int
) -> dict[str, int]:
    """Keep what was wrong with rows of a block, and return the block's outcome."""
    written = counts["created"] + counts["updated"]
    refused = checked.rows - written
    kept = problems[:room]
    await job_records.add_row_errors(transaction, run.job.id, kept, refused)
    return {"rows": checked.rows, "rejected": refused, "problems": len(kept), **counts}


async def _index(run: Run, code_texts: bytes) -> None:
    """Index the products of an import as they are now that all are in, once."""
    if run.job.payload["kind"] != "products" or "indexed" in run.done:
        return
    for attempt in range(_TRIES):
        try:
            await index_products(run, run.job.payload["supplier_id"], code_texts)
        except ConflictError:
            if attempt + 1 == _TRIES:
                raise
        else:
            return


async def _note(run: Run, totals: Totals) -> None:
    """One entry of the audit trail for the whole import, once."""
    if "audited" in run.done:
        return
    detail = json.loads(json.dumps(totals._asdict()))
    async with run.step("audited") as step:
        await audit.append(
            step.transaction,
            f"user:{run.job.owner_id}",
            f"import.{run.job.payload['kind']}",
            f"job:{run.job.id}",
            detail,
        )
