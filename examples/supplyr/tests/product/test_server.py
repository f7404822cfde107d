"""A server as an operator starts it: its own process, a real port, signals."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from held_ports import held_port
from supplyr.__main__ import main
from supplyr.db.opening import opened
from supplyr.settings import Settings, SettingsError, from_environment
from supplyr.store import suppliers, users

# A server's start and end take their time on a machine that is busy: these are against hanging.
pytestmark = pytest.mark.timeout(300)
_STOP_S = 120.0
_ANSWER_S = 60.0


@contextlib.contextmanager
def _serving(settings: Settings, *more: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Yield a server that listens, its address, and what it said until then."""
    environment = {**os.environ, "SUPPLYR_PROCESSES": "1", "SUPPLYR_LOGIN_MEMORY_KIB": "64"}
    where = ["--data-dir", str(settings.data_dir)]
    if settings.database:
        where += ["--database", settings.database]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "supplyr", *where, "serve", "--port", "0", *more],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        address = None
        while address is None:
            line = process.stdout.readline()
            assert line, said  # it has ended
            said += line
            address = re.fullmatch(r"SUPPLYR: (http://\S+)/\n", line)
        yield process, address.group(1), said
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def test_one_command_serves_a_directory_and_stops_when_it_is_told(
    settings: Settings,
) -> None:
    with _serving(settings, "--with-data", "50") as (process, url, said):
        async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert "50 suppliers" in (await client.get("/")).text
            found = await client.get("/api/v1/suppliers", params={"limit": 5})
            assert len(found.json()["items"]) == 5
            assert "server" not in found.headers
        process.send_signal(signal.SIGTERM)
        rest, _ = await asyncio.to_thread(process.communicate, timeout=_STOP_S)
    assert "log in as admin@supplyr.example" in said
    assert "Traceback" not in said + rest


async def test_what_was_committed_is_there_after_the_server_was_killed(
    settings: Settings,
) -> None:
    async with opened(settings) as database, database.transaction() as transaction:
        await suppliers.create(transaction, suppliers.Draft("Before"))
    with _serving(settings) as (process, url, _):
        async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S) as client:
            assert (await client.get("/healthz")).status_code == 200
        process.kill()
        await asyncio.to_thread(process.wait)
    async with opened(settings) as database:
        assert await suppliers.count_active(database) == 1


def test_generating_twice_is_refused_with_a_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data-dir", str(tmp_path / "data")]
    truth = tmp_path / "truth.json"
    assert main([*where, "generate", "40", "--truth", str(truth)]) == 0
    assert "40 suppliers" in capsys.readouterr().out
    assert "duplicate_pairs" in truth.read_text()
    assert main([*where, "generate", "40"]) == 1
    assert "--seed" in capsys.readouterr().err
    assert main([*where, "generate", "40", "--seed", "2"]) == 0
    assert main([*where, "generate", "-1"]) == 2
    assert main([*where, "audit"]) == 0
    assert main([*where, "audit", "--head", "f" * 64]) == 1
    assert main([*where, "migrate"]) == 0


def test_accounts_are_made_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from io import StringIO

    monkeypatch.setenv("SUPPLYR_LOGIN_MEMORY_KIB", "64")
    where = ["--data-dir", str(tmp_path / "data")]

    def user(password: str, *more: str) -> int:
        monkeypatch.setattr("sys.stdin", StringIO(password + "\n"))
        return main([*where, "user", "Ada@Example.org", "--password-stdin", *more])

    assert user("short") == 2
    assert user("a long enough password", "--reset") == 1
    assert user("a long enough password", "--role", "admin") == 0
    assert user("a long enough password") == 1  # there already
    assert user("another long password", "--reset") == 0
    capsys.readouterr()

    async def kept() -> str:
        async with opened(Settings(data_dir=tmp_path / "data")) as database:
            row = await users.by_email(database, "ada@example.org")
            assert row is not None
            return f"{row['role']} {row['password_hash']}"

    told = asyncio.run(kept())
    assert told.startswith("admin $argon2id$")


def test_settings_come_from_variables_and_wrong_ones_are_named() -> None:
    settings = from_environment(
        {
            "SUPPLYR_DATA_DIR": "/x",
            "SUPPLYR_PROCESSES": "3",
            "SUPPLYR_COOKIE_SECURE": "yes",
            "SUPPLYR_QUEUE_TIMEOUT_S": "2.5",
            "SUPPLYR_PLAN": "",
        }
    )
    assert (settings.data_dir, settings.processes) == (Path("/x"), 3)
    assert (settings.cookie_secure, settings.queue_timeout_s, settings.plan) == (True, 2.5, None)
    for name, value in (
        ("SUPPLYR_PROCESSES", "many"),
        ("SUPPLYR_COOKIE_SECURE", "maybe"),
        ("SUPPLYR_DATABASE", "mysql://x"),
        ("SUPPLYR_LOGINS_AT_ONCE", "0"),
    ):
        with pytest.raises(SettingsError, match=name):
            from_environment({name: value})
    assert main(["--database", "mysql://x", "migrate"]) == 2


def test_a_database_that_is_not_there_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("asyncpg")
    where = ["--data-dir", str(tmp_path / "data")]
    with held_port() as port:
        url = f"postgresql://nobody:secret-word@127.0.0.1:{port}/x"
        assert main([*where, "--database", url, "migrate"]) == 1
    said = capsys.readouterr().err
    assert "SUPPLYR_DATABASE" in said
    assert "secret-word" not in said
