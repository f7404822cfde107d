"""Errors as OpenAPI describes them."""

from typing import Any

from supplyr.web.api.models import Problem

_WORDS = {
    400: "The request does not fit, or its body cannot be read.",
    401: "An API key is needed, or the one that came is not valid.",
    403: "Not for this account.",
    404: "There is none.",
    409: "It does not fit what is there now.",
    413: "Too large.",
    422: "A value is not valid; `errors` says which.",
    429: "Too often; see Retry-After.",
    503: "More is asked than can be done in time; see Retry-After.",
    504: "It was not done within the time that `x-request-timeout-ms` gave.",
}
# Any route may answer these: the last three depend on nothing but load and what a client sends.
_ANYWHERE = (400, 401, 413, 422, 429, 503, 504)
# What a file is answered with where a part of it is asked for (`Range`).
PARTS: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that was asked for"},
    416: {"description": "The file has no such part", "content": {"text/plain": {}}},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: these, and what any route may answer."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    every = sorted({*statuses, *_ANYWHERE})
    return {status: {"description": _WORDS[status], "content": content} for status in every}
