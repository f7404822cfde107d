"""The real server, killed at whatever moment: nothing orphaned, lost or imported twice."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from held_ports import held_port
from supplyr.auth import keys
from supplyr.db.database import Database
from supplyr.db.opening import opened
from supplyr.seeding import put_codes
from supplyr.settings import Settings
from supplyr.store import users

from .family_support import family_of, left_of
from .jobs_support import one, supplier_csv

API = "/api/v1"
# Servers are started again and again, which takes its time on a machine that is busy.
pytestmark = pytest.mark.timeout(600)
ROWS = 3000


class Server:
    """One server process, whose imports wait before their end. owner: the test that started it."""

    def __init__(self, settings: Settings, key: str, port: int) -> None:
        self.marker = f"SUPPLYR_TEST_FAMILY={os.urandom(8).hex()}"
        self._settings = settings
        self._key = key
        self._port = port
        self._may_end = settings.data_dir.parent / "imports-may-end"
        self._process: asyncio.subprocess.Process
        self.client: httpx.AsyncClient

    async def start(self) -> None:
        name, _, value = self.marker.partition("=")
        environment = {
            **os.environ,
            name: value,
            "SUPPLYR_DATA_DIR": str(self._settings.data_dir),
            "SUPPLYR_DATABASE": self._settings.database,
            "SUPPLYR_PROCESSES": "2",
            "SUPPLYR_WRITE_PER_MINUTE": "6000",
            "SUPPLYR_QUEUE_TIMEOUT_S": "100",
            "SUPPLYR_RANK_EVERY_HOURS": "0",  # jobs are counted
            "SUPPLYR_TEST_MAY_END": str(self._may_end),
        }
        command = ("-m", "uvicorn", "--factory", "product.held_app:create_app",
                   "--app-dir", str(Path(__file__).parents[1]), "--port", str(self._port),
                   "--log-level", "warning", "--timeout-graceful-shutdown", "3")  # fmt: skip
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environment
        )
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}",
            headers={"authorization": f"Bearer {self._key}"},
            timeout=60,
        )
        while True:
            assert self._process.returncode is None, "the server ended while it started"
            try:
                if (await self.client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals) -> None:
        """Send a signal and wait for the server; then none of its family may stay."""
        await self.client.aclose()
        if self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()
        left = await left_of(self.marker)
        assert not left, f"left after five seconds: {left}"

    def let_imports_end(self) -> None:
        """From now on imports write their last block, here and in whatever server comes next."""
        self._may_end.touch()

    def workers(self) -> list[int]:
        """Return the processes below the server that are worker processes."""
        return [pid for pid in family_of(self.marker) if pid != self._process.pid]


@asynccontextmanager
async def served(settings: Settings, key: str) -> AsyncIterator[Server]:
    with held_port() as port:
        server = Server(settings, key, port)
        try:
            await server.start()
            yield server
        finally:
            await server.end(signal.SIGKILL)


@pytest.fixture
async def prepared(settings: Settings) -> AsyncIterator[tuple[Database, str]]:
    """A database that the test looks into beside the server, and a key."""
    async with opened(settings) as database:
        await put_codes(database)
        async with database.transaction() as transaction:
            user = await users.add(transaction, "k@example.org", "K", "x", "admin")
            key = (await keys.make_key(transaction, user, "test")).key
        yield database, key


async def _start_import(server: Server) -> int:
    files = {"file": ("s.csv", supplier_csv(ROWS))}
    upload = (await server.client.post(f"{API}/uploads", files=files)).json()
    asked = {"upload_id": upload["id"]}
    headers = {"idempotency-key": "kill"}
    answer = await server.client.post(f"{API}/imports", json=asked, headers=headers)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


async def _steps(database: Database, at_least: int) -> None:
    while await one(database, "SELECT count(*) FROM job_steps") < at_least:
        await asyncio.sleep(0.005)


async def _attempts(database: Database, at_least: int) -> None:
    while await one(database, "SELECT count(*) FROM job_attempts") < at_least:
        await asyncio.sleep(0.005)


async def _check_complete(database: Database, job: int) -> None:
    while await one(database, "SELECT state FROM jobs WHERE id = ?", job) not in {"done", "failed"}:
        await asyncio.sleep(0.05)
    row = await database.fetch_one("SELECT * FROM jobs WHERE id = ?", (job,))
    assert row is not None
    assert row["state"] == "done", row["error"]
    assert await one(database, "SELECT count(*) FROM suppliers") == ROWS
    assert await one(database, "SELECT count(DISTINCT external_ref) FROM suppliers") == ROWS
    assert await one(database, "SELECT count(*) FROM search_documents") == ROWS
    imports = "SELECT count(*) FROM audit_entries WHERE action = 'import.suppliers'"
    assert await one(database, imports) == 1


async def test_an_import_survives_a_killed_server_again_and_again(
    settings: Settings, prepared: tuple[Database, str]
) -> None:
    database, key = prepared
    async with served(settings, key) as server:
        job = await _start_import(server)
        await _steps(database, 1)
    for attempt, steps in ((2, 3), (3, 6)):
        async with served(settings, key):
            # The one before may have done as many steps: a server that has not begun loses nothing.
            await _attempts(database, attempt)
            await _steps(database, steps)
        assert await one(database, "SELECT state FROM jobs WHERE id = ?", job) == "running"
        # What attempts lose counts against the job; this test kills more often than that allows.
        async with database.transaction() as transaction:
            await transaction.execute("UPDATE jobs SET failures = 0 WHERE id = ?", (job,))
    async with served(settings, key) as server:
        server.let_imports_end()
        await _check_complete(database, job)
    outcomes = await database.fetch_all("SELECT outcome FROM job_attempts ORDER BY number")
    assert [row["outcome"] for row in outcomes] == ["lost"] * 3 + ["done"]


async def test_an_import_survives_a_server_that_is_asked_to_end(
    settings: Settings, prepared: tuple[Database, str]
) -> None:
    database, key = prepared
    async with served(settings, key) as server:
        job = await _start_import(server)
        await _steps(database, 3)
        await server.end(signal.SIGTERM)
    row = await database.fetch_one("SELECT state, failures, lease_owner FROM jobs")
    assert row == {"state": "queued", "failures": 0, "lease_owner": None}
    async with served(settings, key) as server:
        server.let_imports_end()
        await _check_complete(database, job)


async def test_killed_workers_cost_a_call_and_no_row(
    settings: Settings, prepared: tuple[Database, str]
) -> None:
    database, key = prepared
    async with served(settings, key) as server:
        job = await _start_import(server)
        for steps in (2, 4, 6):
            await _steps(database, steps)
            for pid in server.workers():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        server.let_imports_end()
        await _check_complete(database, job)
        assert (await server.client.get("/healthz")).status_code == 200
