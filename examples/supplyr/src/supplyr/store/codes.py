"""The classification: codes, the codes above them, and their titles."""

from collections.abc import Mapping, Sequence

from supplyr.db.database import Reader, Row, Transaction


async def put_all(
    transaction: Transaction, codes: Sequence[tuple[str, str | None, str, str]]
) -> None:
    """Insert or update codes (code, parent, title, other words for it), parents first."""
    await transaction.execute_many(
        "INSERT INTO codes (code, parent, title, search_text) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (code) DO UPDATE SET parent = excluded.parent, title = excluded.title,"
        " search_text = excluded.search_text",
        codes,
    )


async def every(reader: Reader) -> list[Row]:
    """Return all codes in order."""
    return await reader.fetch_all(
        "SELECT code, parent, title, search_text FROM codes ORDER BY code"
    )


async def titles(reader: Reader) -> Mapping[str, str]:
    """Return code -> title."""
    return {row["code"]: row["title"] for row in await every(reader)}
