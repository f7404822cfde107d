"""Pages of imports: upload a file, say what its columns are, start."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from supplyr.imports.encodings import CHOICES
from supplyr.imports.fields import fields_of
from supplyr.store import uploads
from supplyr.web import work
from supplyr.web.api.imports import Delimiter, Encoding, options_of, shown_upload
from supplyr.web.api.jobs import JobId
from supplyr.web.api.models import MAX_ID, without_controls
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer, form_of
from supplyr.web.limits import WRITES
from supplyr.web.rendering import render

router = APIRouter(include_in_schema=False)
_COLUMN = "column_"


@router.get("/imports")
async def new_import(
    request: Request,
    _identity: Writer,
    supplier_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """Show the form for a file."""
    return _form(request, supplier_id)


def _form(
    request: Request, supplier_id: int | None = None, said: str = "", status: int = 200
) -> Response:
    values = {"supplier_id": supplier_id, "said": said, "encodings": CHOICES}
    return render(request, "import_new.html", values, status=status)


@router.post("/imports", dependencies=[WRITES])
async def upload_file(
    request: Request,
    identity: Writer,
    file: Annotated[UploadFile, File()],
    kind: Annotated[str, Form(max_length=20)] = "suppliers",
    supplier_id: Annotated[str, Form(max_length=20)] = "",
    encoding: Annotated[Encoding, Form()] = "",
    delimiter: Annotated[Delimiter, Form()] = "",
) -> Response:
    """Take a file and show its columns; or the form again, with what is wrong."""
    number = _number(supplier_id)
    if kind == "suppliers":
        number = None
    options = options_of(encoding, delimiter)
    try:
        upload_id = await work.receive_upload(request, identity, file, kind, number, options)
    except ProblemError as error:
        if error.status not in {409, 413, 422}:
            raise
        return _form(request, number, error.detail, error.status)
    return RedirectResponse(f"/imports/{upload_id}", 303)


def _number(sent: str) -> int | None:
    """Return the number of a supplier as a form has it; None for what is none."""
    if sent.isascii() and sent.isdigit() and 1 <= int(sent) <= MAX_ID:
        return int(sent)
    return None


@router.get("/imports/{upload_id}")
async def choose_columns(request: Request, identity: Writer, upload_id: JobId) -> Response:
    """Show the first rows of a file and which column is which field."""
    return await _columns(request, identity.user_id, upload_id)


async def _columns(
    request: Request,
    user_id: int,
    upload_id: int,
    columns: dict[str, int] | None = None,
    *,
    update_existing: bool = False,
    said: str = "",
    status: int = 200,
) -> Response:
    row = await uploads.get(context_of(request).database, upload_id, user_id)
    if row is None:
        raise ProblemError(404, f"There is no upload {upload_id} of yours.", code="no-upload")
    upload = shown_upload(row)
    chosen = upload.columns if columns is None else columns
    values: dict[str, Any] = {
        "upload": upload,
        "fields": fields_of(upload.kind),
        "by_column": {at: name for name, at in chosen.items()},
        "update_existing": update_existing,
        "said": said,
        # Whoever sends the form twice starts one import.
        "key": f"page-{upload_id}-{secrets.token_hex(8)}",
    }
    return render(request, "import_columns.html", values, status=status)


@router.post("/imports/{upload_id}", dependencies=[WRITES])
async def start_import(request: Request, identity: Writer, upload_id: JobId) -> Response:
    """Start the import with the columns of the form; or show it again, with what is wrong."""
    form = await form_of(request)
    columns: dict[str, int] = {}
    said = ""
    for name, field in form.multi_items():
        number = name.removeprefix(_COLUMN)
        if not name.startswith(_COLUMN) or not isinstance(field, str) or not field:
            continue
        if field in columns:
            said = "Two columns are the same field; choose one."
        if number.isascii() and number.isdigit():
            columns[field] = int(number[:6])
    update = form.get("update_existing") == "1"
    key = _key_of(form)
    try:
        if said:
            raise ProblemError(422, said, code="columns")
        row, _ = await work.start_import(
            request,
            identity,
            upload_id,
            columns,
            key,
            update_existing=update,
        )
    except ProblemError as error:
        if error.code != "columns":
            raise
        return await _columns(
            request, identity.user_id, upload_id, columns,
            update_existing=update, said=error.detail, status=422,
        )  # fmt: skip
    return RedirectResponse(f"/jobs/{row['id']}", 303)


def _key_of(form: FormData) -> str | None:
    """Return the form's idempotency key, which is ours unless somebody has changed it."""
    key = form.get("key")
    if not isinstance(key, str) or not key:
        return None
    try:
        return without_controls(key[:200])
    except ValueError as error:
        raise ProblemError(422, f"The form's key {error}.", code="key") from error
