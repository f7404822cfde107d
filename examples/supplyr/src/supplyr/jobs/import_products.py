"""Products of an import: the price list of one supplier."""

from collections.abc import Sequence

from supplyr.db.database import Transaction
from supplyr.imports.checking import AcceptedRow
from supplyr.jobs.run import JobFailedError
from supplyr.records import PriceRow
from supplyr.search import index
from supplyr.store import products, suppliers


async def write_products(
    transaction: Transaction, supplier_id: int, rows: Sequence[AcceptedRow]
) -> dict[str, int]:
    """Insert or update products by article number, and the supplier's search document."""
    supplier = await suppliers.get(transaction, supplier_id)
    if supplier is None or supplier["status"] != "active":
        raise JobFailedError("The supplier was archived or merged while its products came in.")
    before = await products.count_of(transaction, supplier_id)
    prices = [PriceRow(**{"min_quantity": 1, **row.values}) for row in rows]  # type: ignore[arg-type]  # values were read by the fields of products
    await products.put_many(transaction, [(supplier_id, price) for price in prices])
    created = await products.count_of(transaction, supplier_id) - before
    await index.refresh(transaction, [supplier_id])
    return {"created": created, "updated": len(prices) - created}
