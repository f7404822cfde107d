"""Keep the search index: called by whoever changes suppliers or products, in that transaction."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from supplyr.db.database import Reader, Transaction, among, listed
from supplyr.search.documents import (
    MAX_PRODUCT_WORDS,
    Document,
    document_of,
    vocabulary,
    worth_correcting,
)
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

# Texts of products; folding more of them would keep the event loop from its other work.
_FOLDED_HERE = 200


async def write(transaction: Transaction, documents: Sequence[Document]) -> None:
    """Put documents into the index, in place of what is there for these suppliers."""
    await remove(transaction, [document.supplier_id for document in documents])
    sql = _SQLITE if transaction.dialect == "sqlite" else _POSTGRESQL
    await transaction.execute_many(sql, documents)
    await _add_words(transaction, vocabulary(documents))


async def add_product_words(
    transaction: Transaction, supplier_id: int, words: Sequence[str]
) -> None:
    """Let a supplier be found by more words of its products too, as far as there is room."""
    there = await _words_there(transaction, supplier_id)
    new = [word for word in words if word not in there][: max(0, MAX_PRODUCT_WORDS - len(there))]
    if not new:
        return
    if transaction.dialect == "sqlite":
        sql = "UPDATE search_documents SET products = products || ' ' || ? WHERE rowid = ?"
    else:
        sql = (
            "UPDATE search_documents SET words = words || setweight(to_tsvector('simple', ?), 'B')"
            " WHERE supplier_id = ?"
        )
    await transaction.execute(sql, (" ".join(new), supplier_id))
    await _add_words(transaction, worth_correcting(new))


async def _words_there(reader: Reader, supplier_id: int) -> set[str]:
    """Return the words of a supplier's products; on PostgreSQL all its words, which are one."""
    if reader.dialect == "sqlite":
        row = await reader.fetch_one(
            "SELECT products AS words FROM search_documents WHERE rowid = ?", (supplier_id,)
        )
        return set() if row is None else set(row["words"].split())
    row = await reader.fetch_one(
        "SELECT tsvector_to_array(words) AS words FROM search_documents WHERE supplier_id = ?",
        (supplier_id,),
    )
    return set() if row is None else set(row["words"])


async def _add_words(transaction: Transaction, words: Iterable[str]) -> None:
    # In order, so that two transactions that add the same words do not wait for each other in turn.
    await transaction.execute_many(
        "INSERT INTO search_words (word) VALUES (?) ON CONFLICT (word) DO NOTHING",
        [(word,) for word in sorted(words)],
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

    For more than some dozens, make documents in a task and `write` them: here everybody who wants
    to write waits while words are folded.
    """
    rows = await suppliers.by_ids(transaction, ids)
    texts = await products.texts_of(transaction, ids)
    known = {
        row["code"]: f"{row['title']} {row['search_text']}"
        for row in await codes.every(transaction)
    }
    active = [row for row in rows if row["status"] == "active"]
    if sum(map(len, texts.values())) > _FOLDED_HERE:
        documents = await asyncio.to_thread(_documents, active, texts, known)
    else:
        documents = _documents(active, texts, known)
    await remove(transaction, ids)
    await write(transaction, documents)


def _documents(
    rows: Sequence[Mapping[str, Any]],
    texts: Mapping[int, Sequence[str]],
    code_texts: Mapping[str, str],
) -> list[Document]:
    return [document_of(row, texts[row["id"]], code_texts) for row in rows]
