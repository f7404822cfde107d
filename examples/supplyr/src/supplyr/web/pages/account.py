"""Logging in and out; one's own password and keys."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from supplyr.auth import keys
from supplyr.auth.identity import csrf_token_of
from supplyr.auth.login import LoggedIn, log_in
from supplyr.auth.passwords import PasswordError, check_new
from supplyr.auth.rate_limit import whole_seconds
from supplyr.auth.sessions import end_session, end_sessions_of
from supplyr.settings import Settings
from supplyr.store import audit, users
from supplyr.web.api.asked import Typed
from supplyr.web.api.models import RowId
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import SESSION_COOKIE, Visitor, Writer, check_csrf
from supplyr.web.limits import LOGINS, WRITES, client_address
from supplyr.web.rendering import render

router = APIRouter(include_in_schema=False)
# Stands for a browser that is not logged in yet, so that its login form has a token too.
_FORM_COOKIE = "supplyr_form"
_FORM_S = 3600
_Password = Annotated[str, Form(max_length=1024)]


def safe_target(target: str) -> str:
    """Return where to go after the login: a path of ours, never another site."""
    if not target.startswith("/") or target[1:2] in {"/", "\\"} or not target.isprintable():
        return "/"
    return target


def _set_cookie(
    response: Response, settings: Settings, name: str, value: str, max_age_s: float
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(max_age_s),
        path="/",
        secure=settings.cookie_secure,
        httponly=True,
        samesite="lax",
    )


@router.get("/login")
async def login_form(
    request: Request,
    identity: Visitor,
    target: Annotated[Typed, Query(alias="next", max_length=500)] = "/",
) -> Response:
    """Show the form; who is logged in already goes on."""
    if identity is not None:
        return RedirectResponse(safe_target(target), 303)
    return _login_page(request, target, "", 200)


def _login_page(
    request: Request, target: str, said: str, status: int, wait_s: float = 0.0
) -> Response:
    context = context_of(request)
    cookie = request.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(24)
    request.state.csrf_token = csrf_token_of(context.signer, cookie)
    headers = {"cache-control": "no-store"}
    if wait_s > 0:
        headers["retry-after"] = whole_seconds(wait_s)
    values = {"target": safe_target(target), "said": said}
    response = render(request, "login.html", values, status=status, headers=headers)
    _set_cookie(response, context.settings, _FORM_COOKIE, cookie, _FORM_S)
    return response


@router.post("/login", dependencies=[LOGINS])
async def login(
    request: Request,
    email: Annotated[Typed, Form(max_length=254)] = "",
    password: _Password = "",
    target: Annotated[Typed, Form(alias="next", max_length=500)] = "/",
) -> Response:
    """Log in and go on; or show the form again."""
    context = context_of(request)
    await check_csrf(request, context, request.cookies.get(_FORM_COOKIE, ""))
    outcome = await log_in(
        context.database,
        context.passwords,
        context.settings,
        email=email,
        password=password,
        address=client_address(request),
        old_token=request.cookies.get(SESSION_COOKIE, ""),
    )
    if isinstance(outcome, LoggedIn):
        response = RedirectResponse(safe_target(target), 303)
        _set_cookie(
            response,
            context.settings,
            SESSION_COOKIE,
            outcome.token,
            context.settings.session_max_s,
        )
        response.delete_cookie(_FORM_COOKIE, path="/")
        return response
    if outcome.wait_s > 0:
        wait = whole_seconds(outcome.wait_s)
        said = f"Too many attempts. Try again in {wait} s."
        return _login_page(request, target, said, 429, outcome.wait_s)
    # The same for an unknown address: nobody learns who has an account.
    return _login_page(request, target, "The address or the password is wrong.", 403)


@router.post("/logout")
async def logout(request: Request, identity: Writer) -> Response:
    """End the session."""
    context = context_of(request)
    async with context.database.transaction() as transaction:
        await end_session(transaction, request.cookies.get(SESSION_COOKIE, ""))
        await audit.append(transaction, identity.actor, "logout", f"user:{identity.user_id}")
    response = RedirectResponse("/", 303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@router.get("/account")
async def account(request: Request, identity: Writer) -> Response:
    """Show one's keys and the form for another password."""
    return await _account_page(request, identity.user_id)


async def _account_page(
    request: Request, user_id: int, *, said: str = "", new_key: str = "", status: int = 200
) -> Response:
    mine = await keys.keys_of(context_of(request).database, user_id)
    values = {"keys": mine, "said": said, "new_key": new_key}
    headers = {"cache-control": "no-store"}
    return render(request, "account.html", values, status=status, headers=headers)


@router.post("/account/keys", dependencies=[WRITES])
async def make_key(
    request: Request,
    identity: Writer,
    label: Annotated[Typed, Form(max_length=60)] = "",
) -> Response:
    """Make a key and show it: this once."""
    database = context_of(request).database
    async with database.transaction() as transaction:
        if len(await keys.keys_of(transaction, identity.user_id)) >= keys.MAX_KEYS:
            raise ProblemError(409, "There are enough keys; revoke one first.", code="keys")
        made = await keys.make_key(transaction, identity.user_id, label.strip() or "key")
        await audit.append(transaction, identity.actor, "key.create", f"key:{made.id}")
    return await _account_page(request, identity.user_id, new_key=made.key)


@router.post("/account/keys/{key_id}/revoke", dependencies=[WRITES])
async def revoke_key(request: Request, identity: Writer, key_id: RowId) -> Response:
    """Revoke one of one's keys."""
    async with context_of(request).database.transaction() as transaction:
        if not await keys.revoke_key(transaction, identity.user_id, key_id):
            raise ProblemError(404, "There is no such key.", code="no-key")
        await audit.append(transaction, identity.actor, "key.revoke", f"key:{key_id}")
    return RedirectResponse("/account", 303)


@router.post("/account/password", dependencies=[LOGINS])
async def change_password(
    request: Request, identity: Writer, old: _Password = "", new: _Password = ""
) -> Response:
    """Change one's password, and end all other sessions."""
    context = context_of(request)
    user = await users.by_id(context.database, identity.user_id)
    stored = None if user is None else user["password_hash"]
    try:
        check_new(new, identity.email)
    except PasswordError as error:
        return await _account_page(request, identity.user_id, said=str(error), status=422)
    if not await context.passwords.holds(stored, old):
        said = "The old password is wrong."
        return await _account_page(request, identity.user_id, said=said, status=403)
    hashed = await context.passwords.hashed(new)
    async with context.database.transaction() as transaction:
        await users.set_password(transaction, identity.user_id, hashed)
        kept = request.cookies.get(SESSION_COOKIE, "")
        await end_sessions_of(transaction, identity.user_id, keep=kept)
        await audit.append(
            transaction, identity.actor, "password.change", f"user:{identity.user_id}"
        )
    return await _account_page(request, identity.user_id, said="The password is changed.")
