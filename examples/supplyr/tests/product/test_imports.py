"""Imports from the upload to the searchable supplier, in both databases."""

import asyncio
import json

import pytest

from supplyr import merging
from supplyr.db.database import Database
from supplyr.jobs import imports
from supplyr.jobs.run import Run
from supplyr.settings import Settings
from supplyr.store import duplicates, job_records, jobs, suppliers

from .held_imports import held
from .jobs_support import COLUMNS, add_user, ended, one, running, submit_import, supplier_csv

# Each starts worker processes, some of them several times.
pytestmark = pytest.mark.timeout(300)


async def test_good_rows_come_in_and_bad_ones_are_told(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    data = supplier_csv(600) + b"\nR9,,S 1,1,Ulm,DE,,,,\nR10,Name,S,1,Ulm,DE,,no,,77.77\n"
    data += b"R11,Name,S,1,Ulm,DE,,,,99.99\nR000001,Again,S,1,Ulm,DE,,,,\n"
    job = await submit_import(database, settings, user, data)
    async with running(database, settings):
        row = await ended(database, job["id"])
    assert row["state"] == "done", row["error"]
    assert json.loads(row["result_json"]) == {
        "rows": 604, "created": 600, "updated": 0, "rejected": 4,
    }  # fmt: skip
    assert row["rows_rejected"] == 4
    errors = await job_records.row_errors(database, job["id"], (0, ""), 100)
    assert [(error["row_number"], error["field"]) for error in errors] == [
        (602, "name"), (603, "email"), (604, "codes"), (605, "external_ref"),
    ]  # fmt: skip
    assert await suppliers.count_active(database) == 600
    assert await one(database, "SELECT count(*) FROM search_documents") == 600
    assert (row["progress_done"], row["progress_total"]) == (604, 604)
    assert not (settings.data_dir / "jobs" / str(job["id"])).exists()


async def test_existing_suppliers_are_refused_or_updated(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    first = await submit_import(database, settings, user, supplier_csv(3))
    again = await submit_import(database, settings, user, supplier_csv(3))
    changed = b"Reference,Name,Street,Postcode,City,Country,Phone,E-mail,VAT number,NACE\n"
    changed += b"R000002,New name,,,,DE,,,,\nNEW1,Fresh,,,,DE,,,,\n"
    update = await submit_import(database, settings, user, changed, update_existing=True)
    async with running(database, settings):
        rows = [await ended(database, job["id"]) for job in (first, again, update)]
    assert [json.loads(row["result_json"])["created"] for row in rows] == [3, 0, 1]
    assert [json.loads(row["result_json"])["updated"] for row in rows] == [0, 0, 1]
    ids = await suppliers.by_external_refs(database, ["R000002"])
    now = await suppliers.get(database, ids["R000002"])
    assert now is not None
    assert now["name"] == "New name"
    assert now["street"], "an empty cell must leave what is there"


async def test_a_file_that_cannot_be_read_fails_for_good_with_its_reason(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    broken = await submit_import(database, settings, user, b'a,b,c,d,e,f,g,h,i,j\n"x')
    gone = await submit_import(database, settings, user, b"x", upload="uploads/none")
    unmapped = await submit_import(database, settings, user, supplier_csv(2), columns={"name": 1})
    async with running(database, settings):
        rows = [await ended(database, job["id"]) for job in (broken, gone, unmapped)]
    assert [(row["state"], row["attempts"]) for row in rows] == [("failed", 1)] * 3
    assert "quotation" in rows[0]["error"]
    assert "upload the file again" in rows[1]["error"]
    assert "Country" in rows[2]["error"]


async def test_products_of_a_supplier(database: Database, settings: Settings) -> None:
    user = await add_user(database)
    async with database.transaction() as transaction:
        supplier = await suppliers.create(transaction, suppliers.Draft("Weber", country="DE"))
    data = (
        "Artikelnummer;Bezeichnung;Einheit;Preis;Währung\n"
        'ABC-1;Flansch;pcs;"1.234,50";EUR\nABC-2;Rohr;m;x;EUR\n'
    ).encode()
    columns = {"sku": 0, "description": 1, "unit": 2, "price_cents": 3, "currency": 4}
    job = await submit_import(
        database, settings, user, data, kind="products", columns=columns, supplier_id=supplier
    )
    async with running(database, settings):
        row = await ended(database, job["id"])
    assert json.loads(row["result_json"]) == {
        "rows": 2, "created": 1, "updated": 0, "rejected": 1,
    }  # fmt: skip
    product = await database.fetch_one("SELECT * FROM products")
    assert product is not None
    assert (product["sku"], product["price_cents"]) == ("ABC-1", 123450)


async def test_it_goes_on_where_it_was_stopped_and_imports_nothing_twice(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = asyncio.Event()
    monkeypatch.setattr(imports, "_write", held(may_end.is_set))
    user = await add_user(database)
    job = await submit_import(database, settings, user, supplier_csv(2000))
    for blocks in (0, 2, 5):  # a runner that ends in the middle, again and again
        async with running(database, settings):
            while await one(database, "SELECT count(*) FROM job_steps") < blocks:
                await asyncio.sleep(0.005)
        row = await jobs.get(database, job["id"])
        assert row is not None
        assert row["state"] == "queued"
        assert row["failures"] == 0
    may_end.set()
    async with running(database, settings):
        row = await ended(database, job["id"])
    assert row["state"] == "done", row["error"]
    assert await suppliers.count_active(database) == 2000
    assert await one(database, "SELECT count(DISTINCT external_ref) FROM suppliers") == 2000
    steps = await database.fetch_all("SELECT attempt FROM job_steps")
    assert len({step["attempt"] for step in steps}) > 1


async def test_a_failing_step_is_tried_again_from_there(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    job = await submit_import(database, settings, user, supplier_csv(600))
    attempts: list[int] = []

    async def fails_once(run: Run) -> dict[str, object]:
        attempts.append(run.job.attempt)
        if run.job.attempt == 1:
            async with run.step("first try"):
                pass
            raise OSError("the disk went away")
        assert "first try" in run.done
        return await imports.run_import(run)

    async with running(database, settings, {imports.KIND: fails_once}):
        row = await ended(database, job["id"])
    assert row["state"] == "done"
    assert attempts == [1, 2]
    outcomes = [
        attempt["outcome"] for attempt in await job_records.attempts_of(database, job["id"])
    ]
    assert outcomes == ["failed", "done"]


async def test_a_running_import_can_be_cancelled(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_write", held(lambda: False))
    user = await add_user(database)
    job = await submit_import(database, settings, user, supplier_csv(3000))
    async with running(database, settings) as runner:
        while await one(database, "SELECT count(*) FROM job_steps") < 2:
            await asyncio.sleep(0.005)
        async with database.transaction() as transaction:
            await jobs.ask_cancel(transaction, job["id"])
        runner.wake()
        row = await ended(database, job["id"])
    assert row["state"] == "cancelled"
    count = await suppliers.count_active(database)
    assert 0 < count < 3000
    assert count == await one(database, "SELECT count(*) FROM search_documents")


async def test_two_runners_share_the_jobs_of_one_database(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    jobs_added = [
        await submit_import(database, settings, user, supplier_csv(300, 1000 * number))
        for number in range(4)
    ]
    async with running(database, settings), running(database, settings):
        rows = [await ended(database, job["id"]) for job in jobs_added]
    assert {row["state"] for row in rows} == {"done"}
    assert await suppliers.count_active(database) == 1200
    assert len(COLUMNS) == 10


async def test_a_reference_of_a_merged_supplier_means_the_one_that_stayed(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    async with database.transaction() as transaction:
        draft = suppliers.Draft("Weber", country="DE", external_ref="R000001")
        gone = await suppliers.create(transaction, draft)
        stayed = await suppliers.create(transaction, suppliers.Draft("Weber AG", country="DE"))
        members = [(gone, 990), (stayed, 990)]
        (cluster,) = await duplicates.add_clusters(
            transaction, [duplicates.NewCluster(members, 990)], None
        )
        await merging.merge(transaction, cluster, stayed, [gone], None)
    job = await submit_import(database, settings, user, supplier_csv(1), update_existing=True)
    async with running(database, settings):
        row = await ended(database, job["id"])
    assert json.loads(row["result_json"])["updated"] == 1, row["error"]
    now = await suppliers.get(database, stayed)
    assert now is not None
    assert now["street"]
    assert now["external_ref"] is None
