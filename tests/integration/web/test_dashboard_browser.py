"""The live page in a real browser: numbers appear, names stay text, and the console stays silent."""

from __future__ import annotations

import asyncio
import html
import re
import shutil

import pytest
from tests.integration.web.http_server import HttpServer

from lanewise import Runtime, task
from lanewise.web import dashboard

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
EVIL = "<img src=x onerror=document.title='broken'>"

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is here")


@task(name=EVIL)
def evilly_named():
    return 1


async def opened(port, tmp_path, path="/"):
    """Open the page for some seconds of the browser's own time; return its elements and what it said."""
    browser = await asyncio.create_subprocess_exec(
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=4000",
        "--dump-dom",
        f"http://127.0.0.1:{port}{path}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, said = await asyncio.wait_for(browser.communicate(), 90)
    except BaseException:
        browser.kill()
        await browser.wait()
        raise
    return out.decode(), [line for line in said.decode().splitlines() if "CONSOLE" in line]


def rows(page, table):
    """The cells of each row of a table, as text."""
    body = re.search(rf'<tbody id="{table}-rows">(.*?)</tbody>', page, re.DOTALL)
    assert body is not None
    return [
        [
            html.unescape(re.sub(r"<[^>]*>", "", cell))
            for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    ]


async def test_the_page_shows_what_the_runtime_does(tmp_path):
    async with Runtime(lanes=("event_loop", "thread"), threads=3) as runtime:
        for _ in range(7):
            await runtime.with_options(lane="thread").run(len, "four")
        await runtime.with_options(lane="event_loop").run(evilly_named)
        async with HttpServer(dashboard(runtime)).running_without_lifespan() as server:
            page, said = await opened(server.port, tmp_path)
        assert server.errors == []
    assert said == []
    assert re.search(r'id="state"[^>]*data-state="live"[^>]*>live<', page)
    lanes = {row[0]: row for row in rows(page, "lanes")}
    assert lanes["thread"][1] == "0 / 3"
    assert lanes["thread"][6] == "7"
    assert lanes["event loop"][6] == "1"
    tasks = {row[0]: row for row in rows(page, "tasks")}
    assert tasks["builtins:len"][1] == "7"
    assert tasks[EVIL][1] == "1"
    assert "<img" not in page
    assert "<title>lanewise</title>" in page
    assert page.count("<rect") > 3  # the loop's lag, and how much of each lane is taken


async def test_the_page_says_when_there_is_no_runtime(tmp_path):
    async with HttpServer(dashboard()).running_without_lifespan() as server:
        page, _ = await opened(server.port, tmp_path)
    assert re.search(r'data-state="gone"[^>]*>no runtime is entered here since ', page)
