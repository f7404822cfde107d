"""Decide on suspected duplicates: what the API and the pages have in common."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from supplyr import merging
from supplyr.auth.identity import Identity
from supplyr.db.database import Row
from supplyr.merging import MergeError
from supplyr.store import audit, duplicates, suppliers
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError


async def merge(
    request: Request,
    identity: Identity,
    cluster_id: int,
    survivor_id: int,
    member_ids: Sequence[int],
) -> int:
    """Merge members of a cluster into one and return the merge's number; 409 tells why not."""
    async with context_of(request).database.transaction() as transaction:
        try:
            merge_id = await merging.merge(
                transaction, cluster_id, survivor_id, member_ids, identity.user_id
            )
        except MergeError as error:
            raise ProblemError(409, str(error), code="merge") from error
        await audit.append(
            transaction,
            identity.actor,
            "supplier.merge",
            f"supplier:{survivor_id}",
            {"merge": merge_id, "members": sorted(set(member_ids) - {survivor_id})},
        )
    return merge_id


async def dismiss(
    request: Request,
    identity: Identity,
    cluster_id: int,
    member_ids: Sequence[int] | None = None,
) -> None:
    """Note that the members of a cluster are different; 409 when it was decided on already.

    So it is where others are in it than `member_ids`, those that somebody has looked at.
    """
    async with context_of(request).database.transaction() as transaction:
        cluster = await duplicates.get(transaction, cluster_id)
        decided = cluster is not None and await duplicates.decide(
            transaction, cluster_id, "dismissed", identity.user_id, was="open"
        )
        if cluster is None or not decided:
            raise ProblemError(409, "This cluster was decided on already.", code="decided")
        ids = [member["supplier_id"] for member in cluster["members"]]
        if member_ids is not None and set(member_ids) != set(ids):
            raise ProblemError(
                409, "Others are in this cluster by now; look at it again.", code="outdated"
            )
        await duplicates.dismiss_pairs(transaction, ids)
        await duplicates.mark(transaction, "clear", ids)
        await audit.append(
            transaction, identity.actor, "duplicates.dismiss", f"cluster:{cluster_id}"
        )


async def undo(request: Request, identity: Identity, merge_id: int) -> Row:
    """Undo a merge; 409 tells why not."""
    async with context_of(request).database.transaction() as transaction:
        try:
            row = await merging.undo(transaction, merge_id, identity.user_id)
        except MergeError as error:
            raise ProblemError(409, str(error), code="merge") from error
        await audit.append(
            transaction,
            identity.actor,
            "supplier.unmerge",
            f"supplier:{row['survivor_id']}",
            {"merge": merge_id},
        )
    return row


async def with_suppliers(request: Request, clusters: Sequence[Row]) -> list[dict[str, Any]]:
    """Return clusters with the rows of their members, and the merge that can be undone."""
    database = context_of(request).database
    ids = [member["supplier_id"] for cluster in clusters for member in cluster["members"]]
    rows = {row["id"]: row for row in await suppliers.by_ids(database, list(dict.fromkeys(ids)))}
    shown: list[dict[str, Any]] = []
    for cluster in clusters:
        members = [
            {**member, "supplier": rows[member["supplier_id"]]}
            for member in cluster["members"]
            if member["supplier_id"] in rows
        ]
        merge = (
            await merging.of_cluster(database, cluster["id"])
            if cluster["state"] == "merged"
            else None
        )
        shown.append({**cluster, "members": members, "merge": merge})
    return shown
