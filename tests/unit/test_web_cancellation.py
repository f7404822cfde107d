"""What watching a request must not do: cancel too much, swallow a cancellation, leave anything behind."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest
from tests.unit.asgi_client import LEFT, Client, Work, answer, body, scope, serving, turns

from lanewise.web import LanewiseMiddleware, sweep


@pytest.fixture(autouse=True)
def _looked_at_all_the_time(monkeypatch):
    """Nothing then depends on how long anything takes."""
    monkeypatch.setattr(sweep, "_LOOK_EVERY_S", 0.0)


# --- work that is left alone ----------------------------------------------------------------------


@pytest.mark.parametrize("watched", [False, True], ids=["answers at once", "answers late"])
async def test_what_goes_on_after_the_response_is_not_cancelled(watched):
    class Background(Work):
        async def before(self, receive, send):
            if watched:
                await client.waiting.wait()
            await answer(send)

        async def after(self, receive, send):
            pass

    client, app = Client(body()), Background()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        if watched:
            await turns()
            assert not client.waiting.is_set()  # it was heard of
        await turns()
        app.go_on.set()
        await task
    assert app.cancelled == 0


async def test_work_that_ends_normally_when_it_is_cancelled_is_left_alone():
    async def stubborn(_scope, _receive, send):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.sleep(0)  # is not cancelled a second time
        await answer(send)

    client = Client(body(), LEFT)
    async with serving(stubborn, client) as task:
        await task
    assert client.status == 200


async def test_what_the_app_raises_when_it_is_cancelled_goes_on():
    async def breaks(_scope, _receive, _send):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("no way back") from None

    client = Client(body(), LEFT)
    async with serving(breaks, client) as task:
        with pytest.raises(ValueError, match="no way back"):
            await task
    assert client.sent == []


async def test_a_cancellation_of_the_apps_own_making_goes_on():
    async def cancels(_scope, _receive, _send):
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    client = Client(body())
    async with serving(cancels, client) as task:
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_server_that_cannot_tell_is_not_asked_again_and_harms_nothing():
    class Broken(Client):
        async def receive(self):
            self.asked += 1
            self.was_asked.set()
            raise OSError("no such connection")

    client, app = Broken(), Work()
    async with serving(app, client) as task:
        await client.was_asked.wait()
        await turns()
        app.go_on.set()
        await task
    assert client.asked == 1
    assert client.status == 200


async def test_it_can_be_switched_off():
    client, app = Client(body(), LEFT), Work()
    async with serving(app, client, cancel_on_disconnect=False) as task:
        await app.begun.wait()
        await turns()
        assert client.asked == 0
        app.go_on.set()
        await task
    assert app.cancelled == 0


# --- cancelled from outside -----------------------------------------------------------------------


async def test_a_cancellation_from_outside_goes_through():
    client, app = Client(body()), Work()
    async with serving(app, client) as task:
        await client.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert app.cancelled == 1
    assert client.sent == []


async def test_a_cancellation_from_outside_is_not_swallowed_when_the_client_leaves_too():
    class Asks(Work):
        async def __call__(self, scope, receive, send):
            try:
                await super().__call__(scope, receive, send)
            except asyncio.CancelledError:
                task.cancel()  # while ours is on its way
                raise

    client, app = Client(body()), Asks()
    async with serving(app, client) as task:
        await client.waiting.wait()
        client.leave()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_timeout_around_it_is_still_a_timeout():
    client, app = Client(body()), Work()
    middleware = LanewiseMiddleware(app)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await middleware(scope(), client.receive, client.send)
    assert app.cancelled == 1


async def test_a_timeout_inside_of_it_is_still_a_timeout():
    async def impatient(_scope, _receive, send):
        try:
            async with asyncio.timeout(0.03):
                await asyncio.Event().wait()
        except TimeoutError:
            await answer(send, status=504)

    client = Client(body())
    async with serving(impatient, client) as task:
        await task
    assert client.status == 504


async def test_throwing_the_request_away_closes_the_app():
    closed = []

    async def app(_scope, _receive, _send):
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    client = Client(body())
    request = LanewiseMiddleware(app)(scope(), client.receive, client.send)
    request.send(None)
    request.close()
    assert closed == [True]


# --- whatever runs it -----------------------------------------------------------------------------


async def test_requests_that_wait_for_nothing_are_not_watched():
    async def quick(_scope, _receive, send):
        await answer(send)

    client = Client(LEFT)
    async with serving(quick, client) as task:
        await task
    assert client.status == 200
    assert client.asked == 0


async def test_an_app_may_return_any_awaitable():
    class Awaitable:
        def __init__(self, send):
            self._send = send

        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            yield from answer(self._send).__await__()

    client = Client(body())
    async with serving(lambda _scope, _receive, send: Awaitable(send), client) as task:
        await task
    assert client.status == 200


async def test_many_at_once_are_kept_apart():
    async def half(given, _receive, send):
        await turns()
        if given["n"] % 2:
            await asyncio.Event().wait()
        await answer(send)

    middleware = LanewiseMiddleware(half)
    clients = [Client(body(), *([LEFT] if n % 2 else [])) for n in range(200)]
    before = asyncio.all_tasks()
    await asyncio.gather(
        *(middleware(scope(n=n), one.receive, one.send) for n, one in enumerate(clients))
    )
    assert [one.status for one in clients] == [499 if n % 2 else 200 for n in range(200)]
    await turns(2)
    assert asyncio.all_tasks() == before


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks cannot be eager before 3.12")
async def test_eager_tasks_make_no_difference():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    client, app = Client(body()), Work()
    async with serving(app, client) as task:
        await app.begun.wait()
        client.leave()
        await task
    assert app.cancelled == 1


def test_one_middleware_serves_loops_one_after_the_other():
    apps = [Work(), Work()]
    clients = [Client(body()), Client(body())]
    chosen = iter(apps)

    async def either(scope, receive, send):
        await next(chosen)(scope, receive, send)

    middleware = LanewiseMiddleware(either)

    async def serve(app, client):
        task = asyncio.create_task(middleware(scope(), client.receive, client.send))
        await app.begun.wait()
        client.leave()
        await task

    for app, client in zip(apps, clients, strict=True):
        asyncio.run(serve(app, client))
    assert [app.cancelled for app in apps] == [1, 1]
