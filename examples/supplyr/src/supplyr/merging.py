"""Merge suppliers and undo it: rows, products and pictures move, and every move is noted."""

import json
import time
from collections.abc import Sequence
from typing import Any

from supplyr.db.database import Reader, Row, Transaction, among, listed
from supplyr.search import index
from supplyr.store import duplicates, merge_rules, suppliers
from supplyr.store.suppliers import Draft


class MergeError(Exception):
    """The merge does not fit what is there now; the message says why, for people."""


async def _active(transaction: Transaction, ids: Sequence[int]) -> dict[int, Row]:
    await suppliers.lock(transaction, ids)
    rows = {row["id"]: row for row in await suppliers.by_ids(transaction, ids)}
    for at in ids:
        if at not in rows or rows[at]["status"] != "active":
            raise MergeError(f"Supplier {at} is archived, merged or gone.")
    return rows


async def merge(
    transaction: Transaction,
    cluster_id: int,
    survivor_id: int,
    member_ids: Sequence[int],
    user_id: int | None,
) -> int:
    """Merge members of a cluster into one of them and return the merge's number.

    Members that are not named stay as they are, and are noted as different from the rest. Raises
    MergeError when the cluster was decided on already or a member is not there any more.
    """
    cluster = await duplicates.get(transaction, cluster_id)
    known = set() if cluster is None else {one["supplier_id"] for one in cluster["members"]}
    others = [at for at in dict.fromkeys(member_ids) if at != survivor_id]
    if not others or not {survivor_id, *others} <= known:
        raise MergeError("Choose one supplier to keep, and at least one other of the same cluster.")
    if not await duplicates.decide(transaction, cluster_id, "merged", user_id, was="open"):
        raise MergeError("Somebody has decided on this cluster already.")
    rows = await _active(transaction, [survivor_id, *others])
    before = suppliers.draft_of(rows[survivor_id])
    after = merge_rules.combined(before, [suppliers.draft_of(rows[at]) for at in others])
    merge_id = await _note(transaction, cluster_id, survivor_id, user_id, before, after)
    for at in others:
        moved = await _move(transaction, at, survivor_id)
        await transaction.execute(
            "INSERT INTO merge_members (merge_id, supplier_id, before_json) VALUES (?, ?, ?)",
            (merge_id, at, json.dumps(moved)),
        )
        await transaction.execute(
            "UPDATE suppliers SET status = 'merged', merged_into = ?, version = version + 1,"
            " updated_at_s = ? WHERE id = ?",
            (survivor_id, time.time(), at),
        )
    await suppliers.update(transaction, survivor_id, after)
    for at in known - {survivor_id, *others}:
        await duplicates.dismiss_pairs(transaction, (survivor_id, at))
    await index.refresh(transaction, [survivor_id, *others])
    return merge_id


async def _note(
    transaction: Transaction,
    cluster_id: int,
    survivor_id: int,
    user_id: int | None,
    before: Draft,
    after: Draft,
) -> int:
    kept = {"before": merge_rules.as_json(before), "after": merge_rules.as_json(after)}
    row = await transaction.fetch_one(
        "INSERT INTO merges (cluster_id, survivor_id, merged_by, merged_at_s, survivor_before_json)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (cluster_id, survivor_id, user_id, time.time(), json.dumps(kept)),
    )
    assert row is not None
    return int(row["id"])


async def _move(transaction: Transaction, source: int, target: int) -> dict[str, list[int]]:
    """Move products and pictures; return which. An article number that the target has stays."""
    products = await transaction.fetch_all(
        "SELECT id FROM products WHERE supplier_id = ? AND sku NOT IN"
        " (SELECT sku FROM products WHERE supplier_id = ?)",
        (source, target),
    )
    images = await transaction.fetch_all("SELECT id FROM images WHERE supplier_id = ?", (source,))
    moved = {"products": [row["id"] for row in products], "images": [row["id"] for row in images]}
    await _give(transaction, moved, source, target)
    return moved


async def _give(
    transaction: Transaction, moved: dict[str, list[int]], source: int, target: int
) -> None:
    """Give what moved to another; what `source` has no more stays where it is."""
    for table in ("products", "images"):
        await transaction.execute(
            f"UPDATE {table} SET supplier_id = ?"  # noqa: S608 - constants
            f" WHERE supplier_id = ? AND {among(transaction.dialect, 'id')}",
            (target, source, listed(transaction.dialect, moved[table])),
        )


async def undo(transaction: Transaction, merge_id: int, user_id: int | None) -> Row:
    """Undo a merge and return its row; the cluster is open again.

    What somebody changed on the survivor since stays. Raises MergeError when there is no such
    merge, it was undone already, or the survivor itself was merged or archived since.
    """
    lock = " FOR UPDATE" if transaction.dialect == "postgresql" else ""
    row = await transaction.fetch_one(f"SELECT * FROM merges WHERE id = ?{lock}", (merge_id,))  # noqa: S608 - constants
    if row is None or row["undone_at_s"] is not None:
        raise MergeError("There is no such merge, or it was undone already.")
    survivor_id = row["survivor_id"]
    members = await transaction.fetch_all(
        "SELECT * FROM merge_members WHERE merge_id = ? ORDER BY supplier_id", (merge_id,)
    )
    await suppliers.lock(transaction, [survivor_id, *(one["supplier_id"] for one in members)])
    rows = await _active(transaction, [survivor_id])
    kept: dict[str, Any] = json.loads(row["survivor_before_json"])
    draft = merge_rules.undone(
        merge_rules.from_json(kept["before"]),
        merge_rules.from_json(kept["after"]),
        suppliers.draft_of(rows[survivor_id]),
    )
    for member in members:
        await transaction.execute(
            "UPDATE suppliers SET status = 'active', merged_into = NULL, version = version + 1,"
            " updated_at_s = ? WHERE id = ? AND status = 'merged' AND merged_into = ?",
            (time.time(), member["supplier_id"], survivor_id),
        )
        moved = json.loads(member["before_json"])
        await _give(transaction, moved, survivor_id, member["supplier_id"])
    await suppliers.update(transaction, survivor_id, draft)
    await transaction.execute(
        "UPDATE merges SET undone_at_s = ?, undone_by = ? WHERE id = ?",
        (time.time(), user_id, merge_id),
    )
    if row["cluster_id"] is not None:
        await duplicates.decide(transaction, row["cluster_id"], "open", user_id, was="merged")
    await index.refresh(transaction, [survivor_id, *(one["supplier_id"] for one in members)])
    return row


async def of_cluster(reader: Reader, cluster_id: int) -> Row | None:
    """Return the latest merge of a cluster that was not undone, or None."""
    return await reader.fetch_one(
        "SELECT * FROM merges WHERE cluster_id = ? AND undone_at_s IS NULL"
        " ORDER BY id DESC LIMIT 1",
        (cluster_id,),
    )
