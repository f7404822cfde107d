"""Exports: of what a question finds, streamed at once; of the whole directory, as a job."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from supplyr.exports.formats import FORMATS, FormatName
from supplyr.jobs.background import Background
from supplyr.jobs.exporting import TooManyRowsError, found_pages, stream
from supplyr.web import work
from supplyr.web.api.asked import Asked
from supplyr.web.api.jobs import MEDIA, Job, Key, started
from supplyr.web.api.models import STRICT
from supplyr.web.api.responses import problems
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer
from supplyr.web.limits import SEARCHES, WRITES

router = APIRouter(prefix="/api/v1", tags=["exports"])
# A search that finds more than this is exported as a job.
_AT_MOST = {"csv": 100_000, "xlsx": 20_000, "pdf": 5_000}


class ExportIn(BaseModel):
    """Which format."""

    model_config = STRICT

    format: Literal["csv", "xlsx", "pdf"]


@router.get(
    "/exports/suppliers.{name}",
    response_class=StreamingResponse,
    responses={**problems(400), 200: {"content": MEDIA}},
    dependencies=[SEARCHES],
)
async def export_found(
    request: Request,
    identity: Writer,
    question: Asked,
    name: Annotated[FormatName, Path()],
) -> Response:
    """Return what a question finds as a file, streamed; a client that leaves ends the work."""
    return await found_file(request, question, name)


async def found_file(request: Request, question: Asked, name: FormatName) -> Response:
    """Return the streamed file of a question."""
    context = context_of(request)
    overview = await context.search.overview(question)
    if overview.suppliers > _AT_MOST[name]:
        raise ProblemError(
            400,
            f"That finds more than {_AT_MOST[name]:,} suppliers. Narrow it, or export the whole"
            " directory as a job.",
            code="too-many",
        )
    pieces = stream(
        Background(context.runtime),
        found_pages(context.search, question),
        name,
        context.settings.data_dir / "scratch",
    )
    try:
        # Whatever is wrong shows before the first byte, when it can still be told.
        first = await anext(pieces, b"")
    except TooManyRowsError as error:
        raise ProblemError(400, str(error), code="too-many") from error
    return StreamingResponse(
        _rest(first, pieces),
        media_type=FORMATS[name].media_type,
        headers={"content-disposition": f'attachment; filename="suppliers.{name}"'},
    )


async def _rest(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()


@router.post("/exports", status_code=202, responses=problems(403, 409), dependencies=[WRITES])
async def start_export(
    request: Request, response: Response, identity: Writer, asked: ExportIn, key: Key = None
) -> Job:
    """Export the whole directory, as a job; its file is at `/jobs/{id}/file` then."""
    return started(response, await work.start_export(request, identity, asked.format, key))
