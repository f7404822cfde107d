"""What the dashboard answers: paths, methods, headers, and numbers that JSON can carry."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from tests.unit.asgi_client import Client, body, get, scope
from tests.unit.web_statistics import counts, full, loop, statistics

from lanewise import LanewiseError, Runtime
from lanewise.web import dashboard, lifespan
from lanewise.web.pages import app as pages
from lanewise.web.pages.document import statistics_document, written

PATHS = ["/", "/statistics.json", "/metrics", "/ready", "/live"]
HERE = ("event_loop", "thread")


class Told(Runtime):
    """A runtime that says what it was told to say."""

    def __init__(self, says=None):
        super().__init__(lanes=HERE)
        self.says = says
        self.asked = 0

    def statistics(self):
        self.asked += 1
        if self.says is None:
            raise LanewiseError("the runtime is not running")
        return self.says


@pytest.fixture
def app():
    return dashboard(Told(statistics()))


# --- who is answered what -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("", "text/html; charset=utf-8"),
        ("/statistics.json", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/ready", "application/json"),
        ("/live", "application/json"),
    ],
)
async def test_each_path_is_answered(app, path, media_type):
    client = await get(app, path)
    assert client.status == 200
    assert client.headers["content-type"] == media_type
    assert int(client.headers["content-length"]) == len(client.body) > 0


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_kept_by_anybody_and_nothing_guessed(app, path):
    headers = (await get(app, path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", PATHS)
async def test_a_head_is_answered_without_a_body(app, path):
    client = await get(app, path, "HEAD")
    assert client.status == 200
    assert int(client.headers["content-length"]) > 0
    assert client.body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
@pytest.mark.parametrize("path", PATHS)
async def test_it_only_reads(app, path, method):
    client = await get(app, path, method)
    assert client.status == 405
    assert client.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/x", "/live/x", "/../ready", "/statistics.json/..", "/static/live", "//a//live"]
)
async def test_there_is_nothing_else(app, path):
    assert (await get(app, path)).status == 404
    assert (await get(app, path, "POST")).status == 404


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/_lanewise/live", "/_lanewise"),
        ("/_lanewise/live", "/_lanewise/"),
        ("/live", "/_lanewise"),  # cut off by a framework already
        ("/live/", ""),
        ("/api/_lanewise/live", "/api/_lanewise"),
    ],
)
async def test_paths_count_from_where_it_is_mounted(app, path, root_path):
    client = await get(app, path, root_path=root_path)
    assert json.loads(client.body) == {"live": True}


async def test_a_mount_is_not_taken_for_what_only_begins_like_it(app):
    assert (await get(app, "/livelong", root_path="/live")).status == 404


async def test_a_websocket_is_closed(app):
    client = Client()
    await app({"type": "websocket"}, client.receive, client.send)
    assert client.sent == [{"type": "websocket.close", "code": 1000}]


async def test_other_scopes_are_refused(app):
    with pytest.raises(RuntimeError, match="mount it"):
        await app({"type": "lifespan"}, None, None)


# --- readiness ------------------------------------------------------------------------------------


async def test_ready(app):
    client = await get(app, "/ready")
    assert client.status == 200
    assert json.loads(client.body) == {"ready": True, "reasons": []}


async def test_not_ready_says_why():
    app = dashboard(Told(statistics(loop=loop(*[0.5] * 20))))
    client = await get(app, "/ready")
    assert client.status == 503
    told = json.loads(client.body)
    assert told["ready"] is False
    assert "event loop" in told["reasons"][0]


async def test_from_when_on_it_is_not_ready_can_be_chosen():
    app = dashboard(Told(statistics(loop=loop(*[0.5] * 20))), ready_loop_lag_s=1.0)
    assert (await get(app, "/ready")).status == 200


@pytest.mark.parametrize("app", [dashboard(), dashboard(Told())], ids=["none", "not entered"])
async def test_without_a_runtime_it_is_alive_but_not_ready(app):
    ready = await get(app, "/ready")
    assert ready.status == 503
    assert json.loads(ready.body)["reasons"] == ["no runtime is entered here"]
    assert (await get(app, "/live")).status == 200
    assert (await get(app, "/")).status == 200
    assert (await get(app, "/metrics")).status == 503
    numbers = await get(app, "/statistics.json")
    assert numbers.status == 503
    assert json.loads(numbers.body) == {"version": 1, "error": "no runtime is entered here"}


async def test_the_runtime_of_the_app_around_it_is_found():
    around, app = SimpleNamespace(state=SimpleNamespace()), dashboard()
    async with lifespan(lanes=HERE)(around):
        await around.state.lanewise.run(len, "four")
        client = await get(app, "/statistics.json", app=around)
        assert client.status == 200
        assert json.loads(client.body)["tasks"][0]["done"] == 1
    assert (await get(app, "/ready", app=around)).status == 503


# --- the numbers ----------------------------------------------------------------------------------


async def test_the_numbers_are_put_together_once_for_all_who_look(app, monkeypatch):
    runtime = Told(statistics())
    app = dashboard(runtime)
    monkeypatch.setattr(pages, "_FRESH_S", 3600.0)
    first = await get(app, "/statistics.json")
    again = await get(app, "/statistics.json")
    assert again.body == first.body
    assert runtime.asked == 1
    monkeypatch.setattr(pages, "_FRESH_S", 0.0)
    await get(app, "/statistics.json")
    assert runtime.asked == 2


def document_of(given):
    return json.loads(written(statistics_document(given)))


def test_the_document_says_all_that_the_snapshot_does():
    found = document_of(statistics())
    assert found["version"] == 1
    assert {row["lane"] for row in found["lanes"]} == {"event_loop", "thread", "process"}
    by_lane = {row["lane"]: row for row in found["lanes"]}
    assert by_lane["thread"]["done"] == 8
    assert by_lane["thread"]["places"] == 8
    assert by_lane["event_loop"]["admitted"] == 0
    assert found["shed_by_reason"] == {"full": 3, "deadline": 1}
    assert found["workers"]["started"] == 3
    assert found["routes"] == [
        {
            "task": "app:match",
            "lane": "process",
            "variant": "default",
            "calls": 10,
            "reason": "it carries most",
        }
    ]
    assert found["loop"]["histogram"][-1][0] is None  # beyond all bounds
    assert found["process"]["gil_enabled"] is True


def test_a_document_without_loop_and_workers():
    found = document_of(statistics(loop=None, workers=None, lanes={}, places={}))
    assert (found["loop"], found["workers"], found["lanes"]) == (None, None, [])


def test_names_that_cannot_be_encoded_are_no_trouble():
    assert written(statistics_document(full())).isascii()


def test_the_document_stays_small_whatever_there_is():
    names = [f"{'x' * 1000}:{i}" for i in range(3000)]
    many = replace(
        full(),
        tasks={name: counts() for name in names},
        routes={(name, "process", "default"): i for i, name in enumerate(names)},
        reasons={(name, "process", "default"): name for name in names},
        fallbacks=dict(zip(names, names, strict=True)),
        corrections=full().corrections * 500,
    )
    found = statistics_document(many)
    assert len(written(found)) < 250_000
    assert found["left_out"] == {
        "tasks": 2900,
        "routes": 2900,
        "corrections": 450,
        "fallbacks": 2950,
    }
    assert found["routes"][0]["calls"] == 2999  # the largest are there


# --- the page -------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.urls, self.styled, self.handlers = [], [], [], []
        self.inline = {"script": [], "style": []}
        self._in = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"src", "href", "action"}:
                self.urls.append(value)
            if name == "style":
                self.styled.append(tag)
            if name.startswith("on"):
                self.handlers.append(name)
        self._in = tag if tag in self.inline else None

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, data):
        if self._in:
            self.inline[self._in].append(data)


@pytest.fixture
async def page(app):
    client = await get(app, "/")
    return Page(client.body.decode()), client


def test_the_page_fetches_nothing(page):
    found, _ = page
    assert all(url.startswith(("data:image/svg+xml,", "#")) for url in found.urls)
    assert not re.search(r"url\(|@import", "".join(found.inline["style"]))
    assert "http://" not in "".join(found.inline["script"])
    assert "https://" not in "".join(found.inline["script"])


def test_the_policy_lets_this_script_and_this_style_through_and_nothing_else(page):
    found, client = page
    policy = dict(
        part.strip().split(" ", 1) for part in client.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    for kind in ("script", "style"):
        (text,) = found.inline[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
    assert found.styled == []  # the policy would not let them through
    assert found.handlers == []


def test_values_go_in_as_text_alone(page):
    script = "".join(page[0].inline["script"])
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script
    )


def test_every_place_that_the_script_fills_is_there_once(page):
    found, _ = page
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', "".join(found.inline["script"])))
    assert len(wanted) > 10
    assert wanted <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


async def test_what_is_served_does_not_depend_on_who_asks(app):
    client = Client(body())
    await app(scope(headers=[(b"accept", b"text/plain")]), client.receive, client.send)
    assert client.body == (await get(app, "/")).body
