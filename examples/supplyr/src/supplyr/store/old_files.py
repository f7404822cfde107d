"""Which files of uploads and exports are no longer needed, and which are known at all."""

import json

from supplyr.db.database import Reader, Transaction, among, listed


async def forget_uploads(transaction: Transaction, before_s: float) -> list[str]:
    """Delete uploads that are older and that no import waits for or reads; return their paths."""
    waiting = await transaction.fetch_all(
        "SELECT payload_json FROM jobs WHERE kind = 'import' AND state IN ('queued', 'running')"
    )
    needed = {json.loads(row["payload_json"]).get("upload") for row in waiting}
    rows = await transaction.fetch_all(
        "SELECT id, path FROM uploads WHERE created_at_s < ?", (before_s,)
    )
    old = [row for row in rows if row["path"] not in needed]
    await transaction.execute(
        f"DELETE FROM uploads WHERE {among(transaction.dialect, 'id')}",  # noqa: S608 - constants
        (listed(transaction.dialect, [row["id"] for row in old]),),
    )
    return [row["path"] for row in old]


async def forget_exports(transaction: Transaction, before_s: float, now_s: float) -> list[str]:
    """Note that files of jobs which are older are deleted, and return their paths."""
    rows = await transaction.fetch_all(
        "SELECT id, path FROM job_files WHERE deleted_at_s IS NULL AND created_at_s < ?",
        (before_s,),
    )
    await transaction.execute(
        "UPDATE job_files SET deleted_at_s = ?"  # noqa: S608 - constants
        f" WHERE {among(transaction.dialect, 'id')}",
        (now_s, listed(transaction.dialect, [row["id"] for row in rows])),
    )
    return [row["path"] for row in rows]


async def known(reader: Reader) -> set[str]:
    """Return the paths of all files that a row names, those of imports that go on included."""
    rows = await reader.fetch_all(
        "SELECT path FROM uploads UNION SELECT path FROM job_files WHERE deleted_at_s IS NULL"
    )
    waiting = await reader.fetch_all(
        "SELECT payload_json FROM jobs WHERE kind = 'import' AND state IN ('queued', 'running')"
    )
    found = {row["path"] for row in rows}
    return found | {str(json.loads(row["payload_json"]).get("upload")) for row in waiting}


async def unfinished_jobs(reader: Reader) -> set[str]:
    """Return the numbers of the jobs that may still need their folders."""
    rows = await reader.fetch_all("SELECT id FROM jobs WHERE state IN ('queued', 'running')")
    return {str(row["id"]) for row in rows}
