"""Keep the search index: called by whoever changes suppliers or products, in that transaction."""

from collections.abc import Sequence

from supplyr.db.database import Transaction, among, listed
from supplyr.search.documents import Document, document_of, vocabulary
from supplyr.store import codes, products, suppliers

_SQLITE = (
    "INSERT INTO search_documents (rowid, name, products, codes, place, description)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_POSTGRESQL = (
    "INSERT INTO search_documents (supplier_id, words) VALUES (?,"
    " setweight(to_tsvector('simple', ?), 'A') || setweight(to_tsvector('simple', ?), 'B')"
    " || setweight(to_tsvector('simple', ?), 'B') || setweight(to_tsvector('simple', ?), 'C')"
    " || setweight(to_tsvector('simple', ?), 'D'))"
)


async def write(transaction: Transaction, documents: Sequence[Document]) -> None:
    """Put documents into the index, in place of what is there for these suppliers."""
    await remove(transaction, [document.supplier_id for document in documents])
    sql = _SQLITE if transaction.dialect == "sqlite" else _POSTGRESQL
    await transaction.execute_many(sql, documents)
    # In order, so that two transactions that add the same words do not wait for each other in turn.
    await transaction.execute_many(
        "INSERT INTO search_words (word) VALUES (?) ON CONFLICT (word) DO NOTHING",
        [(word,) for word in sorted(vocabulary(documents))],
    )


async def remove(transaction: Transaction, ids: Sequence[int]) -> None:
    """Take suppliers out of the index."""
    key = "rowid" if transaction.dialect == "sqlite" else "supplier_id"
    await transaction.execute(
        f"DELETE FROM search_documents WHERE {among(transaction.dialect, key)}",  # noqa: S608 - constants
        (listed(transaction.dialect, ids),),
    )


async def refresh(transaction: Transaction, ids: Sequence[int]) -> None:
    """Index a few suppliers as they are now; those that are not active are taken out.

    Folding words is work on the event loop: for more than some dozens, make documents in a task
    and `write` them.
    """
    rows = await suppliers.by_ids(transaction, ids)
    texts = await products.descriptions_of(transaction, ids)
    known = {
        row["code"]: f"{row['title']} {row['search_text']}"
        for row in await codes.every(transaction)
    }
    await remove(transaction, ids)
    await write(
        transaction,
        [document_of(row, texts[row["id"]], known) for row in rows if row["status"] == "active"],
    )
