"""Take a picture: read it within limits, make its sizes where it can do no harm, keep them."""

import hashlib
from typing import Literal

from fastapi import Request, UploadFile
from lanewise import LanewiseError

from supplyr.auth.identity import Identity
from supplyr.images import InvalidImageError, image_size_px
from supplyr.store import audit, images
from supplyr.store.images import NewImage
from supplyr.thumbnails import make_thumbnails
from supplyr.web.api.suppliers import shown
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.work import killed

MAX_IMAGE_BYTES = 8 * 1024 * 1024
_MAX_IMAGES = 20
_MAKING_S = 10.0
_PIECE_BYTES = 1 << 16

Role = Literal["logo", "photo"]


async def _read(file: UploadFile) -> bytes:
    data = bytearray()
    while piece := await file.read(_PIECE_BYTES):
        data += piece
        if len(data) > MAX_IMAGE_BYTES:
            raise ProblemError(
                413, f"A picture has at most {MAX_IMAGE_BYTES:,} bytes.", code="large"
            )
    return bytes(data)


async def take_picture(
    request: Request, identity: Identity, supplier_id: int, file: UploadFile, role: Role
) -> int:
    """Keep a picture of a supplier and return its number; 422 tells what is wrong with it."""
    context = context_of(request)
    await shown(context.database, supplier_id)
    data = await _read(file)
    # The bytes decide what it is; what the client calls it (a name, a type) is not looked at.
    isolated = context.runtime.with_options(lane="process", timeout_s=_MAKING_S)
    try:
        width_px, height_px = image_size_px(data)
        sizes = await isolated.run(make_thumbnails, data)
    except InvalidImageError as error:
        said = str(error)
        raise ProblemError(422, said[:1].upper() + said[1:] + ".", code="picture") from error
    except LanewiseError as error:
        raise killed(error, "The picture takes too much to be read; export it again.") from error
    new = NewImage(
        supplier_id,
        role,
        hashlib.sha256(data).hexdigest(),
        "image/png" if data.startswith(b"\x89PNG") else "image/jpeg",
        width_px,
        height_px,
        {
            "small": sizes.small_48_px,
            "medium": sizes.medium_128_px,
            "large": sizes.large_256_px,
        },
    )
    async with context.database.transaction() as transaction:
        image_id, is_new = await images.add(transaction, new)
        # Asked afterwards: the same file again, and a logo in place of another, are none more.
        if await images.count_of(transaction, supplier_id) > _MAX_IMAGES:
            raise ProblemError(409, f"A supplier has at most {_MAX_IMAGES} pictures.", code="full")
        if is_new:
            await audit.append(
                transaction,
                identity.actor,
                "image.add",
                f"supplier:{supplier_id}",
                {"image": image_id, "sha256": new.sha256},
            )
    return image_id


async def remove_picture(
    request: Request, identity: Identity, supplier_id: int, image_id: int
) -> None:
    """Delete a picture."""
    async with context_of(request).database.transaction() as transaction:
        if not await images.remove(transaction, supplier_id, image_id):
            raise ProblemError(404, f"There is no picture {image_id}.", code="no-picture")
        await audit.append(
            transaction, identity.actor, "image.remove", f"supplier:{supplier_id}",
            {"image": image_id},
        )  # fmt: skip
