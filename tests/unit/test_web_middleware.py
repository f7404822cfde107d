"""Overload as 503, deadlines and request ids from headers, and everything else left as it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time

import pytest
from tests.unit.asgi_client import Client, answer, body, get, scope

from lanewise import OverloadedError, TaskTimeoutError
from lanewise.runtime.ambient import request_deadline
from lanewise.web import LanewiseMiddleware, request_id
from lanewise.web.overload import retry_after


def overloaded(retry_after_s=2.2):
    return OverloadedError("the thread lane is full", retry_after_s=retry_after_s, lane="thread")


def raising(error):
    async def app(_scope, _receive, _send):
        raise error

    return app


# --- overload -------------------------------------------------------------------------------------


async def test_overload_is_told_with_503_and_when_to_come_again():
    client = await get(LanewiseMiddleware(raising(overloaded(2.2))))
    assert client.status == 503
    assert client.headers["retry-after"] == "3"
    assert client.headers["content-type"] == "application/problem+json"
    assert int(client.headers["content-length"]) == len(client.body)
    told = json.loads(client.body)
    assert told["status"] == 503
    assert "3 s" in told["detail"]


async def test_the_answer_says_nothing_of_what_is_inside():
    client = await get(LanewiseMiddleware(raising(overloaded())))
    assert b"thread" not in client.body
    assert b"lane" not in client.body


@pytest.mark.parametrize(
    ("wanted_s", "told"),
    [
        (0.0, 1),
        (0.2, 1),
        (1.0, 1),
        (1.01, 2),
        (59.9, 60),
        (-3.0, 1),
        (1e9, 3600),
        (math.inf, 3600),
        (-math.inf, 1),
        (math.nan, 1),
    ],
)
def test_the_header_has_whole_seconds_rounded_up_and_one_at_least(wanted_s, told):
    assert retry_after(overloaded(wanted_s)) == told


async def test_a_group_of_nothing_but_overload_is_overload():
    group = ExceptionGroup("both", [overloaded(1), ExceptionGroup("more", [overloaded(7)])])
    client = await get(LanewiseMiddleware(raising(group)))
    assert client.status == 503
    assert client.headers["retry-after"] == "7"


async def test_overload_out_of_a_task_group_is_overload():
    async def app(_scope, _receive, _send):
        async with asyncio.TaskGroup() as group:
            group.create_task(raising(overloaded())(None, None, None))
            group.create_task(asyncio.Event().wait())

    assert (await get(LanewiseMiddleware(app))).status == 503


async def test_a_group_in_which_something_else_went_wrong_goes_on():
    group = ExceptionGroup("both", [overloaded(), ValueError("a bug")])
    with pytest.raises(ExceptionGroup, match="both"):
        await get(LanewiseMiddleware(raising(group)))


async def test_overload_after_the_response_has_begun_goes_on():
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise overloaded()

    client = Client(body())
    with pytest.raises(OverloadedError):
        await LanewiseMiddleware(app)(scope(), client.receive, client.send)
    assert len(client.sent) == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), SystemExit(3)])
async def test_other_errors_go_on(error):
    client = Client(body())
    with pytest.raises(type(error)):
        await LanewiseMiddleware(raising(error))(scope(), client.receive, client.send)
    assert client.sent == []


async def test_overload_with_watching_switched_off():
    app = LanewiseMiddleware(raising(overloaded()), cancel_on_disconnect=False)
    assert (await get(app)).status == 503


async def test_nothing_is_added_to_a_response():
    async def app(_scope, _receive, send):
        await answer(send)

    plain, wrapped = await get(app), await get(LanewiseMiddleware(app))
    assert wrapped.sent == plain.sent


# --- other scopes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "something.new"])
async def test_other_scopes_are_passed_on_untouched(kind):
    seen = []

    async def app(*given):
        seen.append(given)
        raise overloaded()

    given = ({"type": kind}, object(), object())
    with pytest.raises(OverloadedError):
        await LanewiseMiddleware(app)(*given)
    assert seen == [given]
    assert all(mine is theirs for mine, theirs in zip(seen[0], given, strict=True))


# --- deadlines ------------------------------------------------------------------------------------


async def seen_with(headers, variable, **options):
    """What the variable is while a request with these headers is served."""
    seen = []

    async def app(_scope, _receive, send):
        seen.append(variable.get())
        await asyncio.sleep(0)
        seen.append(variable.get())
        await answer(send)

    client = Client(body())
    before = variable.get()
    middleware = LanewiseMiddleware(app, **options)
    await middleware(scope(headers=headers), client.receive, client.send)
    assert variable.get() == before
    assert seen[0] == seen[1]
    return seen[0]


async def left_s(headers, **options):
    before = time.monotonic()
    moment = await seen_with(headers, request_deadline, **options)
    after = time.monotonic()
    return None if moment is None else (moment - after, moment - before)


@pytest.mark.parametrize(
    ("value", "wanted_s"),
    [(b"1500", 1.5), (b"1", 0.001), (b"  250 ", 0.25), (b"007", 0.007), (b"86400000", 300)],
)
async def test_a_header_says_how_long_the_client_waits(value, wanted_s):
    least, most = await left_s([(b"x-request-timeout-ms", value)])
    assert least <= wanted_s <= most + 1e-9


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"0",
        b"000",
        b"-5",
        b"+5",
        b"1.5",
        b"1e3",
        b"10s",
        b"10, 20",
        b"0x10",
        b"\xff\xfe",
        b"\x00",
        "٣".encode(),
        "²".encode("latin-1"),
        b"9" * 5000,
        b"NaN",
        b"inf",
    ],
)
async def test_a_value_that_means_nothing_is_ignored(value):
    assert await left_s([(b"x-request-timeout-ms", value)]) is None


async def test_no_header_no_deadline():
    assert await left_s([(b"accept", b"*/*")]) is None


async def test_the_first_good_value_counts():
    name = b"x-request-timeout-ms"
    least, most = await left_s([(name, b"soon"), (name, b"2000"), (name, b"9000")])
    assert least <= 2 <= most + 1e-9


async def test_the_headers_name_can_be_chosen():
    headers = [(b"x-envoy-expected-rq-timeout-ms", b"2000"), (b"x-request-timeout-ms", b"1")]
    least, most = await left_s(headers, deadline_header="X-Envoy-Expected-Rq-Timeout-Ms")
    assert least <= 2 <= most + 1e-9


async def test_deadlines_can_be_switched_off():
    assert await left_s([(b"x-request-timeout-ms", b"5")], deadline_header=None) is None


@pytest.mark.parametrize(("most_s", "wanted_s"), [(2.5, 2.5), (None, 86400.0)])
async def test_how_long_is_bounded(most_s, wanted_s):
    headers = [(b"x-request-timeout-ms", b"86400000")]
    least, most = await left_s(headers, max_deadline_s=most_s)
    assert least <= wanted_s <= most + 1e-9


@pytest.mark.parametrize("most_s", [0, -1, math.nan])
def test_a_bound_that_is_none_is_refused(most_s):
    with pytest.raises(ValueError, match="max_deadline_s"):
        LanewiseMiddleware(answer, max_deadline_s=most_s)


async def test_whoever_has_less_patience_further_out_keeps_it():
    soon = time.monotonic() + 1
    token = request_deadline.set(soon)
    try:
        headers = [(b"x-request-timeout-ms", b"60000")]
        assert await seen_with(headers, request_deadline) == soon
    finally:
        request_deadline.reset(token)


async def test_the_deadline_is_taken_back_when_the_app_raises():
    client = Client(body())
    middleware = LanewiseMiddleware(raising(ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        await middleware(
            scope(headers=[(b"x-request-timeout-ms", b"5"), (b"x-request-id", b"a")]),
            client.receive,
            client.send,
        )
    assert request_deadline.get() is None
    assert request_id.get() is None


async def late(error, headers=((b"x-request-timeout-ms", b"1"),)):
    """Let a request's time pass, then raise."""

    async def app(_scope, _receive, _send):
        until = request_deadline.get()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await asyncio.sleep(0 if until is None else 3600)
        raise error

    client = Client(body())
    await LanewiseMiddleware(app)(scope(headers=headers), client.receive, client.send)
    return client


@pytest.mark.parametrize(
    "error",
    [
        TaskTimeoutError("slow"),
        ExceptionGroup("both", [TaskTimeoutError("a"), TaskTimeoutError("b")]),
    ],
)
async def test_a_call_that_took_all_of_the_clients_time_is_told_with_504(error):
    client = await late(error)
    assert client.status == 504
    assert json.loads(client.body)["status"] == 504
    assert "retry-after" not in client.headers


async def test_a_call_that_took_its_own_time_is_the_services_to_answer_for():
    with pytest.raises(TaskTimeoutError):
        await late(TaskTimeoutError("slow"), headers=())
    patient = LanewiseMiddleware(raising(TaskTimeoutError("slow")))
    with pytest.raises(TaskTimeoutError):
        await get(patient, headers=[(b"x-request-timeout-ms", b"100000")])


async def test_a_timeout_of_something_else_goes_on():
    with pytest.raises(TimeoutError):
        await late(TimeoutError())


# --- request ids ----------------------------------------------------------------------------------


async def test_the_requests_id_is_there_while_it_is_served():
    assert await seen_with([(b"x-request-id", b"abc-123")], request_id) == "abc-123"


@pytest.mark.parametrize(
    "value", [b"", b"\xe4bc", "ä".encode(), b"a\nb", b"a\x1b[2J", b"a\x00", b"x" * 129]
)
async def test_an_id_that_is_none_is_ignored(value):
    assert await seen_with([(b"x-request-id", value)], request_id) is None


async def test_ids_are_made_where_that_is_wanted():
    made = {await seen_with([], request_id, generate_request_ids=True) for _ in range(20)}
    assert len(made) == 20
    assert all(len(one) == 32 for one in made)
    given = await seen_with([(b"x-request-id", b"mine")], request_id, generate_request_ids=True)
    assert given == "mine"
    instead = await seen_with([(b"x-request-id", b"\xff")], request_id, generate_request_ids=True)
    assert len(instead) == 32


async def test_ids_can_be_switched_off():
    assert await seen_with([(b"x-request-id", b"a")], request_id, request_id_header=None) is None


async def test_both_headers_in_one_request():
    headers = [(b"x-request-id", b"a"), (b"x-request-timeout-ms", b"1000")]
    assert await seen_with(headers, request_id) == "a"
    assert await seen_with(headers, request_deadline) is not None
