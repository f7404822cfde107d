"""Products: the price lists of suppliers."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from supplyr.db.database import Reader, Row, Transaction, among, listed
from supplyr.records import PriceRow

# Enough of a price list to be found by; reading and folding more costs more than it finds.
MAX_TEXTS = 2000
_PUT = (
    "INSERT INTO products (supplier_id, sku, description, unit, price_cents, currency,"
    " min_quantity, updated_at_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (supplier_id, sku) DO UPDATE SET description = excluded.description,"
    " unit = excluded.unit, price_cents = excluded.price_cents, currency = excluded.currency,"
    " min_quantity = excluded.min_quantity, updated_at_s = excluded.updated_at_s"
)


async def put_many(
    transaction: Transaction, rows: Iterable[tuple[int, PriceRow]], now_s: float | None = None
) -> None:
    """Insert products of suppliers (id, row), or update those with the same article number.

    The caller refreshes the search index of the suppliers.
    """
    moment_s = time.time() if now_s is None else now_s
    await transaction.execute_many(_PUT, [(at, *row, moment_s) for at, row in rows])


async def remove(transaction: Transaction, supplier_id: int, product_id: int) -> bool:
    """Delete a product; False where the supplier has none of that number."""
    changed = await transaction.execute(
        "DELETE FROM products WHERE id = ? AND supplier_id = ?", (product_id, supplier_id)
    )
    return changed > 0


async def page_of(reader: Reader, supplier_id: int, after_sku: str, limit: int) -> list[Row]:
    """Return products of a supplier by article number, from behind `after_sku` on."""
    return await reader.fetch_all(
        "SELECT id, sku, description, unit, price_cents, currency, min_quantity, updated_at_s"
        " FROM products WHERE supplier_id = ? AND sku > ? ORDER BY sku LIMIT ?",
        (supplier_id, after_sku, limit),
    )


async def count_of(reader: Reader, supplier_id: int) -> int:
    """Return how many products a supplier has."""
    row = await reader.fetch_one(
        "SELECT count(*) AS n FROM products WHERE supplier_id = ?", (supplier_id,)
    )
    return 0 if row is None else int(row["n"])


async def descriptions_of(reader: Reader, ids: Sequence[int]) -> dict[int, list[str]]:
    """Return what the products of suppliers are called, by supplier."""
    found: dict[int, list[str]] = {at: [] for at in ids}
    rows = await reader.fetch_all(
        "SELECT supplier_id, description FROM products"  # noqa: S608 - constants
        f" WHERE {among(reader.dialect, 'supplier_id')}",
        (listed(reader.dialect, ids),),
    )
    for row in rows:
        found[row["supplier_id"]].append(row["description"])
    return found


async def texts_of(reader: Reader, ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the texts by which suppliers' products are found, by supplier: each text once.

    Of a price list with thousands of texts those of the oldest products, MAX_TEXTS of them.
    """
    found: dict[int, list[str]] = {at: [] for at in ids}
    rows = await reader.fetch_all(
        "SELECT supplier_id, description FROM (SELECT supplier_id, description,"  # noqa: S608 - constants
        " row_number() OVER (PARTITION BY supplier_id ORDER BY min(id)) AS place FROM products"
        f" WHERE {among(reader.dialect, 'supplier_id')} GROUP BY supplier_id, description) texts"
        " WHERE place <= ? ORDER BY supplier_id, place",
        (listed(reader.dialect, ids), MAX_TEXTS),
    )
    for row in rows:
        found[row["supplier_id"]].append(row["description"])
    return found


def price_row_of(row: dict[str, Any]) -> PriceRow:
    """Return a row as the record that tasks work on."""
    return PriceRow(*(row[name] for name in PriceRow._fields))


async def by_sku(reader: Reader, supplier_id: int, sku: str) -> Row | None:
    """Return the product of a supplier that has an article number, or None."""
    return await reader.fetch_one(
        "SELECT id, sku, description, unit, price_cents, currency, min_quantity, updated_at_s"
        " FROM products WHERE supplier_id = ? AND sku = ?",
        (supplier_id, sku),
    )
