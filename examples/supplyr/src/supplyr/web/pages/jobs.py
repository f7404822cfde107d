"""Pages of jobs: a list, and how far one is. Without JavaScript the page loads itself again."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from supplyr.exports.formats import FormatName
from supplyr.store import job_records, jobs
from supplyr.store.job_life import FINAL
from supplyr.web import work
from supplyr.web.api.asked import Asked, Typed
from supplyr.web.api.exports import found_file
from supplyr.web.api.jobs import JobId, errors_csv, job_file
from supplyr.web.api.models import MAX_ID
from supplyr.web.context import context_of
from supplyr.web.identity import Admin, Writer
from supplyr.web.limits import SEARCHES, WRITES
from supplyr.web.pages.search import around_town
from supplyr.web.rendering import is_partial, render

router = APIRouter(include_in_schema=False)
NAMES = {
    "import": "Import",
    "export": "Export",
    "duplicates": "Search for duplicates",
    "ranking": "Ranking",
}
_JOBS = 30
_ERRORS = 50
_NO_STORE = {"cache-control": "no-store"}


@router.get("/jobs")
async def list_jobs(
    request: Request,
    identity: Writer,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """Show one's own jobs; administrators see all."""
    owner = None if identity.role == "admin" else identity.user_id
    rows = await jobs.latest(context_of(request).database, owner, before, _JOBS)
    values = {
        "jobs": [work.told_of(row) for row in rows],
        "names": NAMES,
        "older": rows[-1]["id"] if len(rows) == _JOBS else None,
    }
    return render(request, "jobs.html", values, headers=_NO_STORE)


@router.get("/jobs/{job_id}")
async def show_job(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Show how far a job is; htmx asks for that part alone."""
    row = await work.job_of(request, identity, job_id)
    job = work.told_of(row)
    over = row["state"] in FINAL
    database = context_of(request).database
    errors = await job_records.row_errors(database, job_id, (0, ""), _ERRORS) if over else []
    values: dict[str, Any] = {"job": job, "over": over, "names": NAMES, "errors": errors}
    if is_partial(request):
        # Status 286 would end the polling too; an answer that asks for no more does as well.
        return render(request, "parts/job_state.html", values, headers=_NO_STORE)
    values["subject"] = _subject(row)
    return render(request, "job.html", values, headers=_NO_STORE)


def _subject(row: dict[str, Any]) -> str:
    name = json.loads(row["payload_json"]).get("file_name")
    return f"{name}." if name else ""


@router.post("/jobs/{job_id}/cancel", dependencies=[WRITES])
async def cancel_job(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Ask for a job's end."""
    await work.cancel_job(request, identity, job_id)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.get("/jobs/{job_id}/errors.csv")
async def row_errors(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Return what was wrong with the rows of an import, as CSV."""
    await work.job_of(request, identity, job_id)
    return errors_csv(request, job_id)


@router.get("/jobs/{job_id}/file")
async def written_file(request: Request, identity: Writer, job_id: JobId) -> Response:
    """Return the file that an export has written."""
    return await job_file(request, identity, job_id)


@router.post("/jobs/exports", dependencies=[WRITES])
async def start_export(
    request: Request, identity: Writer, name: Annotated[FormatName, Form(alias="format")]
) -> Response:
    """Export the whole directory."""
    row, _ = await work.start_export(request, identity, name, None)
    return RedirectResponse(f"/jobs/{row['id']}", 303)


@router.post("/jobs/ranking", dependencies=[WRITES])
async def start_ranking(request: Request, identity: Admin) -> Response:
    """Compute all ranking scores anew."""
    row, _ = await work.start_ranking(request, identity, None)
    return RedirectResponse(f"/jobs/{row['id']}", 303)


@router.get("/exports/suppliers.{name}", dependencies=[SEARCHES])
async def export_found(
    request: Request,
    identity: Writer,
    question: Asked,
    name: FormatName,
    around: Annotated[Typed, Query(max_length=80)] = "",
) -> Response:
    """Return what a question finds as a file: with the values of the page's query string."""
    radius = request.query_params.get("radius_km", "50")
    asked = await around_town(context_of(request), question, around, radius)
    return await found_file(request, asked, name)
