"""What the API offers, as a page: from the same description that machines read."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from supplyr.web.identity import Visitor
from supplyr.web.limits import SEARCHES
from supplyr.web.rendering import render

router = APIRouter(include_in_schema=False)


def _operations(schema: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return operations by tag, in the order in which they are declared."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            about = {
                "method": method.upper(),
                "path": path,
                "summary": told.get("description") or told.get("summary", ""),
                "parameters": told.get("parameters", ()),
                "statuses": list(told.get("responses", {})),
            }
            for tag in told.get("tags", ["other"])[-1:]:
                found.setdefault(tag, []).append(about)
    return found


@router.get("/api", dependencies=[SEARCHES])
async def about_api(request: Request, _identity: Visitor) -> Response:
    """Show every operation of the API."""
    schema = request.app.openapi()
    values = {"operations": _operations(schema), "schema_url": request.app.openapi_url}
    return render(request, "api.html", values)
