"""Exports of what is found: bounded, and written before anybody fetches them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from lanewise import Runtime

from supplyr.db.opening import opened
from supplyr.exports.formats import FormatName
from supplyr.jobs import exports as export_job
from supplyr.jobs.background import Background
from supplyr.jobs.exporting import TooManyRowsError, all_pages, made, pieces_from
from supplyr.jobs.run import Run
from supplyr.search import engine, index
from supplyr.settings import Settings
from supplyr.store import suppliers
from supplyr.store.jobs import Held
from supplyr.store.suppliers import Draft
from supplyr.web.api import exports

from .people import add_user, context_of, key_of
from .test_work_api import API

pytestmark = pytest.mark.timeout(300)


async def test_who_fetches_slowly_holds_no_worker(tmp_path: Path) -> None:
    async with (
        opened(Settings(data_dir=tmp_path)) as database,
        Runtime(processes=1) as runtime,
    ):
        async with database.transaction() as transaction:
            drafts = [Draft(f"Weber {n}", country="DE") for n in range(3000)]
            await suppliers.create_many(transaction, drafts)
        scratch = tmp_path / "scratch"
        file = await made(Background(runtime), all_pages(database), "xlsx", scratch, 5000)
        # Nobody has taken a byte of it, and the one worker is free: this would wait for ever else.
        assert await runtime.with_options(lane="process").run(len, "abc") == 3
        # Nor is there a file that somebody would have to remove.
        assert not list(scratch.iterdir())
        content = b"".join([piece async for piece in pieces_from(file)])
        assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        assert file.closed
        with pytest.raises(TooManyRowsError):
            await made(Background(runtime), all_pages(database), "pdf", scratch, 2999)
        assert not list(scratch.iterdir())


@pytest.mark.parametrize("name", ["csv", "xlsx", "pdf"])
async def test_more_than_a_request_exports_is_refused(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, name: FormatName
) -> None:
    # As where 10,000 are counted, and a format takes 100,000.
    monkeypatch.setattr(engine, "COUNTED_AT_MOST", 2)
    monkeypatch.setitem(exports._AT_MOST, name, 4)
    database = context_of(app).database
    async with database.transaction() as transaction:
        ids = await suppliers.create_many(transaction, [Draft(f"Weber {n}") for n in range(5)])
        await index.refresh(transaction, ids)
    client.headers.update(await key_of(database, await add_user(database)))
    refused = await client.get(f"{API}/exports/suppliers.{name}")
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:supplyr:problem:too-many")
    monkeypatch.setitem(exports._AT_MOST, name, 5)
    answer = await client.get(f"{API}/exports/suppliers.{name}")
    assert answer.status_code == 200, answer.text
    if name != "csv":
        assert int(answer.headers["content-length"]) == len(answer.content)


async def test_few_exports_are_written_at_once(app: FastAPI, client: httpx.AsyncClient) -> None:
    context = context_of(app)
    client.headers.update(await key_of(context.database, await add_user(context.database)))
    while not context.exports.locked():
        await context.exports.acquire()
    full = await client.get(f"{API}/exports/suppliers.xlsx")
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    assert (await client.get(f"{API}/exports/suppliers.csv")).status_code == 200
    context.exports.release()
    assert (await client.get(f"{API}/exports/suppliers.xlsx")).status_code == 200
    assert not context.exports.locked(), "the place is free again"


def test_attempts_at_an_export_write_files_of_their_own(tmp_path: Path) -> None:
    held = [Held(7, export_job.KIND, 1, {}, "r", attempt) for attempt in (1, 2)]
    done = {"part 0": {"rows": 1, "last_id": 1, "attempt": 1}}
    runs: list[Any] = [Run(one, None, None, Settings(data_dir=tmp_path), done) for one in held]  # type: ignore[arg-type]  # neither is asked anything
    first, second = [export_job._part(run, 0, run.job.attempt) for run in runs]
    assert first != second
    assert export_job._parts(runs[1], 1) == [first], "what was noted is what is read"
