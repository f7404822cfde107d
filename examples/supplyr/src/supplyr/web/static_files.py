"""Style sheet, script and icon: served with the hash of their content, and kept by browsers."""

import hashlib
import mimetypes
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from supplyr.web.conditional import has_it

router = APIRouter(include_in_schema=False)
_YEAR_S = 365 * 86400


class _File(NamedTuple):
    content: bytes
    media_type: str
    tag: str


@lru_cache(maxsize=1)
def _known() -> dict[str, _File]:
    """Return every file there is: a name from a request is looked up, never joined to a path."""
    found: dict[str, _File] = {}
    for file in (files("supplyr.web") / "static").iterdir():
        if file.is_file():
            content = file.read_bytes()
            media_type = mimetypes.guess_type(file.name)[0] or "text/plain"
            tag = hashlib.sha256(content).hexdigest()[:12]
            found[file.name] = _File(content, media_type, tag)
    return found


def static_url(name: str) -> str:
    """Return the address of a static file, other than before when its content is."""
    return f"/static/{_known()[name].tag}/{name}"


@router.get("/static/{tag}/{name}")
async def static_file(request: Request, tag: str, name: str) -> Response:
    """Serve one file."""
    file = _known().get(name)
    if file is None:
        raise HTTPException(404)
    age_s = _YEAR_S if tag == file.tag else 0
    kept = f"public, max-age={age_s}, immutable" if age_s else "no-cache"
    headers = {"cache-control": kept, "etag": f'"{file.tag}"'}
    if has_it(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
