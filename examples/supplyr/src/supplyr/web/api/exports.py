"""Exports: of what a question finds, streamed at once; of the whole directory, as a job."""

import os
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, BinaryIO, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from supplyr.exports.formats import FORMATS, FormatName
from supplyr.jobs.background import Background
from supplyr.jobs.exporting import Pages, TooManyRowsError, found_pages, made, pieces_from, stream
from supplyr.web import work
from supplyr.web.api.asked import Asked
from supplyr.web.api.jobs import MEDIA, Job, Key, started
from supplyr.web.api.models import STRICT
from supplyr.web.api.responses import problems
from supplyr.web.context import Context, context_of
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
    most = _AT_MOST[name]
    # Whatever is wrong shows before the first byte, when it can still be told.
    if await context.search.finds_more_than(question, most):
        raise _too_many(most)
    background, scratch = Background(context.runtime), context.settings.data_dir / "scratch"
    pages = found_pages(context.search, question)
    headers = {"content-disposition": f'attachment; filename="suppliers.{name}"'}
    if name == "csv":
        pieces = stream(background, pages, name, scratch)
        # The heading alone; but a database that is away, say, shows with the first rows.
        first = [await anext(pieces, b""), await anext(pieces, b"")]
        content = _rest(first, pieces)
    else:
        file = await _made(context, background, pages, name)
        headers["content-length"] = str(os.fstat(file.fileno()).st_size)
        content = pieces_from(file)
    return StreamingResponse(content, media_type=FORMATS[name].media_type, headers=headers)


async def _made(
    context: Context, background: Background, pages: Pages, name: FormatName
) -> BinaryIO:
    if context.exports.locked():
        raise ProblemError(
            503,
            "Many exports are being written. Try again in some seconds.",
            code="exports",
            headers={"retry-after": "5"},
        )
    async with context.exports:
        try:
            return await made(
                background, pages, name, context.settings.data_dir / "scratch", _AT_MOST[name]
            )
        except TooManyRowsError as error:
            raise _too_many(_AT_MOST[name]) from error


def _too_many(most: int) -> ProblemError:
    return ProblemError(
        400,
        f"That finds more than {most:,} suppliers. Narrow it, or export the whole"
        " directory as a job.",
        code="too-many",
    )


async def _rest(
    first: Iterable[bytes], pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    try:
        for piece in first:
            yield piece
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
