"""The same promises under each framework, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os

import pytest
from tests.integration.web.http_server import HttpServer, ask, asked

from lanewise import OverloadedError
from lanewise.testing import Gate
from lanewise.web import overloaded_handler

FRAMEWORKS = ["plain", "starlette", "fastapi", "litestar"]
# What frameworks do by themselves is theirs to answer for.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.fixture
async def gate():
    async with Gate() as made:
        yield made


def app_of(framework):
    """The module with the service in one framework; skips where that is not installed."""
    if framework == "plain":
        return importlib.import_module("tests.integration.web.apps.plain")
    pytest.importorskip(framework)
    return importlib.import_module(f"tests.integration.web.apps.with_{framework}")


@pytest.fixture(params=FRAMEWORKS)
async def service(request, gate):
    made = app_of(request.param).make(gate.address)
    async with HttpServer(made).running() as running:
        yield running
        assert running.errors == []


async def numbers(service):
    return json.loads((await ask(service.port, "/_lanewise/statistics.json")).body)


async def test_calls_run_in_workers_and_know_their_request(service):
    answer = await ask(service.port, "/who", x_request_id="abc-1")
    assert answer.status == 200
    named, pid = json.loads(answer.body)
    assert named == "abc-1"
    assert pid != os.getpid()


async def test_a_body_arrives_whole(service):
    sent = os.urandom(300_000)
    answer = await ask(service.port, "/echo", method="POST", body=sent)
    assert answer.status == 200
    assert answer.body == sent


async def test_overload_is_told_with_503(service):
    answer = await ask(service.port, "/refuse")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "3"
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert json.loads(answer.body)["title"] == "Service Unavailable"


async def test_work_ends_in_its_process_when_the_client_leaves(service, gate):
    async with asked(service.port, "/stay"):
        await gate.visited("stay")
    # The one worker there is serves again, though nobody has opened the gate.
    answer = await ask(service.port, "/who")
    assert answer.status == 200
    counts = {row["lane"]: row for row in (await numbers(service))["lanes"]}
    assert counts["process"]["killed"] == 1


async def test_a_deadline_in_a_header_ends_the_work(service, gate):
    answer = await ask(service.port, "/stay", x_request_timeout_ms="250")
    assert answer.status in {503, 504}  # refused, or ended
    assert (await ask(service.port, "/who")).status == 200


async def test_the_dashboard_is_where_it_is_mounted(service):
    await ask(service.port, "/who")
    page = await ask(service.port, "/_lanewise/")
    assert page.status == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert json.loads((await ask(service.port, "/_lanewise/ready")).body)["ready"] is True
    assert (await ask(service.port, "/_lanewise/live")).status == 200
    assert b"lanewise_calls_ended_total" in (await ask(service.port, "/_lanewise/metrics")).body
    assert (await ask(service.port, "/_lanewise/other")).status == 404
    assert any(row["task"].endswith("who") for row in (await numbers(service))["tasks"])


async def test_many_requests_at_once(service):
    answers = await asyncio.gather(*(ask(service.port, "/who") for _ in range(40)))
    assert {answer.status for answer in answers} == {200}


# --- middleware of the framework's own around and below ours --------------------------------------


@pytest.mark.parametrize("where", ["below", "around", "both"])
async def test_a_client_that_leaves_is_noticed_through_other_middleware(where, gate):
    starlette = app_of("starlette")
    around = [starlette.THEIRS] if where in {"around", "both"} else []
    below = [starlette.THEIRS] if where in {"below", "both"} else []
    app = starlette.make(gate.address, (*around, starlette.OURS, *below))
    async with HttpServer(app).running() as service:
        async with asked(service.port, "/stay"):
            await gate.visited("stay")
        assert (await ask(service.port, "/who")).status == 200
        counts = {row["lane"]: row for row in (await numbers(service))["lanes"]}
        assert counts["process"]["killed"] == 1
        assert service.errors == []
        assert (await ask(service.port, "/refuse")).status == 503


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_stream_ends_when_its_client_leaves(spec_version):
    starlette = app_of("starlette")
    ended = asyncio.Event()

    async def endless():
        try:
            yield b"some"
            await asyncio.Event().wait()
        finally:
            ended.set()

    inner = starlette.streaming(endless())

    async def app(scope, receive, send):
        await inner({**scope, "asgi": {"spec_version": spec_version}}, receive, send)

    async with HttpServer(app).running() as service:
        async with asked(service.port, "/") as reader:
            await reader.readuntil(b"some")
        async with asyncio.timeout(30):
            await ended.wait()


# --- real servers ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def under_uvicorn(app, **options):
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="on", **options)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_under_uvicorn(http, gate, caplog):
    pytest.importorskip(http)
    app = app_of("plain").make(gate.address)
    async with under_uvicorn(app, http=http) as port:
        async with asked(port, "/stay"):
            await gate.visited("stay")
        assert json.loads((await ask(port, "/who", x_request_id="a")).body)[0] == "a"
        assert (await ask(port, "/refuse")).status == 503
        sent = b"x" * 200_000
        assert (await ask(port, "/echo", method="POST", body=sent)).status == 200
        rows = json.loads((await ask(port, "/_lanewise/statistics.json")).body)["lanes"]
        assert {row["lane"]: row["killed"] for row in rows}["process"] == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


# --- without the middleware -----------------------------------------------------------------------


async def test_the_handler_alone_answers_in_starlette(gate):
    starlette = app_of("starlette")
    app = starlette.make(gate.address, ())
    app.add_exception_handler(OverloadedError, overloaded_handler)
    async with HttpServer(app).running() as service:
        answer = await ask(service.port, "/refuse")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "3"
    assert answer.headers["content-type"].startswith("application/problem+json")
