"""Suppliers that are kept, but neither found nor shown."""

from supplyr.db.database import Reader, Row


async def page(reader: Reader, before_id: int | None, limit: int) -> list[Row]:
    """Return archived suppliers, those that were added last first."""
    return await reader.fetch_all(
        "SELECT id, name, postcode, city, country, updated_at_s FROM suppliers"
        " WHERE status = 'archived' AND id < ? ORDER BY id DESC LIMIT ?",
        (before_id if before_id is not None else 2**62, limit),
    )
