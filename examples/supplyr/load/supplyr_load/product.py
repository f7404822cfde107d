"""SUPPLYR's own durable jobs, asked for as a writer's program asks: a key, an upload, a job."""

import asyncio
import csv
import io
import json
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from supplyr.auth.keys import make_key
from supplyr.db.opening import opened
from supplyr.generate import generate
from supplyr.settings import Settings
from supplyr.store import users
from supplyr_load.server import Server

_FINAL = frozenset({"done", "failed", "cancelled"})
_HEADING = "Reference,Name,Street,Postcode,City,Country,Phone,E-mail,NACE".split(",")


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """Yield a copy of a directory that may be written to; it is removed afterwards."""
    copy = folder.parent / f"scratch-{uuid.uuid4().hex[:8]}"
    copy.mkdir()
    try:
        with (
            closing(sqlite3.connect(Settings(data_dir=folder).sqlite_path)) as source,
            closing(sqlite3.connect(Settings(data_dir=copy).sqlite_path)) as target,
        ):
            source.backup(target)
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def writers_key(folder: Path) -> str:
    """Make an account that may write, and return a key of it."""

    async def make() -> str:
        settings = Settings(data_dir=folder)
        async with opened(settings) as database, database.transaction() as transaction:
            user = await users.add(transaction, "load@example.org", "Load", "x", "admin")
            return (await make_key(transaction, user, "load tests")).key

    return asyncio.run(make())


def catalogue(rows: int, seed: int = 99) -> bytes:
    """Return a CSV of suppliers that no generated directory has."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEADING)
    for one in generate(rows, seed=seed, duplicate_share=0).records:
        reference = f"LOAD{one.id:07d}"
        address = (one.name, one.street, one.postcode, one.city, one.country)
        writer.writerow((reference, *address, one.phone, one.email, one.categories[0]))
    return text.getvalue().encode()


def start_import(server: Server, key: str, data: bytes) -> int:
    """Upload a file and start its import; returns the job's id."""
    boundary = uuid.uuid4().hex
    body = (
        (
            f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="load.csv"\r\n'
            f"content-type: text/csv\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = {"authorization": f"Bearer {key}"}
    form = {**headers, "content-type": f"multipart/form-data; boundary={boundary}"}
    status, answer = server.send("POST", "/api/v1/uploads", body, form, 120.0)
    if status != 201:
        raise RuntimeError(f"the upload was answered with {status}: {answer[:300]!r}")
    asked = json.dumps({"upload_id": json.loads(answer)["id"]}).encode()
    sent = {**headers, "content-type": "application/json", "idempotency-key": boundary}
    status, answer = server.send("POST", "/api/v1/imports", asked, sent, 60.0)
    if status != 202:
        raise RuntimeError(f"the import was answered with {status}: {answer[:300]!r}")
    return int(json.loads(answer)["id"])


def job(server: Server, key: str, number: int) -> dict[str, Any]:
    """Return how far a job is."""
    headers = {"authorization": f"Bearer {key}"}
    status, answer = server.send("GET", f"/api/v1/jobs/{number}", None, headers)
    if status != 200:
        raise RuntimeError(f"the job was answered with {status}: {answer[:300]!r}")
    told: dict[str, Any] = json.loads(answer)
    return told


def over(server: Server, key: str, number: int, timeout_s: float) -> dict[str, Any]:
    """Wait until a job is over, or for so long; returns how far it is then."""
    until = time.monotonic() + timeout_s
    seen: dict[str, Any] = {}
    while time.monotonic() < until:
        with suppress(OSError):
            seen = job(server, key, number)
            if seen["state"] in _FINAL:
                break
        time.sleep(0.1)
    return seen


def imported(folder: Path) -> tuple[int, int]:
    """Return how many rows of `catalogue` are in the directory, and how many different ones."""
    with closing(sqlite3.connect(Settings(data_dir=folder).sqlite_path)) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT external_ref) FROM suppliers"
            " WHERE external_ref LIKE 'LOAD%'"
        ).fetchone()
    return int(row[0]), int(row[1])
