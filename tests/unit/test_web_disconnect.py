"""When the client leaves: the work ends, and the app loses no message."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.unit.asgi_client import LEFT, Client, Work, answer, body, serving, turns

from lanewise.web import sweep


@pytest.fixture(autouse=True)
def _looked_at_all_the_time(monkeypatch):
    """Nothing then depends on how long anything takes."""
    monkeypatch.setattr(sweep, "_LOOK_EVERY_S", 0.0)


# --- the client leaves ----------------------------------------------------------------------------


@pytest.mark.parametrize("said", [(), (body(),), (body(b"x"),)], ids=["nothing", "get", "post"])
async def test_work_ends_when_the_client_leaves_and_the_body_was_never_read(said):
    client, app = Client(*said), Work()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        assert await task is None
    assert app.cancelled == 1


async def test_a_client_that_left_before_the_work_began_is_noticed():
    client, app = Client(LEFT), Work()
    async with serving(app, client) as task:
        await task
    assert app.cancelled == 1


async def test_work_ends_when_the_client_leaves_after_the_body_was_read():
    class Reads(Work):
        async def before(self, receive, send):
            self.read = await receive()

    client, app = Client(body(b"all of it")), Reads()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        await task
    assert app.cancelled == 1
    assert app.read["body"] == b"all of it"


async def test_work_ends_when_the_client_leaves_amid_its_body():
    class ReadsOne(Work):
        async def before(self, receive, send):
            await receive()

    client, app = Client(body(b"one", more=True)), ReadsOne()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        await task
    assert app.cancelled == 1


async def test_work_ends_when_the_client_leaves_amid_a_streaming_response():
    class Streams(Work):
        async def before(self, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"some", "more_body": True})

    client, app = Client(body()), Streams()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        await task
    assert app.cancelled == 1
    assert client.status == 200  # and no second response on top of it
    assert len(client.sent) == 2


async def test_whoever_stands_further_out_gets_a_response_of_which_the_client_sees_nothing():
    client, app = Client(body()), Work()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        await task
    assert client.status == 499
    assert client.sent[-1] == {"type": "http.response.body", "body": b""}


async def test_a_server_that_refuses_to_send_to_a_client_that_left_is_no_error():
    class Strict(Client):
        async def send(self, message):
            raise ConnectionResetError

    client, app = Strict(body()), Work()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        await task


# --- no message is lost ---------------------------------------------------------------------------


async def test_a_body_that_was_read_ahead_is_there_when_the_app_asks_for_it():
    class ReadsLate(Work):
        async def after(self, receive, send):
            self.read = await receive()
            await answer(send)

    client, app = Client(body(b"kept")), ReadsLate()
    async with serving(app, client) as task:
        await client.waiting.wait()  # it has been read, and the next message is awaited
        app.go_on.set()
        await task
    assert app.read == body(b"kept")
    assert client.asked == 2


async def test_no_more_than_one_message_of_a_body_is_read_ahead():
    pieces = [body(b"1", more=True), body(b"2", more=True), body(b"3", more=True), body(b"4")]

    class ReadsAll(Work):
        async def after(self, receive, send):
            self.read = [await receive() for _ in pieces]
            await answer(send)

    client, app = Client(*pieces), ReadsAll()
    async with serving(app, client) as task:
        await client.was_asked.wait()
        await turns()
        assert client.asked == 1
        app.go_on.set()
        await task
    assert app.read == pieces


async def test_pieces_that_are_read_slowly_arrive_in_order_and_once():
    count = 6

    class Slow(Work):
        async def after(self, receive, send):
            self.read = []
            while not self.read or self.read[-1].get("more_body"):
                self.read.append(await receive())
                await turns()  # in which the watcher may get in the way
            await answer(send)

    said = [body(bytes([i]), more=i < count - 1) for i in range(count)]
    client, app = Client(*said), Slow()
    async with serving(app, client) as task:
        app.go_on.set()
        await task
    assert app.read == said
    assert client.status == 200


async def test_an_app_that_asks_while_somebody_else_does_gets_the_message_at_once():
    class Asks(Work):
        async def after(self, receive, send):
            self.read = await receive()
            await answer(send, self.read["body"])

    client, app = Client(), Asks()
    async with serving(app, client) as task:
        await client.waiting.wait()
        app.go_on.set()
        await turns()
        client.say(body(b"late"))
        await task
    assert client.body == b"late"


async def test_asking_for_a_moment_only_loses_nothing():
    """As ``request.is_disconnected()`` does it."""

    class Polls(Work):
        async def after(self, receive, send):
            for _ in range(3):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(receive(), 0)
            self.read = await receive()
            await answer(send)

    client, app = Client(), Polls()
    async with serving(app, client) as task:
        await client.waiting.wait()
        app.go_on.set()
        await turns()
        client.say(body(b"whole"))
        await task
    assert app.read == body(b"whole")


# --- an app that wants to know itself -------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "after a while"])
async def test_an_app_that_waits_for_the_client_to_leave_is_told_and_not_cancelled(late):
    told = []

    async def listens(_scope, receive, send):
        await receive()
        if late:
            await client.waiting.wait()  # until somebody asks in its stead
        told.append(await receive())
        told.append(await receive())
        await answer(send)

    client = Client(body())
    async with serving(listens, client) as task:
        await client.waiting.wait()
        await turns()
        client.leave()
        await task
    assert told[0] == LEFT
    assert client.status == 200


async def test_a_client_that_left_is_told_of_again_and_again():
    class Asks(Work):
        async def __call__(self, _scope, receive, send):
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.told = [await receive(), await receive(), await receive()]
                raise

    client, app = Client(body()), Asks()
    async with serving(app, client) as task:
        client.leave()
        await task
    assert app.told == [body(), LEFT, LEFT]
