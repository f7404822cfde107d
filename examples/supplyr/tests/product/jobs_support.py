"""What the tests of jobs share: a runner over a real runtime, users, uploads."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from lanewise import Runtime

from supplyr.db.database import Database, Row
from supplyr.generate import generate
from supplyr.jobs import imports
from supplyr.jobs.background import Background
from supplyr.jobs.files import store
from supplyr.jobs.registry import HANDLERS
from supplyr.jobs.run import Handler
from supplyr.jobs.runner import Runner
from supplyr.jobs.submit import submit
from supplyr.settings import Settings
from supplyr.store import codes, jobs
from supplyr.store.job_life import FINAL
from supplyr.wordlists import TRADES

HEADING = "Reference,Name,Street,Postcode,City,Country,Phone,E-mail,VAT number,NACE"
COLUMNS = {
    "external_ref": 0, "name": 1, "street": 2, "postcode": 3, "city": 4, "country": 5, "phone": 6,
    "email": 7, "vat_number": 8, "codes": 9,
}  # fmt: skip


async def add_user(database: Database, email: str = "w@example.org", role: str = "writer") -> int:
    """Add somebody who may write, and the classification."""
    async with database.transaction() as transaction:
        row = await transaction.fetch_one(
            "INSERT INTO users (email, display_name, password_hash, role, created_at_s)"
            " VALUES (?, 'W', 'x', ?, 0) RETURNING id",
            (email, role),
        )
        await codes.put_all(
            transaction, sorted({(code, None, german, "") for code, german, _, _ in TRADES})
        )
    assert row is not None
    return int(row["id"])


def supplier_csv(count: int, start: int = 0) -> bytes:
    """Return a CSV of `count` good rows with distinct references and no VAT numbers."""
    lines = [
        f'R{start + one.id:06d},"{one.name}","{one.street}",{one.postcode},"{one.city}",'
        f"{one.country},{one.phone},{one.email},,{one.categories[0]}"
        for one in generate(count, seed=99, duplicate_share=0).records
    ]
    return "\n".join([HEADING, *lines]).encode()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def submit_import(
    database: Database,
    settings: Settings,
    user: int,
    data: bytes,
    key: str | None = None,
    **payload: Any,
) -> Row:
    """Store an upload and add its import."""
    stored = await store(settings.data_dir, "uploads", _once(data))
    asked = {
        "upload": stored.path, "kind": "suppliers", "columns": COLUMNS, "options": {},
        "update_existing": False, "supplier_id": None, **payload,
    }  # fmt: skip
    row, _ = await submit(database, imports.KIND, user, f"user:{user}", asked, key)
    return row


@asynccontextmanager
async def running(
    database: Database, settings: Settings, handlers: Mapping[str, Handler] = HANDLERS
) -> AsyncIterator[Runner]:
    """Run jobs inside the block."""
    async with Runtime(processes=2) as runtime:
        runner = Runner(database, Background(runtime), settings, handlers)
        async with runner.started():
            yield runner


async def ended(database: Database, job_id: int) -> Row:
    """Return a job's row once it is over; the test's own timeout bounds the wait."""
    while True:
        row = await jobs.get(database, job_id)
        assert row is not None
        if row["state"] in FINAL:
            return row
        await asyncio.sleep(0.02)


async def one(database: Database, sql: str, *parameters: Any) -> Any:
    """Return the one value of a query."""
    row = await database.fetch_one(sql, parameters)
    assert row is not None
    return next(iter(row.values()))
