"""Who asks: dependencies for routers. A session's cookie for people, a key for programs.

    @router.post(...)
    async def change(identity: Writer) -> ...

`Visitor` may be None. `Writer` and `Admin` refuse whoever is not; changes that come with a session
need its form token too (`csrf_token` in the form, or `x-csrf-token`), which no other site knows.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import FormData

from supplyr.auth.identity import Identity, csrf_token_of
from supplyr.auth.keys import identity_of_key
from supplyr.auth.sessions import identity_of_session
from supplyr.web.context import Context, context_of
from supplyr.web.errors import ProblemError, wants_page

SESSION_COOKIE = "supplyr_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# Tells OpenAPI how programs log in. The header is read below, for its absence is no error.
_bearer = HTTPBearer(auto_error=False, description="An API key: sk_...")


async def identify(
    request: Request, _documented: Annotated[object, Security(_bearer)] = None
) -> Identity | None:
    """Return who asks, or None. A key that is none is refused, not ignored."""
    context = context_of(request)
    header = request.headers.get("authorization", "")
    if header:
        scheme, _, key = header.partition(" ")
        found = None
        if scheme.lower() == "bearer":
            found = await identity_of_key(context.database, key.strip())
        if found is None:
            raise ProblemError(
                401,
                "The API key is not valid: it may have been revoked. Make one on the account page.",
                code="key",
                headers={"www-authenticate": "Bearer"},
            )
        return found
    token = request.cookies.get(SESSION_COOKIE, "")
    if not token:
        return None
    found = await identity_of_session(context.database, token, context.settings)
    if found is not None:
        request.state.identity = found
        request.state.csrf_token = csrf_token_of(context.signer, token)
    return found


Visitor = Annotated[Identity | None, Depends(identify)]


def unknown(request: Request) -> ProblemError:
    """Return what somebody is told whom nobody knows. Pages send people to the login."""
    return ProblemError(
        401,
        "Log in first." if wants_page(request) else "This needs an API key.",
        code="login",
        headers={"www-authenticate": "Bearer"},
    )


async def _writer(request: Request, identity: Visitor) -> Identity:
    if identity is None:
        raise unknown(request)
    if request.method not in SAFE_METHODS and identity.via == "session":
        await check_csrf(request, context_of(request), request.cookies.get(SESSION_COOKIE, ""))
    return identity


Writer = Annotated[Identity, Depends(_writer)]


async def _admin(identity: Writer) -> Identity:
    if identity.role != "admin":
        raise ProblemError(403, "Only administrators may do this.", code="admin")
    return identity


Admin = Annotated[Identity, Depends(_admin)]


async def check_csrf(request: Request, context: Context, bound_to: str) -> None:
    """Raise ProblemError unless the request carries the form token that belongs to a cookie."""
    token = request.headers.get("x-csrf-token", "")
    if not token and request.headers.get("content-type", "").startswith(_FORMS):
        sent = (await form_of(request)).get("csrf_token", "")
        token = sent if isinstance(sent, str) else ""
    if not bound_to or not context.signer.holds("csrf", bound_to, token):
        raise ProblemError(
            403, "The form is out of date. Load the page again and repeat it.", code="csrf"
        )


async def form_of(request: Request) -> FormData:
    """Return the form of a request; ProblemError where what came cannot be read as one."""
    try:
        return await request.form()
    except ValueError as error:
        # A character set that is none for texts, say.
        raise ProblemError(400, "The form cannot be read.", code="form") from error
