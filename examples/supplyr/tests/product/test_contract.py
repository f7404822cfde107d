"""The description of the API, sent to a real server: whatever it allows, and what it does not."""

import asyncio
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supplyr.db.opening import opened
from supplyr.seeding import seed_directory
from supplyr.settings import Settings

from .people import add_user, key_of

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        importlib.util.find_spec("schemathesis") is None,
        reason="schemathesis is not installed: pip install 'supplyr[contract]'",
    ),
]
_CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
    )
)
# Enough for each kind of value that a field may have, and done within a minute on an idle machine.
_EXAMPLES = "3"
_NO_LIMITS = {
    f"SUPPLYR_{name}": "1000000"
    for name in ("SEARCH_PER_MINUTE", "WRITE_PER_MINUTE", "LOGIN_PER_MINUTE", "JOBS_PER_USER")
}


async def _prepared(settings: Settings) -> str:
    """Fill a directory and return what an administrator's program sends to be known."""
    async with opened(settings) as database:
        await seed_directory(database, 30)
        user = await add_user(database, "root@example.org", "admin")
        return (await key_of(database, user))["authorization"]


@contextlib.contextmanager
def _serving(settings: Settings) -> Iterator[str]:
    """Serve a directory and yield the server's address."""
    environment = {
        **os.environ,
        **_NO_LIMITS,
        "SUPPLYR_PROCESSES": "1",
        "SUPPLYR_LOGIN_MEMORY_KIB": "64",
        # However slow the machine: nothing is refused because of load.
        "SUPPLYR_QUEUE_TIMEOUT_S": "100",
        "SUPPLYR_RUN_JOBS": "0",
    }
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "supplyr", "--data-dir", str(settings.data_dir),
         "serve", "--port", "0"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.fullmatch(r"SUPPLYR: (http://\S+)/\n", line)
        assert address is not None, line
        yield address.group(1)
        assert process.poll() is None, "the server ended"
    finally:
        process.kill()
        process.communicate()


def test_nothing_that_is_described_ends_in_a_server_error(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", login_memory_kib=64)
    key = asyncio.run(_prepared(settings))
    with _serving(settings) as address:
        done = subprocess.run(  # noqa: S603 - a program of the tests
            [
                *(
                    sys.executable,
                    "-c",
                    "from schemathesis.cli import schemathesis; schemathesis()",
                ),
                *("run", f"{address}/api/v1/openapi.json", "--header", f"Authorization: {key}"),
                *("--checks", _CHECKS, "--phases", "examples,coverage,fuzzing"),
                *("--max-examples", _EXAMPLES, "--generation-deterministic", "--no-color"),
                # A machine that stands still for a while is no fault of the server's.
                *("--request-timeout", "100", "--request-retries", "2"),
                *("--suppress-health-check", "all"),
            ],
            cwd=tmp_path,
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-12_000:]
    assert re.search(r"Tested: [1-9][0-9]", done.stdout), done.stdout[-2_000:]
