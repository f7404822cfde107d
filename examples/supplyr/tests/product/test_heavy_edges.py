"""Where heavy work meets its limits: memory, clients that leave, builds to compare with."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lanewise import OverloadedError, Runtime
from PIL import Image

from supplyr.auth import keys
from supplyr.db.database import Row
from supplyr.db.opening import opened
from supplyr.exports.formats import FormatName
from supplyr.jobs.background import Background
from supplyr.jobs.exporting import TooManyRowsError, all_pages, stream
from supplyr.settings import BUILDS, Settings, SettingsError
from supplyr.store import suppliers, users
from supplyr.web.app import create_app

from .jobs_support import supplier_csv

API = "/api/v1"
# Each starts workers, most of them an app as well.
pytestmark = pytest.mark.timeout(300)
# However slow the machine: no heavy work is refused, and no entry stays unchecked.
PATIENCE_S = 100.0


async def _client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        database = app.state.supplyr.database
        async with database.transaction() as transaction:
            user = await users.add(transaction, "e@example.org", "E", "x", "admin")
            key = (await keys.make_key(transaction, user, "test")).key
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://supplyr.test",
            headers={"authorization": f"Bearer {key}"},
        ) as client:
            yield client


def _png(width_px: int, height_px: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width_px, height_px), (9, 99, 199)).save(buffer, format="PNG")
    return buffer.getvalue()


async def _picture(client: httpx.AsyncClient, data: bytes) -> httpx.Response:
    added = await client.post(f"{API}/suppliers", json={"name": "Weber", "country": "DE"})
    address = f"{API}/suppliers/{added.json()['id']}/images"
    return await client.post(address, files={"file": ("x.png", data, "image/png")})


async def test_a_picture_that_needs_too_much_memory_is_killed_and_told(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        processes=1,
        worker_memory_bytes=150_000_000,
        queue_timeout_s=PATIENCE_S,
        duplicate_check_s=PATIENCE_S,
    )
    async for client in _client(settings):
        for _ in range(3):  # the size is looked at from this process, which may stand still
            # 40 megapixels take 120 MB as RGB and 160 MB more as RGBA; a few kilobytes as PNG.
            answer = await _picture(client, _png(6300, 6300))
            if answer.status_code != 201:
                break
        assert answer.status_code == 422, answer.text
        assert "too much" in answer.json()["detail"]
        # And the next one is served.
        assert (await _picture(client, _png(300, 300))).status_code == 201


@pytest.mark.parametrize("name", ["csv", "xlsx", "pdf"])
async def test_who_leaves_an_export_ends_its_work(tmp_path: Path, name: FormatName) -> None:
    async with (
        opened(Settings(data_dir=tmp_path)) as database,
        Runtime(processes=1) as runtime,
    ):
        async with database.transaction() as transaction:
            drafts = [suppliers.Draft(f"Weber {n}", country="DE") for n in range(3000)]
            await suppliers.create_many(transaction, drafts)
        scratch = tmp_path / "scratch"
        pieces = stream(Background(runtime), all_pages(database), name, scratch)
        assert await anext(pieces)
        await pieces.aclose()
        assert not scratch.exists() or not list(scratch.iterdir())
        # The one worker is free again: this would wait for ever otherwise.
        assert await runtime.with_options(lane="process").run(len, "abc") == 3


async def test_leaving_while_rows_are_gathered_removes_them(tmp_path: Path) -> None:
    gathered = asyncio.Event()

    async def endless() -> AsyncIterator[list[Row]]:
        row = {**suppliers.Draft("Weber")._asdict(), "id": 1, "codes": []}
        while True:
            yield [row]
            gathered.set()
            await asyncio.sleep(0)

    async with Runtime(processes=1) as runtime:

        async def first() -> bytes:
            return await anext(stream(Background(runtime), endless, "xlsx", tmp_path))

        task = asyncio.create_task(first())
        await gathered.wait()
        assert list(tmp_path.iterdir())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not list(tmp_path.iterdir())


async def test_a_format_that_does_not_hold_all_rows_says_so(tmp_path: Path) -> None:
    async def many() -> AsyncIterator[list[Row]]:
        row = {**suppliers.Draft("Weber")._asdict(), "id": 1, "codes": []}
        while True:
            yield [row] * 500

    async with Runtime(processes=1) as runtime:
        pieces = stream(Background(runtime), many, "pdf", tmp_path)
        with pytest.raises(TooManyRowsError, match="narrow"):
            await anext(pieces)


async def test_background_work_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Runtime(processes=1) as runtime:
        background = Background(runtime)
        refusals = [OverloadedError("full", retry_after_s=0.001)] * 3
        real = background._runtime.run

        async def sometimes(fn: Any, *arguments: Any) -> Any:
            if refusals:
                raise refusals.pop()
            return await real(fn, *arguments)

        monkeypatch.setattr(background._runtime, "run", sometimes)
        assert await background.run(len, "abc") == 3
        assert not refusals


@pytest.mark.parametrize("build", BUILDS)
async def test_all_builds_do_the_same(tmp_path: Path, build: str) -> None:
    settings = Settings(
        data_dir=tmp_path,
        processes=1,
        build=build,
        queue_timeout_s=PATIENCE_S,
        duplicate_check_s=PATIENCE_S,
    )
    async for client in _client(settings):
        assert (await _picture(client, _png(300, 200))).status_code == 201
        files = {"file": ("s.csv", supplier_csv(300))}
        upload = (await client.post(f"{API}/uploads", files=files)).json()
        asked = {"upload_id": upload["id"]}
        job = (await client.post(f"{API}/imports", json=asked)).json()
        while job["finished_at_s"] is None:
            await asyncio.sleep(0.02)
            job = (await client.get(f"{API}/jobs/{job['id']}")).json()
        assert job["result"]["created"] == 300
        exported = await client.get(f"{API}/exports/suppliers.xlsx")
        assert exported.content.startswith(b"PK")


def test_an_unknown_build_is_refused() -> None:
    with pytest.raises(SettingsError, match="BUILD"):
        Settings(build="fast")
