"""Files that were uploaded to be imported, until somebody says how."""

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from supplyr.db.database import Reader, Row, Transaction


class NewUpload(NamedTuple):
    """A file that was stored, what it is to become, and a preview of it."""

    owner_id: int
    kind: str
    supplier_id: int | None
    path: str
    file_name: str
    size_bytes: int
    sha256: str
    preview: Mapping[str, Any]


async def add(transaction: Transaction, new: NewUpload) -> int:
    """Add an upload and return its number."""
    row = await transaction.fetch_one(
        "INSERT INTO uploads (owner_id, kind, supplier_id, path, file_name, size_bytes, sha256,"
        " preview_json, created_at_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (*new[:-1], json.dumps(new.preview, ensure_ascii=False), time.time()),
    )
    assert row is not None
    return int(row["id"])


async def get(reader: Reader, upload_id: int, owner_id: int) -> Row | None:
    """Return somebody's upload with its `preview`, or None."""
    row = await reader.fetch_one(
        "SELECT * FROM uploads WHERE id = ? AND owner_id = ?", (upload_id, owner_id)
    )
    return None if row is None else {**row, "preview": json.loads(row["preview_json"])}
