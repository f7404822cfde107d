"""What the API and the pages have in common: take uploads, start jobs, look at them."""

import asyncio
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from fastapi import Request, UploadFile
from lanewise import LanewiseError, OverloadedError

from supplyr.auth.identity import Identity
from supplyr.db.database import Row
from supplyr.exports.formats import FormatName
from supplyr.imports.fields import KINDS
from supplyr.imports.mapping import check
from supplyr.imports.reading import Options
from supplyr.imports.staging import preview_file
from supplyr.jobs import duplicates, exports, imports, ranking
from supplyr.jobs.files import TooLargeError, pieces_of, resolved, store
from supplyr.jobs.submit import submit
from supplyr.spreadsheet import CatalogueError
from supplyr.store import audit, job_counts, jobs, suppliers, uploads
from supplyr.store.jobs import KeyUsedError
from supplyr.store.uploads import NewUpload
from supplyr.web.context import Context, context_of
from supplyr.web.errors import ProblemError

# A preview reads the whole of a spreadsheet; nobody waits for it longer than this.
_PREVIEW_S = 20.0
# How soon, in seconds, somebody with many jobs may look again whether one is over.
_JOBS_RETRY_AFTER = "10"
_NAME_NOISE = re.compile(r"[^\w .()\[\]+-]+")


def safe_name(name: str | None) -> str:
    """Return a client's name of a file as it may be shown: no path, no control characters."""
    plain = unicodedata.normalize("NFC", (name or "").replace("\\", "/"))
    last = _NAME_NOISE.sub("_", PurePosixPath(plain).name).strip(" .")
    return last[:120] or "upload"


async def start(
    request: Request, identity: Identity, kind: str, payload: Mapping[str, Any], key: str | None
) -> tuple[Row, bool]:
    """Add a job and wake the runner; (its row, whether it is new).

    409 for a key that was used otherwise, 429 for somebody who has asked for a lot already.
    """
    context = context_of(request)
    await _check_jobs(context, identity, kind, key)
    try:
        row, is_new = await submit(
            context.database, kind, identity.user_id, identity.actor, payload, key
        )
    except KeyUsedError as error:
        raise ProblemError(
            409, "This idempotency key was used for another request.", code="key-used"
        ) from error
    except ValueError as error:
        raise ProblemError(422, str(error), code="key") from error
    context.bell.ring()
    return row, is_new


async def _check_jobs(context: Context, identity: Identity, kind: str, key: str | None) -> None:
    """Refuse a job of somebody who keeps everybody waiting: of a kind, one runs at a time."""
    most = context.settings.jobs_per_user
    if await job_counts.unfinished_of(context.database, identity.user_id) < most:
        return
    if key and await job_counts.is_known(context.database, kind, identity.user_id, key):
        return  # the same job again is no other one
    raise ProblemError(
        429,
        f"{most} of your jobs are not over yet; wait for one, or cancel it.",
        code="jobs",
        headers={"retry-after": _JOBS_RETRY_AFTER},
    )


async def receive_upload(
    request: Request,
    identity: Identity,
    file: UploadFile,
    kind: str,
    supplier_id: int | None,
    options: Options,
) -> int:
    """Store a file, look into it, and return the upload's number; problems tell what is wrong."""
    context = context_of(request)
    if kind not in KINDS:
        raise ProblemError(422, f"Choose one of {', '.join(KINDS)}.", code="kind")
    await _check_supplier(context, kind, supplier_id)
    await _check_quota(context, identity)
    most = context.settings.max_upload_bytes
    try:
        stored = await store(context.settings.data_dir, "uploads", pieces_of(file.read), most)
    except TooLargeError as error:
        raise ProblemError(413, f"The file is larger than {most:,} bytes.", code="large") from error
    try:
        preview = await _preview(context, stored.path, kind, options)
    except BaseException:
        # Refused, no room for it, or the client has left: nobody will ever ask for it.
        resolved(context.settings.data_dir, stored.path).unlink(missing_ok=True)
        raise
    new = NewUpload(
        identity.user_id, kind, supplier_id, stored.path, safe_name(file.filename),
        stored.size_bytes, stored.sha256, preview,
    )  # fmt: skip
    try:
        return await _added(context, identity, new)
    except Exception:
        # Not when cancelled: then the row may be there.
        resolved(context.settings.data_dir, stored.path).unlink(missing_ok=True)
        raise


async def _added(context: Context, identity: Identity, new: NewUpload) -> int:
    async with context.database.transaction() as transaction:
        upload_id = await uploads.add(transaction, new)
        await audit.append(
            transaction,
            identity.actor,
            "upload.add",
            f"upload:{upload_id}",
            {"bytes": new.size_bytes, "sha256": new.sha256},
        )
    return upload_id


async def _check_quota(context: Context, identity: Identity) -> None:
    most = context.settings.upload_quota_bytes
    kept = await job_counts.uploaded_bytes(context.database, identity.user_id)
    if kept >= most:
        days = context.settings.keep_uploads_days
        raise ProblemError(
            409,
            f"Your uploads take {kept:,} bytes; {most:,} are kept for each account. They are"
            f" deleted after {days:g} days.",
            code="quota",
        )


async def _check_supplier(context: Context, kind: str, supplier_id: int | None) -> None:
    if kind == "suppliers":
        if supplier_id is not None:
            raise ProblemError(422, "An import of suppliers is for no single one.", code="supplier")
        return
    row = None if supplier_id is None else await suppliers.get(context.database, supplier_id)
    if row is None or row["status"] != "active":
        raise ProblemError(422, "Say which supplier the products are of.", code="supplier")


async def _preview(context: Context, path: str, kind: str, options: Options) -> dict[str, Any]:
    file = resolved(context.settings.data_dir, path)
    status = await asyncio.to_thread(file.stat)
    # Whatever somebody sends is opened in a process of its own, which can be killed.
    isolated = context.runtime.with_options(lane="process", timeout_s=_PREVIEW_S)
    try:
        preview = await isolated.run(preview_file, str(file), status.st_size, kind, options)
    except CatalogueError as error:
        raise ProblemError(422, _sentence(str(error)), code="unreadable") from error
    except LanewiseError as error:
        raise killed(error, "The file takes too much to be read; save it again, or as CSV.") from (
            error
        )
    return {**preview._asdict(), "options": options._asdict()}


def killed(error: LanewiseError, said: str) -> Exception:
    """Return what to raise: overload stays what it is, whatever died or took too long is 422."""
    if isinstance(error, OverloadedError):
        return error
    return ProblemError(422, said, code="too-much")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


async def start_import(
    request: Request,
    identity: Identity,
    upload_id: int,
    columns: Mapping[str, int] | None,
    key: str | None,
    *,
    update_existing: bool,
) -> tuple[Row, bool]:
    """Start the import of an upload; without `columns` those that were guessed are taken."""
    context = context_of(request)
    upload = await uploads.get(context.database, upload_id, identity.user_id)
    if upload is None:
        raise ProblemError(404, f"There is no upload {upload_id} of yours.", code="no-upload")
    preview = upload["preview"]
    try:
        chosen = check(
            upload["kind"],
            preview["columns"] if columns is None else columns,
            len(preview["heading"]),
        )
    except CatalogueError as error:
        raise ProblemError(422, _sentence(str(error)), code="columns") from error
    payload = {
        "upload": upload["path"],
        "upload_id": upload_id,
        "file_name": upload["file_name"],
        "kind": upload["kind"],
        "supplier_id": upload["supplier_id"],
        "columns": chosen,
        "options": preview["options"],
        "update_existing": update_existing,
    }
    return await start(request, identity, imports.KIND, payload, key)


async def start_export(
    request: Request, identity: Identity, name: FormatName, key: str | None
) -> tuple[Row, bool]:
    """Start an export of the whole directory."""
    return await start(request, identity, exports.KIND, {"format": name}, key)


async def start_duplicates(
    request: Request, identity: Identity, threshold: float, key: str | None
) -> tuple[Row, bool]:
    """Start a full duplicate run."""
    return await start(request, identity, duplicates.KIND, {"threshold": threshold}, key)


async def start_ranking(request: Request, identity: Identity, key: str | None) -> tuple[Row, bool]:
    """Start the computation of all ranking scores."""
    return await start(request, identity, ranking.KIND, {}, key)


async def job_of(request: Request, identity: Identity, job_id: int) -> Row:
    """Return a job that somebody may see: their own, or any for administrators."""
    row = await jobs.get(context_of(request).database, job_id)
    if row is None or (row["owner_id"] != identity.user_id and identity.role != "admin"):
        raise ProblemError(404, f"There is no job {job_id} of yours.", code="no-job")
    return row


async def cancel_job(request: Request, identity: Identity, job_id: int) -> None:
    """Ask for a job's end."""
    row = await job_of(request, identity, job_id)
    context = context_of(request)
    async with context.database.transaction() as transaction:
        await jobs.ask_cancel(transaction, job_id)
        if row["finished_at_s"] is None and row["cancel_asked_at_s"] is None:
            await audit.append(transaction, identity.actor, "job.cancel", f"job:{job_id}")
    context.bell.ring()


def told_of(row: Row) -> dict[str, Any]:
    """Return what is told of a job, by the API as on its page."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "state": row["state"],
        "cancel_asked": row["cancel_asked_at_s"] is not None,
        "progress_done": row["progress_done"],
        "progress_total": row["progress_total"],
        "progress_note": row["progress_note"],
        "rows_rejected": row["rows_rejected"],
        "attempts": row["attempts"],
        "error": row["error"],
        "result": None if row["result_json"] is None else json.loads(row["result_json"]),
        "created_at_s": row["created_at_s"],
        "started_at_s": row["started_at_s"],
        "finished_at_s": row["finished_at_s"],
    }
