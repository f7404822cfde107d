"""What goes wrong, as an answer: problem+json (RFC 9457) for programs, a page for people."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from lanewise import OverloadedError, TaskTimeoutError
from lanewise.web import overloaded_handler
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from supplyr.db.database import ConflictError, DatabaseError
from supplyr.directory import DirectoryError, NotThereError, OutdatedError
from supplyr.web.rendering import is_partial, render

API_PREFIX = "/api/"
MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)
# What FastAPI says of a body that is not even text.
_UNREADABLE = "There was an error parsing the body"

# What is said where whoever raised said nothing better.
_WORDS = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The request is larger than what is accepted here.",
}


class ProblemError(Exception):
    """Anything that a client should be told; raised anywhere below a router.

    Args:
        status: Of HTTP.
        detail: What happened and what to do, for people.
        code: A short stable name for programs, such as "duplicate-sku".
        headers: Of the answer.
        more: Further members of the problem.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def wants_page(request: Request) -> bool:
    """Whether people look at the answer: everything outside of the API does."""
    return not request.url.path.startswith(API_PREFIX)


def problem(
    status: int,
    detail: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Return a problem as a response."""
    told: dict[str, Any] = {
        "type": f"urn:supplyr:problem:{code}" if code else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    text = json.dumps({**told, **(more or {})}, ensure_ascii=False, separators=(",", ":"))
    # What was sent may be quoted, and need not be text that UTF-8 can carry.
    return Response(text.encode("utf-8", "replace"), status, dict(headers or {}), MEDIA_TYPE)


def answer(request: Request, error: ProblemError) -> Response:
    """Answer a problem as its reader wants it."""
    if wants_page(request):
        if error.code == "login" and request.method == "GET" and not is_partial(request):
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': target})}", 303)
        return render(
            request,
            "problem.html",
            {"status": error.status, "title": HTTPStatus(error.status).phrase, "error": error},
            status=error.status,
            headers=error.headers,
        )
    return problem(
        error.status, error.detail, code=error.code, headers=error.headers, more=error.more
    )


def field_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Return what pydantic found, without the values: they may be large, or passwords."""
    return [
        {"field": ".".join(str(part) for part in error["loc"]), "message": str(error["msg"])}
        for error in errors[:50]
    ]


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return answer(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = str(error.detail)
    if not said or said == HTTPStatus(error.status_code).phrase:
        said = _WORDS.get(error.status_code, HTTPStatus(error.status_code).description or said)
    if said == _UNREADABLE:
        said = "The body is not JSON in UTF-8."
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return answer(request, ProblemError(error.status_code, said, headers=headers))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = field_errors(error.errors())
    first = f"{found[0]['field']}: {found[0]['message']}" if found else "it cannot be read"
    said = f"The request is not valid: {first}."
    return answer(request, ProblemError(422, said, code="invalid", more={"errors": found}))


async def _conflict(request: Request, _error: Exception) -> Response:
    said = "The change does not fit what is there now. Look at it again and repeat the change."
    return answer(request, ProblemError(409, said, code="conflict"))


async def away(request: Request, error: Exception) -> Response:
    """Answer that the database cannot be reached."""
    _log.error("%s %s: %s", request.method, request.url.path, error)
    said = "The directory cannot be reached at the moment. Try again in some seconds."
    headers = {"retry-after": "5"}
    return answer(request, ProblemError(503, said, code="database", headers=headers))


async def _refused(request: Request, error: Exception) -> Response:
    status, code = 409, "refused"
    if isinstance(error, NotThereError):
        status, code = 404, "not-there"
    elif isinstance(error, OutdatedError):
        status, code = 409, "outdated"
    return answer(request, ProblemError(status, str(error), code=code))


async def _overloaded(request: Request, error: Exception) -> Response:
    response: Response = overloaded_handler(request, error)
    if not wants_page(request):
        return response
    headers = {k: v for k, v in response.headers.items() if k == "retry-after"}
    wait = f" Try again in {headers['retry-after']} s." if headers else ""
    said = f"More is being asked than can be done in time.{wait}"
    return answer(request, ProblemError(response.status_code, said, headers=headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    said = "Something went wrong here, and it has been noted. Trying again may help."
    return answer(request, ProblemError(500, said))


def add_handlers(app: FastAPI) -> None:
    """Let every error of the app be answered by this module."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConflictError, _conflict)
    app.add_exception_handler(DatabaseError, away)
    app.add_exception_handler(DirectoryError, _refused)
    app.add_exception_handler(OverloadedError, _overloaded)
    app.add_exception_handler(TaskTimeoutError, _overloaded)
    app.add_exception_handler(Exception, _unexpected)
