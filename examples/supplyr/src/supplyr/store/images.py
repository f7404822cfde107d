"""Pictures of suppliers in the sizes that are shown, told apart by the hash of the upload."""

import json
import time
from typing import NamedTuple

from supplyr.db.database import Reader, Row, Transaction, among, listed

SIZES = ("small", "medium", "large")


class NewImage(NamedTuple):
    """A picture in all its sizes (PNG), and what it was made of."""

    supplier_id: int
    role: str
    sha256: str
    media_type: str
    width_px: int
    height_px: int
    contents: dict[str, bytes]


async def _moved_in(reader: Reader, supplier_id: int) -> list[int]:
    """Return the pictures that go back to others where a merge into a supplier is undone."""
    rows = await reader.fetch_all(
        "SELECT before_json FROM merge_members JOIN merges ON merges.id = merge_members.merge_id"
        " WHERE merges.survivor_id = ? AND merges.undone_at_s IS NULL",
        (supplier_id,),
    )
    return [image for row in rows for image in json.loads(row["before_json"])["images"]]


async def _remove_logo(transaction: Transaction, supplier_id: int) -> None:
    moved = await _moved_in(transaction, supplier_id)
    await transaction.execute(
        "DELETE FROM images WHERE supplier_id = ? AND role = 'logo'"  # noqa: S608 - constants
        f" AND NOT ({among(transaction.dialect, 'id')})",
        (supplier_id, listed(transaction.dialect, moved)),
    )


async def add(transaction: Transaction, new: NewImage) -> tuple[int, bool]:
    """Add a picture; (its number, whether it is new): the same file again is the same picture.

    A new logo takes the place of the one before. One that came with a merge is kept behind it: it
    goes back to its supplier where the merge is undone.
    """
    known = await transaction.fetch_one(
        "SELECT id FROM images WHERE supplier_id = ? AND sha256 = ? AND role = ?",
        (new.supplier_id, new.sha256, new.role),
    )
    if known is not None:
        return int(known["id"]), False
    if new.role == "logo":
        await _remove_logo(transaction, new.supplier_id)
    row = await transaction.fetch_one(
        "INSERT INTO images (supplier_id, role, sha256, media_type, width_px, height_px,"
        " created_at_s) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (*new[:-1], time.time()),
    )
    assert row is not None
    await transaction.execute_many(
        "INSERT INTO image_sizes (image_id, size, content) VALUES (?, ?, ?)",
        [(row["id"], size, content) for size, content in new.contents.items()],
    )
    return int(row["id"]), True


async def content(reader: Reader, image_id: int, size: str) -> Row | None:
    """Return a picture of an active supplier in a size: `content`, `media_type`, `sha256`."""
    return await reader.fetch_one(
        "SELECT image_sizes.content, image_sizes.media_type, images.sha256 FROM image_sizes"
        " JOIN images ON images.id = image_sizes.image_id"
        " JOIN suppliers ON suppliers.id = images.supplier_id"
        " WHERE images.id = ? AND image_sizes.size = ? AND suppliers.status = 'active'",
        (image_id, size),
    )


async def of_supplier(reader: Reader, supplier_id: int) -> list[Row]:
    """Return the pictures of a supplier without their contents, the latest logo first."""
    return await reader.fetch_all(
        "SELECT id, role, width_px, height_px, sha256 FROM images WHERE supplier_id = ?"
        " ORDER BY role, CASE WHEN role = 'logo' THEN -id ELSE id END LIMIT 50",
        (supplier_id,),
    )


async def count_of(reader: Reader, supplier_id: int) -> int:
    """Return how many pictures a supplier has."""
    row = await reader.fetch_one(
        "SELECT count(*) AS n FROM images WHERE supplier_id = ?", (supplier_id,)
    )
    return 0 if row is None else int(row["n"])


async def remove(transaction: Transaction, supplier_id: int, image_id: int) -> bool:
    """Delete a picture; False where the supplier has none of that number."""
    changed = await transaction.execute(
        "DELETE FROM images WHERE id = ? AND supplier_id = ?", (image_id, supplier_id)
    )
    return changed > 0
