"""Pictures of suppliers: upload, list, delete; and the pictures themselves."""

from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Path, Request, UploadFile
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from supplyr.store import images
from supplyr.web import pictures as taking
from supplyr.web.api.models import MAX_ID
from supplyr.web.api.responses import problems
from supplyr.web.api.suppliers import SupplierId, shown
from supplyr.web.conditional import has_it
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer
from supplyr.web.limits import WRITES

router = APIRouter(prefix="/api/v1", tags=["images"])
pictures = APIRouter(include_in_schema=False)
ImageId = Annotated[int, Path(ge=1, le=MAX_ID)]
Size = Literal["small", "medium", "large"]
# Then the tag is asked for: the number of a deleted picture may be given to another one.
_KEPT_S = 300


class Image(BaseModel):
    """A picture; its sizes are at `/images/{id}/{small,medium,large}`."""

    id: int
    role: Literal["logo", "photo"]
    width_px: int
    height_px: int
    sha256: str


@router.get("/suppliers/{supplier_id:id}/images", responses=problems(404))
async def list_images(request: Request, supplier_id: SupplierId) -> list[Image]:
    """Return the pictures of a supplier."""
    database = context_of(request).database
    await shown(database, supplier_id)
    return [Image(**row) for row in await images.of_supplier(database, supplier_id)]


@router.post(
    "/suppliers/{supplier_id:id}/images",
    status_code=201,
    responses=problems(403, 404, 409, 413),
    dependencies=[WRITES],
)
async def add_image(
    request: Request,
    identity: Writer,
    supplier_id: SupplierId,
    file: Annotated[UploadFile, File(description="PNG or JPEG")],
    role: Annotated[Literal["logo", "photo"], Form()] = "logo",
) -> Image:
    """Upload a PNG or JPEG of at most 8 MiB and 40 megapixels. A new logo replaces the old one."""
    image_id = await taking.take_picture(request, identity, supplier_id, file, role)
    database = context_of(request).database
    rows = await images.of_supplier(database, supplier_id)
    return next(Image(**row) for row in rows if row["id"] == image_id)


@router.delete(
    "/suppliers/{supplier_id:id}/images/{image_id}",
    status_code=204,
    responses=problems(403, 404),
    dependencies=[WRITES],
)
async def remove_image(
    request: Request, identity: Writer, supplier_id: SupplierId, image_id: ImageId
) -> Response:
    """Delete a picture."""
    await taking.remove_picture(request, identity, supplier_id, image_id)
    return Response(status_code=204)


@pictures.get("/images/{image_id}/{size}")
async def picture(request: Request, image_id: ImageId, size: Size) -> Response:
    """Return a picture: always a PNG that was made here, never the bytes that were uploaded."""
    row = await images.content(context_of(request).database, image_id, size)
    if row is None:
        raise ProblemError(404, "There is no such picture.", code="no-picture")
    tag = f'"{row["sha256"][:32]}-{size}"'
    headers = {
        "etag": tag,
        "cache-control": f"public, max-age={_KEPT_S}",
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": "inline",
    }
    if has_it(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(bytes(row["content"]), media_type=row["media_type"], headers=headers)


@pictures.post("/suppliers/{supplier_id:id}/images", dependencies=[WRITES])
async def add_from_page(
    request: Request,
    identity: Writer,
    supplier_id: SupplierId,
    file: Annotated[UploadFile, File()],
    role: Annotated[Literal["logo", "photo"], Form()] = "logo",
) -> Response:
    """Take a picture from the form of a profile."""
    await taking.take_picture(request, identity, supplier_id, file, role)
    return RedirectResponse(f"/suppliers/{supplier_id}?saved=1", 303)


@pictures.post("/suppliers/{supplier_id:id}/images/{image_id}/delete", dependencies=[WRITES])
async def remove_from_page(
    request: Request, identity: Writer, supplier_id: SupplierId, image_id: ImageId
) -> Response:
    """Delete a picture of a profile."""
    await taking.remove_picture(request, identity, supplier_id, image_id)
    return RedirectResponse(f"/suppliers/{supplier_id}?saved=1", 303)
