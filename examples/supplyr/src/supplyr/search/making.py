"""Search documents of many suppliers, folded where it stalls nobody."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lanewise import task

from supplyr.generate import generate
from supplyr.search.documents import Document, document_of

# What document_of reads of a row.
_READ = ("name", "description", "city", "region", "postcode", "country", "codes", "certificates")


def encode_rows(rows: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> bytes:
    """Write rows and what their products are called as the bytes that make_documents takes."""
    plain = [
        ({"id": row.get("id", 0), **{name: row[name] for name in _READ}}, list(products))
        for row, products in rows
    ]
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


def encode_codes(titles: Mapping[str, str]) -> bytes:
    """Write code -> words as the bytes that make_documents takes."""
    return json.dumps(dict(titles), ensure_ascii=False).encode()


def _rows_size(rows: bytes, *_: object) -> int:
    return rows.count(b'[{"id":')


@lru_cache(maxsize=8)
def _sample_rows(count: int) -> bytes:
    return encode_rows(
        [
            (
                {
                    "id": one.id, "name": one.name, "description": f"{one.name} in {one.city}",
                    "city": one.city, "region": one.region, "postcode": one.postcode,
                    "country": one.country, "codes": list(one.categories), "certificates": [],
                },
                ["Steel plate 2 mm", "Hex bolt M8"],
            )
            for one in generate(count).records
        ]
    )  # fmt: skip


def _documents_inputs(size: int) -> tuple[bytes, bytes]:
    return _sample_rows(size), encode_codes({"25.62": "Machining of metal"})


@task(size=_rows_size, inputs=_documents_inputs, idempotent=True)
def make_documents(rows: bytes, code_texts: bytes) -> bytes:
    """Return the search documents of rows, in order, as JSON; see documents_of. Plain Python."""
    known = json.loads(code_texts)
    found = [document_of(row, products, known) for row, products in json.loads(rows)]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def documents_of(encoded: bytes, ids: Sequence[int]) -> list[Document]:
    """Decode what make_documents returned, for suppliers of these ids."""
    return [Document(at, *texts) for at, (_, *texts) in zip(ids, json.loads(encoded), strict=True)]
