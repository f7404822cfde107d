"""Durable jobs: how far they are, what came of them, and their end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import FileResponse, Response, StreamingResponse

from supplyr.exports.formats import FORMATS
from supplyr.exports.rows import neutral
from supplyr.jobs.files import resolved
from supplyr.store import job_records, jobs
from supplyr.store.job_life import FINAL
from supplyr.web import work
from supplyr.web.api.asked import Typed
from supplyr.web.api.models import MAX_ID
from supplyr.web.api.responses import PARTS, problems
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Admin, Writer
from supplyr.web.limits import WRITES

router = APIRouter(prefix="/api/v1", tags=["jobs"])
JobId = Annotated[int, Path(ge=1, le=MAX_ID)]
Key = Annotated[
    Typed | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=200,
        description="The same key again is the same job, however often it is sent",
    ),
]
# One connection's events; browsers connect again by themselves. Servers that end wait for open
# connections, so none is kept for long.
_EVENTS_S = 4.0
_EVERY_S = 0.3
_ERRORS_AT_ONCE = 2000
# What an export may be, for OpenAPI.
MEDIA: dict[str, dict[str, str]] = {
    one.media_type.partition(";")[0]: {} for one in FORMATS.values()
}


class Job(BaseModel):
    """A job: `progress_total` is unknown at first; `error` is also that of the last attempt."""

    id: int
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    cancel_asked: bool
    progress_done: int
    progress_total: int | None
    progress_note: str
    rows_rejected: int
    attempts: int
    error: str | None
    result: dict[str, Any] | None
    created_at_s: float
    started_at_s: float | None
    finished_at_s: float | None


class JobPage(BaseModel):
    """Jobs, newest first; pass `next_before` as `before` for older ones."""

    items: list[Job]
    next_before: int | None


@router.get("/jobs", responses=problems())
async def list_jobs(
    request: Request,
    identity: Writer,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JobPage:
    """Return one's own jobs; administrators see all."""
    owner = None if identity.role == "admin" else identity.user_id
    rows = await jobs.latest(context_of(request).database, owner, before, limit + 1)
    items = [Job(**work.told_of(row)) for row in rows[:limit]]
    return JobPage(items=items, next_before=items[-1].id if len(rows) > limit else None)


@router.get("/jobs/{job_id}", responses=problems(404))
async def read_job(request: Request, identity: Writer, job_id: JobId) -> Job:
    """Return a job."""
    return Job(**work.told_of(await work.job_of(request, identity, job_id)))


@router.post(
    "/jobs/{job_id}/cancel", status_code=202, responses=problems(403, 404), dependencies=[WRITES]
)
async def cancel_job(request: Request, identity: Writer, job_id: JobId) -> Job:
    """Ask for a job's end. What it has done for good stays."""
    await work.cancel_job(request, identity, job_id)
    return Job(**work.told_of(await work.job_of(request, identity, job_id)))


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={**problems(404), 200: {"content": {"text/event-stream": {}}}},
)
async def job_events(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Stream a job's progress as server-sent events until it is over.

    A connection ends after some seconds; event sources connect again by themselves.
    """
    row = await work.job_of(request, identity, job_id)
    database = context_of(request).database

    async def events() -> AsyncIterator[bytes]:
        until_s = time.monotonic() + _EVENTS_S
        told = ""
        seen: dict[str, Any] | None = row
        yield b"retry: 200\n\n"
        while seen is not None:
            state = json.dumps(work.told_of(seen), separators=(",", ":"))
            if state != told:
                name = "end" if seen["state"] in FINAL else "progress"
                yield f"event: {name}\ndata: {state}\n\n".encode()
                told = state
            if seen["state"] in FINAL or time.monotonic() > until_s:
                return
            await asyncio.sleep(_EVERY_S)
            seen = await jobs.get(database, job_id)

    return StreamingResponse(
        events(), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


@router.get(
    "/jobs/{job_id}/errors.csv",
    response_class=StreamingResponse,
    responses={**problems(404), 200: {"content": {"text/csv": {}}}},
)
async def job_errors(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Return what was wrong with the rows of an import, as CSV."""
    await work.job_of(request, identity, job_id)
    return errors_csv(request, job_id)


def errors_csv(request: Request, job_id: int) -> Response:
    """Return the row errors of a job as a file."""
    database = context_of(request).database

    async def pieces() -> AsyncIterator[bytes]:
        yield b"\xef\xbb\xbfRow,Field,Message\r\n"
        after = (0, "")
        while rows := await job_records.row_errors(database, job_id, after, _ERRORS_AT_ONCE):
            yield "".join(
                f"{row['row_number']},{row['field']},{_quoted(row['message'])}\r\n" for row in rows
            ).encode()
            after = (rows[-1]["row_number"], rows[-1]["field"])

    name = f"import-{job_id}-errors.csv"
    return StreamingResponse(
        pieces(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _quoted(text: str) -> str:
    # What was wrong with a cell quotes the cell, and a cell may be a formula.
    return '"' + neutral(text).replace('"', '""') + '"'


@router.get(
    "/jobs/{job_id}/file",
    response_class=FileResponse,
    responses={**problems(404), **PARTS, 200: {"content": MEDIA}},
)
async def job_file(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Return the file that an export has written."""
    await work.job_of(request, identity, job_id)
    context = context_of(request)
    file = await job_records.file_of(context.database, job_id, "output")
    path = None if file is None else resolved(context.settings.data_dir, file["path"])
    if file is None or path is None or not await asyncio.to_thread(path.is_file):
        raise ProblemError(404, f"Job {job_id} has no file (yet).", code="no-file")
    return FileResponse(path, media_type=file["media_type"], filename=file["file_name"])


@router.post("/ranking-runs", status_code=202, responses=problems(403, 409), dependencies=[WRITES])
async def start_ranking(
    request: Request, response: Response, identity: Admin, key: Key = None
) -> Job:
    """Compute all ranking scores anew."""
    return started(response, await work.start_ranking(request, identity, key))


def started(response: Response, added: tuple[Any, bool]) -> Job:
    """Return a job that was started, with its address in `Location`."""
    row, is_new = added
    response.headers["location"] = f"/api/v1/jobs/{row['id']}"
    response.headers["idempotency-replayed"] = "false" if is_new else "true"
    return Job(**work.told_of(row))
