"""Products of an import: the price list of one supplier."""

from collections.abc import Sequence
from typing import NamedTuple

from supplyr.db.database import ConflictError, Reader, Row, Transaction
from supplyr.imports.checking import AcceptedRow
from supplyr.jobs.run import JobFailedError, Run
from supplyr.records import PriceRow
from supplyr.search import index
from supplyr.search.documents import product_words
from supplyr.search.making import documents_of, encode_rows, make_documents
from supplyr.store import products, suppliers


def words_of_rows(rows: Sequence[AcceptedRow]) -> list[str]:
    """Return the words by which the products of a block are found."""
    return product_words([str(row.values["description"]) for row in rows])


async def write_products(
    transaction: Transaction, supplier_id: int, rows: Sequence[AcceptedRow], words: Sequence[str]
) -> dict[str, int]:
    """Insert or update products by article number; they are found by `words` from now on.

    What is not said any more goes out of the index when all blocks are in, see `index_products`:
    no block reads what those before it wrote.
    """
    await _active(transaction, supplier_id)
    before = await products.count_of(transaction, supplier_id)
    prices = [PriceRow(**{"min_quantity": 1, **row.values}) for row in rows]  # type: ignore[arg-type]  # values were read by the fields of products
    await products.put_many(transaction, [(supplier_id, price) for price in prices])
    created = await products.count_of(transaction, supplier_id) - before
    await index.add_product_words(transaction, supplier_id, words)
    return {"created": created, "updated": len(prices) - created}


async def _active(reader: Reader, supplier_id: int) -> Row:
    supplier = await suppliers.get(reader, supplier_id)
    if supplier is None or supplier["status"] != "active":
        raise JobFailedError("The supplier was archived or merged while its products came in.")
    return supplier


class _State(NamedTuple):
    """Changes with whatever a search document is made of."""

    version: int
    products: int
    latest_s: float


async def _state(reader: Reader, supplier_id: int) -> tuple[_State, Row]:
    supplier = await _active(reader, supplier_id)
    row = await reader.fetch_one(
        "SELECT count(*) AS n, coalesce(max(updated_at_s), 0) AS latest FROM products"
        " WHERE supplier_id = ?",
        (supplier_id,),
    )
    assert row is not None
    return _State(supplier["version"], row["n"], row["latest"]), supplier


async def index_products(run: Run, supplier_id: int, code_texts: bytes) -> None:
    """Make the supplier's search document of all its products, as the job's step "indexed".

    Raises ConflictError when somebody changed one of them meanwhile.
    """
    async with run.database.snapshot() as reader:
        state, supplier = await _state(reader, supplier_id)
        texts = await products.texts_of(reader, [supplier_id])
    encoded = await run.background.run(
        make_documents, encode_rows([(supplier, texts[supplier_id])]), code_texts
    )
    async with run.step("indexed") as step:
        now, _ = await _state(step.transaction, supplier_id)
        if now != state:
            raise ConflictError("the supplier or its products were changed meanwhile")
        await index.write(step.transaction, documents_of(encoded, [supplier_id]))
