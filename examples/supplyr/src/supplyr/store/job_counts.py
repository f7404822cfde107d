"""How much somebody has asked for already, and when a kind of work was last asked for."""

from typing import NamedTuple

from supplyr.db.database import Reader


class Newest(NamedTuple):
    """When the newest job of a kind was added, and whether any of the kind is yet to be done."""

    added_at_s: float
    unfinished: bool


async def unfinished_of(reader: Reader, owner_id: int) -> int:
    """Return how many jobs of somebody are queued or running."""
    row = await reader.fetch_one(
        "SELECT count(*) AS n FROM jobs WHERE owner_id = ? AND state IN ('queued', 'running')",
        (owner_id,),
    )
    return 0 if row is None else int(row["n"])


async def is_known(reader: Reader, kind: str, owner_id: int, key: str) -> bool:
    """Whether somebody has a job of that kind and idempotency key already."""
    row = await reader.fetch_one(
        "SELECT id FROM jobs WHERE kind = ? AND owner_id = ? AND idempotency_key = ?",
        (kind, owner_id, key),
    )
    return row is not None


async def newest(reader: Reader, kind: str) -> Newest | None:
    """Return what is known of the newest job of a kind, or None where there was none yet."""
    row = await reader.fetch_one(
        "SELECT max(created_at_s) AS added_at_s, sum(CASE WHEN state IN ('queued', 'running')"
        " THEN 1 ELSE 0 END) AS unfinished FROM jobs WHERE kind = ?",
        (kind,),
    )
    if row is None or row["added_at_s"] is None:
        return None
    return Newest(float(row["added_at_s"]), int(row["unfinished"]) > 0)


async def uploaded_bytes(reader: Reader, owner_id: int) -> int:
    """Return how much the uploads of somebody take that are kept."""
    row = await reader.fetch_one(
        "SELECT coalesce(sum(size_bytes), 0) AS n FROM uploads WHERE owner_id = ?", (owner_id,)
    )
    return 0 if row is None else int(row["n"])
