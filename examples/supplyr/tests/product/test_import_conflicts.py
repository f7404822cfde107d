"""Imports beside people: nothing of theirs is overwritten, and one odd row fails alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from supplyr import merging
from supplyr.db.database import Database
from supplyr.imports.checking import Checked
from supplyr.jobs import import_suppliers, imports
from supplyr.jobs.background import Background
from supplyr.jobs.run import Run
from supplyr.settings import Settings
from supplyr.store import duplicates, job_records, suppliers
from supplyr.store.suppliers import Draft

from .jobs_support import HEADING, add_user, ended, running, submit_import

pytestmark = pytest.mark.timeout(300)


def _once_planned(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Let somebody do something between the plan of a block and its transaction, once."""
    plan_block = import_suppliers.plan_block
    done: list[bool] = []

    async def planned(*arguments: Any, **options: Any) -> Any:
        plan = await plan_block(*arguments, **options)
        if not done:
            done.append(True)
            await change()
        return plan

    monkeypatch.setattr(imports, "plan_block", planned)


async def _run(
    database: Database, settings: Settings, rows: list[str], **payload: Any
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    user = await add_user(database)
    data = "\n".join([HEADING, *rows]).encode()
    job = await submit_import(database, settings, user, data, **payload)
    async with running(database, settings):
        row = await ended(database, job["id"])
    assert (row["state"], row["attempts"]) == ("done", 1), row["error"]
    errors = await job_records.row_errors(database, job["id"], (0, ""), 100)
    told = [(error["row_number"], error["message"]) for error in errors]
    return json.loads(row["result_json"]), told


async def test_what_somebody_writes_meanwhile_is_kept(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = Draft("Weber", country="DE", external_ref="R1")
    async with database.transaction() as transaction:
        at = await suppliers.create(transaction, draft)

    async def describe() -> None:
        async with database.transaction() as transaction:
            await suppliers.update(transaction, at, draft._replace(description="By Ada."))

    _once_planned(monkeypatch, describe)
    result, _ = await _run(database, settings, ["R1,Weber AG,,,Ulm,DE,,,,"], update_existing=True)
    assert result["updated"] == 1
    now = await suppliers.get(database, at)
    assert now is not None
    assert (now["name"], now["city"], now["description"]) == ("Weber AG", "Ulm", "By Ada.")


async def test_who_is_archived_meanwhile_is_refused_with_a_reason(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as transaction:
        draft = Draft("Weber", country="DE", external_ref="R1")
        at = await suppliers.create(transaction, draft)

    async def archive() -> None:
        async with database.transaction() as transaction:
            await suppliers.set_status(transaction, at, "archived")

    _once_planned(monkeypatch, archive)
    result, told = await _run(
        database, settings, ["R1,Weber AG,,,Ulm,DE,,,,"], update_existing=True
    )
    assert result["rejected"] == 1
    assert told == [(2, f"supplier {at} is archived or merged")]


async def test_a_reference_that_was_merged_twice_means_the_last_one(
    database: Database, settings: Settings
) -> None:
    async with database.transaction() as transaction:
        ids = [
            await suppliers.create(
                transaction, Draft(f"Weber {n}", country="DE", external_ref=f"R{n}")
            )
            for n in range(3)
        ]
        for gone, stays in ((ids[0], ids[1]), (ids[1], ids[2])):
            (cluster,) = await duplicates.add_clusters(
                transaction, [duplicates.NewCluster([(gone, 990), (stays, 990)], 990)], None
            )
            await merging.merge(transaction, cluster, stays, [gone], None)
    result, told = await _run(
        database, settings, ["R0,Weber,Weg 1,,Ulm,DE,,,,"], update_existing=True
    )
    assert (result["updated"], told) == (1, [])
    now = await suppliers.get(database, ids[2])
    assert now is not None
    assert now["street"] == "Weg 1"


async def test_references_that_are_equal_once_read_are_told(
    database: Database, settings: Settings
) -> None:
    result, told = await _run(
        database, settings, ["=A,Weber,,,Ulm,DE,,,,", "'=A,Maier,,,Ulm,DE,,,,"]
    )
    assert (result["created"], result["rejected"]) == (1, 1)
    assert told[0][0] == 3


async def test_rows_that_never_fit_are_refused_alone(
    database: Database, settings: Settings
) -> None:
    user = await add_user(database)
    rows = [
        [2, {"name": "Weber", "country": "DE", "external_ref": "R1"}],
        [3, {"name": "Maier", "country": "DE", "external_ref": "R1"}],
        [4, {"name": "Huber", "country": "DE", "external_ref": "R2"}],
    ]
    checked = Checked(3, 0, [], json.dumps(rows).encode())

    async def handler(run: Run) -> dict[str, Any]:
        if "block 0" not in run.done:
            await imports._write(run, "block 0", checked, frozenset(), b"{}", 100)
        outcome: dict[str, Any] = run.done["block 0"]
        return outcome

    job = await submit_import(database, settings, user, b"x")
    async with running(database, settings, {imports.KIND: handler}):
        row = await ended(database, job["id"])
    assert (row["state"], row["attempts"]) == ("done", 1), row["error"]
    assert json.loads(row["result_json"])["created"] == 2
    (error,) = await job_records.row_errors(database, job["id"], (0, ""), 100)
    assert (error["row_number"], error["message"]) == (3, "does not fit what is there by now")
    rows_there = await database.fetch_all("SELECT name FROM suppliers ORDER BY name")
    assert [one["name"] for one in rows_there] == ["Huber", "Weber"]
    indexed = await database.fetch_all("SELECT * FROM search_documents")
    assert len(indexed) == 2


async def test_an_upload_is_opened_in_a_process_of_its_own(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: dict[str, tuple[Any, Any]] = {}
    run = Background.run

    async def seen(self: Background, fn: Any, *arguments: Any, **options: Any) -> Any:
        chosen = self._runtime._options
        lanes[fn.name.rpartition(":")[2]] = (chosen.lane, chosen.timeout_s)
        return await run(self, fn, *arguments, **options)

    monkeypatch.setattr(Background, "run", seen)
    await _run(database, settings, ["R1,Weber,,,Ulm,DE,,,,"])
    lane, timeout_s = lanes["stage_file"]
    assert lane == "process"
    assert timeout_s is not None
    assert lanes["check_block"] == (None, None)


async def test_a_new_reference_means_who_has_the_vat_number_and_none_of_its_own(
    database: Database, settings: Settings
) -> None:
    async with database.transaction() as transaction:
        by_hand = await suppliers.create(
            transaction, Draft("Weber", country="DE", vat_number="DE136695976")
        )
        await suppliers.create(
            transaction,
            Draft("Maier", country="AT", vat_number="ATU13585627", external_ref="OTHER"),
        )
    result, _ = await _run(
        database,
        settings,
        ["R1,Weber AG,,,Ulm,DE,,,DE136695976,", "R2,Maier AG,,,Linz,AT,,,ATU13585627,"],
        update_existing=True,
    )
    assert (result["updated"], result["created"]) == (1, 1)
    now = await suppliers.get(database, by_hand)
    assert now is not None
    assert (now["name"], now["external_ref"]) == ("Weber AG", "R1")
