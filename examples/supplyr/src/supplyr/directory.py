"""Change the directory: each change with its search index and its audit entry, or not at all."""

from collections.abc import Iterable, Mapping

from supplyr.auth.identity import Identity
from supplyr.db.database import Database, Transaction, among_texts, listed
from supplyr.records import PriceRow
from supplyr.search import index
from supplyr.store import audit, products, suppliers
from supplyr.store.suppliers import Draft


class DirectoryError(ValueError):
    """A change that cannot be made; the message is for whoever asked for it."""


class NotThereError(DirectoryError):
    """The supplier (or product) does not exist, or is shown no more."""


class OutdatedError(DirectoryError):
    """Somebody else has changed the supplier since it was read."""


async def add(database: Database, identity: Identity, draft: Draft) -> int:
    """Add a supplier and return its id; DirectoryError for unknown codes, taken references."""
    async with database.transaction() as transaction:
        await _check(transaction, draft)
        supplier_id = await suppliers.create(transaction, draft)
        await index.refresh(transaction, [supplier_id])
        await _noted(transaction, identity, "supplier.create", supplier_id, {"name": draft.name})
    return supplier_id


async def change(
    database: Database,
    identity: Identity,
    supplier_id: int,
    draft: Draft,
    version: int | None = None,
) -> None:
    """Replace what is said of a supplier.

    Args:
        database: To change.
        identity: Who does it.
        supplier_id: Of an active supplier; else NotThereError.
        draft: All that is said from now on.
        version: That was read; OutdatedError where it is another by now. None overwrites.
    """
    async with database.transaction() as transaction:
        before = await suppliers.get(transaction, supplier_id)
        if before is None or before["status"] != "active":
            raise NotThereError(f"There is no supplier {supplier_id}.")
        await _check(transaction, draft, supplier_id)
        if not await suppliers.update(transaction, supplier_id, draft, version=version):
            raise OutdatedError(
                "Somebody else has changed this supplier since you loaded it; load it again."
            )
        await index.refresh(transaction, [supplier_id])
        was = suppliers.draft_of(before)
        changed = [name for name in Draft._fields if getattr(was, name) != getattr(draft, name)]
        await _noted(transaction, identity, "supplier.update", supplier_id, {"changed": changed})


async def set_shown(
    database: Database, identity: Identity, supplier_id: int, *, shown: bool
) -> None:
    """Show a supplier again, or archive it: kept, but neither found nor shown."""
    status, action = ("active", "supplier.restore") if shown else ("archived", "supplier.archive")
    async with database.transaction() as transaction:
        if not await suppliers.set_status(transaction, supplier_id, status):
            raise NotThereError(f"There is no supplier {supplier_id}.")
        await index.refresh(transaction, [supplier_id])
        await _noted(transaction, identity, action, supplier_id, {})


async def put_products(
    database: Database, identity: Identity, supplier_id: int, rows: Iterable[PriceRow]
) -> int:
    """Add products to a supplier, or update those with the same number; return how many."""
    every = list(rows)
    async with database.transaction() as transaction:
        await _must_be_active(transaction, supplier_id)
        await products.put_many(transaction, [(supplier_id, row) for row in every])
        await index.refresh(transaction, [supplier_id])
        detail = {"skus": [row.sku for row in every[:50]], "count": len(every)}
        await _noted(transaction, identity, "supplier.products", supplier_id, detail)
    return len(every)


async def remove_product(
    database: Database, identity: Identity, supplier_id: int, product_id: int
) -> None:
    """Delete a product of a supplier."""
    async with database.transaction() as transaction:
        if not await products.remove(transaction, supplier_id, product_id):
            raise NotThereError(f"Supplier {supplier_id} has no product {product_id}.")
        await index.refresh(transaction, [supplier_id])
        detail = {"product": product_id}
        await _noted(transaction, identity, "supplier.product.delete", supplier_id, detail)


async def _must_be_active(transaction: Transaction, supplier_id: int) -> None:
    row = await transaction.fetch_one(
        "SELECT 1 AS one FROM suppliers WHERE id = ? AND status = 'active'", (supplier_id,)
    )
    if row is None:
        raise NotThereError(f"There is no supplier {supplier_id}.")


async def _check(transaction: Transaction, draft: Draft, supplier_id: int | None = None) -> None:
    rows = await transaction.fetch_all(
        f"SELECT code FROM codes WHERE {among_texts(transaction.dialect, 'code')}",  # noqa: S608 - a constant
        (listed(transaction.dialect, draft.codes),),
    )
    unknown = sorted(set(draft.codes) - {row["code"] for row in rows})
    if unknown:
        raise DirectoryError(f"The classification has no code {', '.join(unknown)}.")
    if draft.external_ref is not None:
        taken = await suppliers.by_external_refs(transaction, [draft.external_ref])
        if taken.get(draft.external_ref, supplier_id) != supplier_id:
            raise DirectoryError(f"Another supplier has the reference {draft.external_ref}.")


async def _noted(
    transaction: Transaction,
    identity: Identity,
    action: str,
    supplier_id: int,
    detail: Mapping[str, object],
) -> None:
    await audit.append(transaction, identity.actor, action, f"supplier:{supplier_id}", detail)
