"""For administrators: accounts, the audit trail, the lanes."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from supplyr.auth.passwords import PasswordError, check_new
from supplyr.db.database import ConflictError
from supplyr.store import audit, users
from supplyr.web.api.asked import Typed
from supplyr.web.api.models import MAX_ID, RowId
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Admin
from supplyr.web.limits import WRITES
from supplyr.web.rendering import render

router = APIRouter(include_in_schema=False, prefix="/admin")
_ENTRIES = 50


@router.get("")
async def overview(
    request: Request,
    _identity: Admin,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """Show accounts and the newest entries of the audit trail."""
    return await _page(request, before)


async def _page(
    request: Request, before: int | None = None, said: str = "", status: int = 200
) -> Response:
    database = context_of(request).database
    entries = await audit.latest(database, before, _ENTRIES)
    values = {
        "users": await users.every(database),
        "entries": entries,
        "older": entries[-1]["number"] if len(entries) == _ENTRIES else None,
        "said": said,
    }
    headers = {"cache-control": "no-store"}
    return render(request, "admin.html", values, status=status, headers=headers)


@router.post("/users", dependencies=[WRITES])
async def add_user(
    request: Request,
    identity: Admin,
    email: Annotated[Typed, Form(max_length=254)] = "",
    display_name: Annotated[Typed, Form(max_length=80)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    role: Annotated[Literal["writer", "admin"], Form()] = "writer",
) -> Response:
    """Give somebody an account."""
    context = context_of(request)
    try:
        name = display_name.strip() or email
        if "@" not in email:
            raise ValueError("An account needs an e-mail address.")
        check_new(password, email)
    except (PasswordError, ValueError) as error:
        return await _page(request, said=str(error), status=422)
    hashed = await context.passwords.hashed(password)
    try:
        async with context.database.transaction() as transaction:
            user_id = await users.add(transaction, email, name, hashed, role)
            detail = {"role": role}
            await audit.append(
                transaction, identity.actor, "user.create", f"user:{user_id}", detail
            )
    except ConflictError:
        return await _page(request, said="That address has an account already.", status=409)
    return RedirectResponse("/admin", 303)


@router.post("/users/{user_id}/{what}", dependencies=[WRITES])
async def switch_user(
    request: Request, identity: Admin, user_id: RowId, what: Literal["disable", "enable"]
) -> Response:
    """Let somebody in no longer, or again."""
    if user_id == identity.user_id:
        raise ProblemError(409, "Nobody locks out themselves.", code="yourself")
    async with context_of(request).database.transaction() as transaction:
        if not await users.set_disabled(transaction, user_id, disabled=what == "disable"):
            raise ProblemError(404, "There is no such account.", code="no-user")
        await audit.append(transaction, identity.actor, f"user.{what}", f"user:{user_id}")
    return RedirectResponse("/admin", 303)


@router.post("/audit/verify")
async def verify_audit(request: Request, _identity: Admin) -> Response:
    """Read the whole audit trail and say whether its chain holds."""
    verdict = await audit.verify(context_of(request).database)
    if verdict.broken is not None:
        said = f"Broken at entry {verdict.broken.number}: {verdict.broken.what}."
    else:
        said = f"The chain of {verdict.entries:,} entries holds. Its head is {verdict.head}."
    return await _page(request, said=said)
