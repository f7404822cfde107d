"""Suspected duplicates: clusters, their members, pairs that were found different."""

import math
import time
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from supplyr.db.database import Reader, Row, Transaction, among, listed

# Of a name: so many letters that namesakes share them and few others do.
_BEGINNING = 6
_AFTER_ALL = "\U0010fffd"


class NewCluster(NamedTuple):
    """Suppliers (id, permille of the most similar other one) that look like one."""

    members: Sequence[tuple[int, int]]
    best_permille: int


async def _reserve(transaction: Transaction, count: int) -> list[int]:
    if transaction.dialect == "postgresql":
        rows = await transaction.fetch_all(
            "SELECT nextval(pg_get_serial_sequence('duplicate_clusters', 'id')) AS id"
            " FROM generate_series(1, CAST(? AS INTEGER))",
            (count,),
        )
        return [row["id"] for row in rows]
    # Noted apart from the clusters: those that a run replaces are gone with their numbers.
    row = await transaction.fetch_one(
        "UPDATE duplicate_cluster_numbers SET last = last + ? RETURNING last", (count,)
    )
    assert row is not None
    return list(range(row["last"] - count + 1, row["last"] + 1))


async def add_clusters(
    transaction: Transaction, clusters: Sequence[NewCluster], job_id: int | None
) -> list[int]:
    """Insert clusters to be reviewed and return their ids."""
    ids = await _reserve(transaction, len(clusters))
    now_s = time.time()
    await transaction.execute_many(
        "INSERT INTO duplicate_clusters (id, job_id, best_permille, created_at_s)"
        " VALUES (?, ?, ?, ?)",
        [(at, job_id, one.best_permille, now_s) for at, one in zip(ids, clusters, strict=True)],
    )
    await transaction.execute_many(
        "INSERT INTO duplicate_members (cluster_id, supplier_id, permille) VALUES (?, ?, ?)",
        [
            (at, supplier_id, permille)
            for at, one in zip(ids, clusters, strict=True)
            for supplier_id, permille in one.members
        ],
    )
    return ids


async def made_since(reader: Reader, moment_s: float) -> list[Row]:
    """Return the clusters to be reviewed that were put up at a moment or later, with `members`."""
    rows = await reader.fetch_all(
        "SELECT * FROM duplicate_clusters WHERE state = 'open' AND created_at_s >= ? ORDER BY id",
        (moment_s,),
    )
    members = await _members(reader, [row["id"] for row in rows])
    return [{**row, "members": members.get(row["id"], [])} for row in rows]


async def changed_since(reader: Reader, ids: Sequence[int], moment_s: float) -> set[int]:
    """Return which of these suppliers were added or changed at a moment or later."""
    rows = await reader.fetch_all(
        f"SELECT id FROM suppliers WHERE updated_at_s >= ? AND {among(reader.dialect, 'id')}",  # noqa: S608 - constants
        (moment_s, listed(reader.dialect, ids)),
    )
    return {row["id"] for row in rows}


async def remove_open(
    transaction: Transaction, before_s: float = math.inf, also: Sequence[int] = ()
) -> int:
    """Delete the clusters that nobody has decided on; a new run finds them again.

    Args:
        transaction: In which.
        before_s: Those that were put up before that moment. What is put up meanwhile, by somebody
            who commits between two statements of this transaction, is none of them.
        also: Later ones that go too.
    """
    named = among(transaction.dialect, "id")
    return await _remove(
        transaction,
        f"state = 'open' AND (created_at_s < ? OR {named})",
        (before_s, listed(transaction.dialect, also)),
    )


async def remove_open_of(transaction: Transaction, supplier_id: int) -> None:
    """Delete what an earlier check of the same entry put up; a full run's clusters stay.

    Who was suspected for that alone is unchecked again.
    """
    where = (
        "state = 'open' AND job_id IS NULL AND id IN"
        " (SELECT cluster_id FROM duplicate_members WHERE supplier_id = ?)"
    )
    members = await transaction.fetch_all(
        "SELECT DISTINCT supplier_id FROM duplicate_members WHERE cluster_id IN"  # noqa: S608 - constants
        f" (SELECT id FROM duplicate_clusters WHERE {where})",
        (supplier_id,),
    )
    await _remove(transaction, where, (supplier_id,))
    await transaction.execute(
        "UPDATE suppliers SET duplicate_check = 'unchecked' WHERE duplicate_check = 'suspected'"  # noqa: S608 - constants
        f" AND {among(transaction.dialect, 'id')} AND id NOT IN"
        " (SELECT m.supplier_id FROM duplicate_members m"
        " JOIN duplicate_clusters c ON c.id = m.cluster_id WHERE c.state = 'open'"
        f" AND {among(transaction.dialect, 'm.supplier_id')})",
        (listed(transaction.dialect, [one["supplier_id"] for one in members]),) * 2,
    )


async def _remove(transaction: Transaction, where: str, parameters: tuple[Any, ...]) -> int:
    """Delete clusters. Merges that were undone outlive the cluster that they began with."""
    await transaction.execute(
        "UPDATE merges SET cluster_id = NULL WHERE cluster_id IN"  # noqa: S608 - constants
        f" (SELECT id FROM duplicate_clusters WHERE {where})",
        parameters,
    )
    return await transaction.execute(
        f"DELETE FROM duplicate_clusters WHERE {where}",  # noqa: S608 - constants
        parameters,
    )


async def get(reader: Reader, cluster_id: int) -> Row | None:
    """Return a cluster with its `members` (rows of supplier_id and permille), or None."""
    row = await reader.fetch_one("SELECT * FROM duplicate_clusters WHERE id = ?", (cluster_id,))
    if row is None:
        return None
    members = await _members(reader, [cluster_id])
    return {**row, "members": members.get(cluster_id, [])}


async def page(reader: Reader, state: str, after: tuple[int, int] | None, limit: int) -> list[Row]:
    """Return clusters of a state with `members`, the most similar first, behind (permille, id)."""
    best, at = after if after is not None else (1_000_000, 0)
    rows = await reader.fetch_all(
        "SELECT * FROM duplicate_clusters WHERE state = ?"
        " AND (best_permille < ? OR (best_permille = ? AND id > ?))"
        " ORDER BY best_permille DESC, id LIMIT ?",
        (state, best, best, at, limit),
    )
    members = await _members(reader, [row["id"] for row in rows])
    return [{**row, "members": members.get(row["id"], [])} for row in rows]


async def _members(reader: Reader, ids: Sequence[int]) -> dict[int, list[Row]]:
    rows = await reader.fetch_all(
        "SELECT cluster_id, supplier_id, permille FROM duplicate_members"  # noqa: S608 - constants
        f" WHERE {among(reader.dialect, 'cluster_id')} ORDER BY cluster_id, supplier_id",
        (listed(reader.dialect, ids),),
    )
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["cluster_id"], []).append(row)
    return found


async def count(reader: Reader, state: str) -> int:
    """Return how many clusters are in a state."""
    row = await reader.fetch_one(
        "SELECT count(*) AS n FROM duplicate_clusters WHERE state = ?", (state,)
    )
    return 0 if row is None else int(row["n"])


async def decide(
    transaction: Transaction, cluster_id: int, state: str, user_id: int | None, *, was: str
) -> bool:
    """Move a cluster from the state `was` to another; False where it is not in that any more."""
    decided = (None, None) if state == "open" else (time.time(), user_id)
    changed = await transaction.execute(
        "UPDATE duplicate_clusters SET state = ?, decided_at_s = ?, decided_by = ?"
        " WHERE id = ? AND state = ?",
        (state, *decided, cluster_id, was),
    )
    return changed > 0


async def dismiss_pairs(transaction: Transaction, ids: Iterable[int]) -> None:
    """Note that no two of these suppliers are the same."""
    now_s = time.time()
    await transaction.execute_many(
        "INSERT INTO duplicate_dismissals (first_id, second_id, dismissed_at_s) VALUES (?, ?, ?)"
        " ON CONFLICT (first_id, second_id) DO NOTHING",
        [(first, second, now_s) for first, second in combinations(sorted(set(ids)), 2)],
    )


async def dismissed_pairs(reader: Reader) -> list[tuple[int, int]]:
    """Return all pairs that were found different, lower id first."""
    rows = await reader.fetch_all("SELECT first_id, second_id FROM duplicate_dismissals")
    return [(row["first_id"], row["second_id"]) for row in rows]


async def dismissed_with(reader: Reader, supplier_id: int) -> set[int]:
    """Return the suppliers that were found different from one."""
    rows = await reader.fetch_all(
        "SELECT first_id, second_id FROM duplicate_dismissals WHERE first_id = ? OR second_id = ?",
        (supplier_id, supplier_id),
    )
    return {row["first_id"] + row["second_id"] - supplier_id for row in rows}


async def mark(
    transaction: Transaction, verdict: str, ids: Sequence[int], *, read_at_s: float | None = None
) -> None:
    """Note the verdict of a duplicate check on suppliers.

    Args:
        transaction: In which.
        verdict: unchecked, clear or suspected.
        ids: Of whom.
        read_at_s: When they were read to be compared; one that was changed since keeps its own
            verdict, for it is another that was compared. None marks all of them.
    """
    unchanged = "" if read_at_s is None else " AND updated_at_s < ?"
    await transaction.execute(
        "UPDATE suppliers SET duplicate_check = ?"  # noqa: S608 - constants
        f" WHERE duplicate_check <> ? AND {among(transaction.dialect, 'id')}{unchanged}",
        (
            verdict,
            verdict,
            listed(transaction.dialect, ids),
            *(() if read_at_s is None else (read_at_s,)),
        ),
    )


async def candidates(reader: Reader, supplier: Row, limit: int) -> list[dict[str, Any]]:
    """Return active suppliers that may be the same as one: by VAT number, postcode or name.

    Each of the three is an index away; a postcode or beginning of a name that many share is cut.
    """
    name = supplier["name_folded"]
    beginning = name[:_BEGINNING] or name
    columns = "id, name, street, city, postcode, address_extra, vat_number"
    found: dict[int, dict[str, Any]] = {}
    for where, parameters in (
        ("vat_number = ? AND vat_number <> ''", (supplier["vat_number"],)),
        ("postcode = ? AND postcode <> ''", (supplier["postcode"],)),
        ("name_folded >= ? AND name_folded < ?", (beginning, beginning + _AFTER_ALL)),
    ):
        rows = await reader.fetch_all(
            f"SELECT {columns} FROM suppliers WHERE status = 'active' AND id <> ? AND {where}"  # noqa: S608 - constants
            " LIMIT ?",
            (supplier["id"], *parameters, limit),
        )
        found.update((row["id"], row) for row in rows)
    return [found[at] for at in sorted(found)]
