"""Pages: Jinja2 templates with every value escaped."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from supplyr.web import filters


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates; a misspelt name in one fails instead of showing nothing."""
    made = Environment(
        loader=PackageLoader("supplyr.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(filters.FILTERS)
    made.globals.update(filters.GLOBALS)
    return made


def warm() -> None:
    """Read and compile all templates: else the first to look at a page does, and others wait."""
    made = environment()
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)


def is_partial(request: Request) -> bool:
    """Whether htmx asks, and will put the answer into the page that is there."""
    headers = request.headers
    return headers.get("hx-request") == "true" and "hx-history-restore-request" not in headers


def render(
    request: Request,
    template: str,
    values: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return a page.

    Every template finds `request`, `identity` (who is logged in, or None) and `csrf_token` (for
    forms: `{{ csrf_field() }}`), beside `values`.
    """
    identity = getattr(request.state, "identity", None)
    shared = {
        "request": request,
        "path": request.url.path,
        "identity": identity,
        "csrf_token": getattr(request.state, "csrf_token", ""),
        "is_partial": is_partial(request),
    }
    page = environment().get_template(template).render({**shared, **(values or {})})
    # Asked for again each time: who has logged out sees nothing by going back.
    kept = {"cache-control": "private, no-cache", "vary": "HX-Request, Cookie"}
    # What was sent may be shown again, and need not be text that UTF-8 can carry.
    return HTMLResponse(page.encode("utf-8", "replace"), status, {**kept, **(headers or {})})
