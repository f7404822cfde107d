"""The services in examples/web do what they say."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.integration.web.http_server import HttpServer, ask

FOLDER = Path(__file__).parents[3] / "examples" / "web"
PRIMES_BELOW_A_MILLION = 78_498

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.fixture
def example(monkeypatch):
    """Import one of the examples; skips where its framework is not installed."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(framework):
        pytest.importorskip(framework)
        return importlib.import_module(f"{framework}_service")

    return load


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar"])
async def test_asynchronous(framework, example):
    async with HttpServer(example(framework).app).running() as service:
        answer = await ask(service.port, "/primes/1000000")
        assert json.loads(answer.body) == {"primes": PRIMES_BELOW_A_MILLION}
        assert (await ask(service.port, "/_lanewise/ready")).status == 200
        late = await ask(service.port, "/primes/200000000", x_request_timeout_ms="100")
        assert late.status in {503, 504}
    assert service.errors == []


def served_by_gunicorn(framework, *options):
    """Ask eight times at once, then stop the server; return the answers and how it ended."""
    with socket.socket() as chosen:
        # Bound for as long as the server needs it, so that nobody else on this machine is given it; who
        # sets this option too, as servers do, may listen there all the same.
        chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chosen.bind(("127.0.0.1", 0))
        return served_at(chosen.getsockname()[1], framework, *options)


def served_at(port, framework, *options):
    command = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--log-level", "warning", *options]
    source = str(FOLDER.parents[1] / "src")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, str(FOLDER)])}
    server = subprocess.Popen(
        [sys.executable, *command, f"{framework}_service:app"], cwd=FOLDER, env=environment
    )

    def get():
        url = f"http://127.0.0.1:{port}/primes/1000000"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)

    async def all_at_once():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None
                await asyncio.sleep(0.05)
        return await asyncio.gather(*(asyncio.to_thread(get) for _ in range(8)))

    try:
        answers = asyncio.run(all_at_once())
        server.terminate()
        return answers, server.wait(60)
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
@pytest.mark.parametrize("framework", ["flask", "django"])
def test_synchronous_under_gunicorn(framework, options):
    pytest.importorskip(framework)
    pytest.importorskip("gunicorn")
    answers, ended = served_by_gunicorn(framework, "--workers", "1", "--threads", "8", *options)
    assert answers == [{"primes": PRIMES_BELOW_A_MILLION}] * 8
    assert ended == 0
