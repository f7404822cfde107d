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
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route: these, and what any route may answer."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    every = sorted({*statuses, 400, 401, 422, 429, 503})
    return {status: {"description": _WORDS[status], "content": content} for status in every}
