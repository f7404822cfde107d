"""Uploads and their imports."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Path, Request, UploadFile
from pydantic import BaseModel, Field
from starlette.responses import Response

from supplyr.imports.reading import Options
from supplyr.store import uploads
from supplyr.web import work
from supplyr.web.api.jobs import Job, Key, started
from supplyr.web.api.models import MAX_ID, STRICT, Id
from supplyr.web.api.responses import problems
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer
from supplyr.web.limits import WRITES

router = APIRouter(prefix="/api/v1", tags=["imports"])
Encoding = Literal["", "utf-8", "cp1252", "iso8859-15", "cp1250", "cp1251", "mac-roman", "utf-16"]
Delimiter = Literal["", ",", ";", "tab", "|"]


class Upload(BaseModel):
    """What was found in a file: a heading, some rows, and which column seems to be which field."""

    id: int
    kind: Literal["suppliers", "products"]
    file_name: str
    size_bytes: int
    encoding: str
    delimiter: str
    notice: str
    heading: list[str]
    rows: list[list[str]]
    columns: dict[str, int]


class ImportIn(BaseModel):
    """Which upload, and which column (from 0) is which field; None takes what was guessed."""

    model_config = STRICT

    upload_id: Id
    columns: dict[str, Annotated[int, Field(ge=0, le=500)]] | None = Field(None, max_length=50)
    update_existing: bool = Field(False, description="Else rows of known suppliers are refused")


def options_of(encoding: str, delimiter: str) -> Options:
    """Return how to read a file, as forms and the API name it."""
    return Options(encoding, "\t" if delimiter == "tab" else delimiter)


@router.post("/uploads", status_code=201, responses=problems(403, 409), dependencies=[WRITES])
async def upload_file(
    request: Request,
    identity: Writer,
    file: Annotated[UploadFile, File(description="CSV or XLSX")],
    kind: Annotated[Literal["suppliers", "products"], Form()] = "suppliers",
    supplier_id: Annotated[int | None, Form(ge=1, le=MAX_ID)] = None,
    encoding: Annotated[Encoding, Form()] = "",
    delimiter: Annotated[Delimiter, Form()] = "",
) -> Upload:
    """Upload a CSV or XLSX file and see what is in it. Nothing is imported yet."""
    options = options_of(encoding, delimiter)
    upload_id = await work.receive_upload(request, identity, file, kind, supplier_id, options)
    return await read_upload(request, identity, upload_id)


@router.get("/uploads/{upload_id}", responses=problems(404))
async def read_upload(
    request: Request, identity: Writer, upload_id: Annotated[int, Path(ge=1, le=MAX_ID)]
) -> Upload:
    """Return what was found in a file."""
    row = await uploads.get(context_of(request).database, upload_id, identity.user_id)
    if row is None:
        raise ProblemError(404, f"There is no upload {upload_id} of yours.", code="no-upload")
    return shown_upload(row)


def shown_upload(row: dict[str, Any]) -> Upload:
    """Return an upload's row as it is shown."""
    told = {name: row["preview"][name] for name in Upload.model_fields if name in row["preview"]}
    names = ("id", "kind", "file_name", "size_bytes")
    return Upload(**{**told, **{name: row[name] for name in names}})


@router.post("/imports", status_code=202, responses=problems(403, 404, 409), dependencies=[WRITES])
async def start_import(
    request: Request, response: Response, identity: Writer, asked: ImportIn, key: Key = None
) -> Job:
    """Import an upload, as a job."""
    added = await work.start_import(
        request,
        identity,
        asked.upload_id,
        asked.columns,
        key,
        update_existing=asked.update_existing,
    )
    return started(response, added)
