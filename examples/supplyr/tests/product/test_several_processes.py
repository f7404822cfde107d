"""Several server processes over one database, under both servers, as an operator starts them."""

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from held_ports import held_port
from supplyr.__main__ import main
from supplyr.db.opening import opened
from supplyr.settings import Settings
from supplyr.store import job_records, login_failures

from .family_support import left_of
from .jobs_support import one, supplier_csv
from .people import PASSWORD, add_user, form_token, key_of, log_in

API = "/api/v1"
# Each test starts two or more servers, which takes its time on a machine that is busy.
pytestmark = pytest.mark.timeout(600)
ROWS = 1500

_UVICORN, _GRANIAN_ALONE, _GRANIAN = ("uvicorn", 2), ("granian", 1), ("granian", 2)


class Served:
    """A supervisor and its server processes. owner: the test that started it."""

    def __init__(self, process: asyncio.subprocess.Process, marker: str, url: str) -> None:
        self.process = process
        self.url = url
        self._marker = marker

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Return a client that connects anew for each request, so that any process may answer."""
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.url, headers=headers, limits=limits, timeout=60)

    async def end(self, how: signal.Signals) -> None:
        """Signal the supervisor; after its end nothing of the family may stay."""
        if self.process.returncode is None:
            self.process.send_signal(how)
            await self.process.wait()
        left = await left_of(self._marker)
        assert not left, f"left after five seconds: {left}"


@asynccontextmanager
async def served(settings: Settings, server: tuple[str, int]) -> AsyncIterator[Served]:
    name, workers = server
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    marker = f"SUPPLYR_TEST_FAMILY={os.urandom(8).hex()}"
    variable, _, value = marker.partition("=")
    environment = {
        **os.environ,
        variable: value,
        "SUPPLYR_DATABASE": settings.database,
        "SUPPLYR_PROCESSES": "1",
        "SUPPLYR_WRITE_PER_MINUTE": "6000",
        "SUPPLYR_LOGIN_PER_MINUTE": "6000",
        "SUPPLYR_LOGIN_MEMORY_KIB": "64",
        "SUPPLYR_QUEUE_TIMEOUT_S": "100",
        "SUPPLYR_RANK_EVERY_HOURS": "0",  # jobs are counted
    }
    with held_port() as port:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "supplyr", "--data-dir", str(settings.data_dir), "serve",
            "--port", str(port), "--workers", str(workers), "--server", name, env=environment,
        )  # fmt: skip
        made = Served(process, marker, f"http://127.0.0.1:{port}")
        try:
            async with made.client() as client:
                while True:
                    assert process.returncode is None, "the server ended while it started"
                    try:
                        if (await client.get("/readyz")).status_code == 200:
                            break
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(0.05)
            yield made
        finally:
            await made.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("settings", "server"),
    [
        pytest.param("sqlite", _UVICORN, id="sqlite-uvicorn"),
        pytest.param("postgresql", _GRANIAN, id="postgresql-granian"),
    ],
    indirect=["settings"],
)
async def test_processes_share_sessions_forms_and_the_count_of_guesses(
    settings: Settings, server: tuple[str, int]
) -> None:
    # The data folder is empty: they migrate and make the secret key at the same moment.
    async with served(settings, server) as site:
        async with opened(settings) as database:
            await add_user(database)
            await add_user(database, "eve@example.org")
        async with site.client() as client:
            assert (await log_in(client)).status_code == 303
            for _ in range(8):
                assert (await client.get("/account")).status_code == 200
                token = await form_token(client, "/account")
                answer = await client.post("/account/keys", data={"csrf_token": "x" + token})
                assert answer.status_code == 403
            answer = await client.post("/account/keys", data={"csrf_token": token, "label": "k"})
            assert answer.status_code == 200, answer.text
            answer = await client.post("/logout", data={"csrf_token": token})
            assert answer.status_code == 303
            for _ in range(6):
                assert (await client.get("/account")).status_code == 303
        async with site.client() as guesser:

            async def statuses(guesses: range) -> list[int]:
                made = [await log_in(guesser, "eve@example.org", f"guess {n}") for n in guesses]
                return [answer.status_code for answer in made]

            # Those that cost nothing, and the one that begins the wait: counted in one place,
            # whichever process they came to.
            looked_at = login_failures.FREE_BY_ACCOUNT + 1
            assert await statuses(range(looked_at)) == [403] * looked_at
            async with opened(settings) as database:
                subject = ("account:eve@example.org",)
                count = "SELECT failures FROM login_failures WHERE subject = ?"
                assert await one(database, count, *subject) == looked_at
                begun = "SELECT blocked_until_s > 0 FROM login_failures WHERE subject = ?"
                assert await one(database, begun, *subject)
                # The next one begins the longest wait: a slow machine outlasts the first ones.
                async with database.transaction() as transaction:
                    await transaction.execute(
                        "UPDATE login_failures SET failures = 20, blocked_until_s = 0"
                        " WHERE subject = ?",
                        subject,
                    )
            assert await statuses(range(looked_at, 14)) == [403] + [429] * (13 - looked_at)
            refused = await log_in(guesser, "eve@example.org", PASSWORD)
            assert refused.status_code == 429  # right, but too early
        await site.end(signal.SIGTERM)


@pytest.mark.parametrize(
    ("settings", "server", "how"),
    [
        pytest.param("sqlite", _UVICORN, signal.SIGKILL, id="sqlite-uvicorn-SIGKILL"),
        pytest.param("sqlite", _GRANIAN_ALONE, signal.SIGTERM, id="sqlite-granian-SIGTERM"),
        pytest.param("postgresql", _GRANIAN, signal.SIGKILL, id="postgresql-granian-SIGKILL"),
    ],
    indirect=["settings"],
)
async def test_a_job_is_done_once_whatever_ends(
    settings: Settings, server: tuple[str, int], how: signal.Signals
) -> None:
    async with opened(settings) as database:
        headers = await key_of(database, await add_user(database))
        async with served(settings, server) as site:
            async with site.client(**headers) as client:
                upload = await client.post(
                    f"{API}/uploads", files={"file": ("s.csv", supplier_csv(ROWS))}
                )
                asked = {"upload_id": upload.json()["id"]}
                # The same request at several processes at once is one job.
                answers = await asyncio.gather(
                    *(
                        client.post(
                            f"{API}/imports", json=asked, headers={"idempotency-key": "once"}
                        )
                        for _ in range(4)
                    )
                )
            assert {answer.status_code for answer in answers} == {202}, answers[0].text
            (job,) = {answer.json()["id"] for answer in answers}
            while await one(database, "SELECT count(*) FROM job_steps") < 2:
                await asyncio.sleep(0.005)
            await site.end(how)
        async with served(settings, server):
            while (await one(database, "SELECT state FROM jobs WHERE id = ?", job)) != "done":
                await asyncio.sleep(0.02)
        assert await one(database, "SELECT count(*) FROM suppliers") == ROWS
        assert await one(database, "SELECT count(DISTINCT external_ref) FROM suppliers") == ROWS
        note = "SELECT count(*) FROM audit_entries WHERE action = 'import.suppliers'"
        assert await one(database, note) == 1
        outcomes = [row["outcome"] for row in await job_records.attempts_of(database, job)]
        assert outcomes[-1] == "done"
        assert set(outcomes[:-1]) <= {"stopped", "lost"}


def test_what_serve_cannot_do_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ["--data-dir", str(tmp_path / "data")]
    assert main([*where, "serve", "--workers", "0"]) == 2
    assert "--workers" in capsys.readouterr().err
    if importlib.util.find_spec("granian") is None:
        assert main([*where, "serve", "--server", "granian"]) == 2
        assert "pip install granian" in capsys.readouterr().err
    else:
        assert main([*where, "serve", "--server", "granian", "--port", "0"]) == 2
        assert "--port" in capsys.readouterr().err
