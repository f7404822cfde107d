"""A runtime for as long as an app runs, whatever the app knows of lifespans."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from tests.unit.asgi_client import answer, get, scope

import lanewise
from lanewise import LanewiseError, Runtime
from lanewise.web import lifespan, runtime_of, with_runtime

HERE = ("event_loop", "thread")
STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


def app_with_state():
    return SimpleNamespace(state=SimpleNamespace())


def is_entered(runtime):
    try:
        runtime.statistics()
    except LanewiseError:
        return False
    return True


# --- for frameworks -------------------------------------------------------------------------------


async def test_the_runtime_is_at_the_app_and_entered_while_it_runs():
    app = app_with_state()
    async with lifespan(lanes=HERE)(app) as yielded:
        runtime = app.state.lanewise
        assert yielded is None
        assert await runtime.run(len, "four") == 4
    assert not hasattr(app.state, "lanewise")
    assert not is_entered(runtime)


async def test_an_app_can_be_started_again():
    app, manage = app_with_state(), lifespan(lanes=HERE)
    for _ in range(2):
        async with manage(app):
            assert await app.state.lanewise.run(len, "four") == 4


async def test_a_lifespan_inside_finds_the_runtime_and_its_state_is_passed_on():
    seen = []

    @contextlib.asynccontextmanager
    async def inner(app):
        seen.append(is_entered(app.state.lanewise))
        yield {"pool": 1}
        seen.append(is_entered(app.state.lanewise))

    async with lifespan(inner=inner, lanes=HERE)(app_with_state()) as yielded:
        assert yielded == {"pool": 1}
    assert seen == [True, True]


async def test_the_runtime_is_left_when_the_app_fails():
    kept = []

    async def fails():
        app = app_with_state()
        async with lifespan(lanes=HERE)(app):
            kept.append(app.state.lanewise)
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await fails()
    assert not is_entered(kept[0])


async def test_wrong_options_are_told_when_the_app_starts():
    with pytest.raises(ValueError, match="max_queue"):
        async with lifespan(max_queue=0)(app_with_state()):
            pass


# --- where the runtime is -------------------------------------------------------------------------


async def test_the_runtime_is_found_at_whatever_one_has():
    app = app_with_state()
    async with lifespan(lanes=HERE)(app):
        runtime = app.state.lanewise
        request = SimpleNamespace(scope=scope(app=app))
        places = [runtime, app, request, request.scope, scope(litestar_app=app)]
        assert [runtime_of(place) for place in places] == [runtime] * len(places)


async def test_a_mounted_app_finds_the_runtime_of_its_loop():
    async with lifespan(lanes=HERE)(app_with_state()) as _:
        mounted = scope(app=app_with_state())
        assert is_entered(runtime_of(mounted))


async def test_requests_find_it_though_they_never_saw_the_lifespans_context():
    app, ready, over = app_with_state(), asyncio.Event(), asyncio.Event()

    async def live():
        async with lifespan(lanes=HERE)(app):
            ready.set()
            await over.wait()

    living = asyncio.create_task(live())
    await ready.wait()
    assert runtime_of(scope()) is app.state.lanewise
    assert await lanewise.run(len, "four") == 4
    over.set()
    await living
    with pytest.raises(LanewiseError, match="no runtime is active"):
        await lanewise.run(len, "four")


async def test_the_active_runtime_is_found_too():
    async with Runtime(lanes=HERE) as runtime:
        assert runtime_of(scope()) is runtime


async def test_the_innermost_of_several_is_found_and_then_the_outer_one():
    outer, inner = app_with_state(), app_with_state()
    async with lifespan(lanes=HERE)(outer):
        async with lifespan(lanes=HERE)(inner):
            assert runtime_of(scope()) is inner.state.lanewise
        assert runtime_of(scope()) is outer.state.lanewise


@pytest.mark.parametrize("place", [scope(), app_with_state(), object(), None, {"state": 3}])
def test_where_there_is_none_the_error_says_what_to_do(place):
    with pytest.raises(LanewiseError, match="lifespan"):
        runtime_of(place)


# --- for apps without a framework -----------------------------------------------------------------


class Server:
    """Sends lifespan events and keeps what comes back."""

    def __init__(self, app):
        self.app = app
        self.told = []
        self.scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._events = asyncio.Queue()
        self._answered = asyncio.Event()

    async def _send(self, message):
        self.told.append(message["type"])
        self._answered.set()

    async def tell(self, event):
        self._answered.clear()
        self._events.put_nowait(event)
        waiting = asyncio.ensure_future(self._answered.wait())
        await asyncio.wait((waiting, self.task), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    @contextlib.asynccontextmanager
    async def running(self):
        self.task = asyncio.create_task(self.app(self.scope, self._events.get, self._send))
        await self.tell(STARTUP)
        yield
        if not self.task.done():
            await self.tell(SHUTDOWN)
        await self.task


async def knows_nothing(given, _receive, send):
    assert given["type"] == "http"
    assert await lanewise.run(len, "four") == 4
    assert await runtime_of(given).run(len, "four") == 4
    await answer(send)


async def returns_at_once(given, receive, send):
    if given["type"] == "http":
        await knows_nothing(given, receive, send)


async def leaves_after_startup(given, receive, send):
    if given["type"] == "http":
        await knows_nothing(given, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def asks_and_says_nothing(given, receive, send):
    if given["type"] == "http":
        await knows_nothing(given, receive, send)
        return
    await receive()


async def does_it_properly(given, receive, send):
    if given["type"] == "http":
        await knows_nothing(given, receive, send)
        return
    assert await receive() == STARTUP
    assert await lanewise.run(len, "four") == 4  # entered before the app is told
    await send({"type": "lifespan.startup.complete"})
    assert await receive() == SHUTDOWN
    assert await lanewise.run(len, "four") == 4  # and left after it has said so
    await send({"type": "lifespan.shutdown.complete"})


@pytest.mark.parametrize(
    "app",
    [
        knows_nothing,
        returns_at_once,
        leaves_after_startup,
        asks_and_says_nothing,
        does_it_properly,
    ],
)
async def test_a_wrapped_app_has_a_runtime_while_its_server_runs(app):
    wrapped = with_runtime(app, lanes=HERE)
    server = Server(wrapped)
    async with server.running():
        assert server.told == ["lifespan.startup.complete"]
        for _ in range(2):
            assert (await get(wrapped)).status == 200
    assert server.told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    with pytest.raises(LanewiseError):
        await get(wrapped)


async def test_a_wrapped_app_can_be_started_again():
    wrapped = with_runtime(knows_nothing, lanes=HERE)
    for _ in range(2):
        async with Server(wrapped).running():
            assert (await get(wrapped)).status == 200


async def test_an_app_whose_startup_fails_has_its_runtime_left():
    kept = []

    async def fails(given, receive, send):
        await receive()
        kept.append(runtime_of(given))
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    server = Server(with_runtime(fails, lanes=HERE))
    async with server.running():
        pass
    assert server.told == ["lifespan.startup.failed"]
    assert not is_entered(kept[0])


async def test_an_app_that_breaks_has_its_runtime_left():
    kept = []

    async def breaks(given, receive, _send):
        await receive()
        kept.append(runtime_of(given))
        raise ValueError("a bug")

    server = Server(with_runtime(breaks, lanes=HERE))
    with pytest.raises(ValueError, match="a bug"):
        async with server.running():
            pass
    assert not is_entered(kept[0])


async def test_a_runtime_that_cannot_be_entered_is_a_failed_startup():
    server = Server(with_runtime(does_it_properly, max_queue=0))
    with pytest.raises(ValueError, match="max_queue"):
        async with server.running():
            pass
    assert server.told == ["lifespan.startup.failed"]


async def test_a_server_that_is_cancelled_has_its_runtime_left():
    kept = []

    async def app(given, receive, send):
        await receive()
        kept.append(runtime_of(given))
        await send({"type": "lifespan.startup.complete"})
        await receive()

    server = Server(with_runtime(app, lanes=HERE))

    async def is_cancelled():
        async with server.running():
            server.task.cancel()
            await asyncio.wait((server.task,))

    with pytest.raises(asyncio.CancelledError):
        await is_cancelled()
    assert not is_entered(kept[0])


async def test_without_lifespan_events_whoever_needs_a_runtime_is_told():
    async def app(_scope, _receive, send):
        await answer(send)

    assert (await get(with_runtime(app, lanes=HERE))).status == 200
    with pytest.raises(LanewiseError):
        await get(with_runtime(knows_nothing, lanes=HERE))
