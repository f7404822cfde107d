"""The duplicate check of an entry: right where it has the time, silent where it has not."""

import asyncio
import time
from typing import Any

import pytest
from lanewise import Runtime

from supplyr.db.database import Database
from supplyr.duplicates.neighbours import encode_neighbours, similar_neighbours
from supplyr.generate import generate
from supplyr.jobs.entry_check import check
from supplyr.store import duplicates, suppliers

from .jobs_support import one

ENOUGH_S = 60.0


async def _add(database: Database, **values: Any) -> int:
    async with database.transaction() as transaction:
        return await suppliers.create(transaction, suppliers.Draft(**values))


async def test_neighbours_by_place_name_and_vat_number_are_found(database: Database) -> None:
    ulm = {"city": "Ulm", "postcode": "89073", "country": "DE", "street": "Hauptstr. 5"}
    first = await _add(database, name="Weber Stahlbau GmbH", **ulm)
    typo = await _add(database, name="Wber Stahlbau", **ulm)
    moved = await _add(database, name="Something else", country="IT", vat_number="IT01234567897")
    await _add(database, name="Bäckerei Huber", **{**ulm, "street": "Am Markt 1"})
    new = await _add(database, name="Weber Stahlbau", vat_number="IT01234567897", **ulm)
    async with Runtime(processes=1) as runtime:
        found = await check(database, runtime, new, ENOUGH_S)
        assert found.verdict == "suspected"
        assert found.suspected == [first, moved, typo]
        # Checked again, it is put up for review once.
        assert await check(database, runtime, new, ENOUGH_S) == found
    assert await duplicates.count(database, "open") == 1
    assert await one(database, "SELECT count(*) FROM duplicate_members") == 4
    row = await suppliers.get(database, first)
    assert row is not None
    assert row["duplicate_check"] == "suspected"


async def test_pairs_that_were_found_different_are_not_suggested(database: Database) -> None:
    same = {"name": "Weber Stahlbau", "postcode": "89073", "country": "DE"}
    one_id, other_id = await _add(database, **same), await _add(database, **same)
    async with database.transaction() as transaction:
        await duplicates.dismiss_pairs(transaction, [other_id, one_id])
    async with Runtime(processes=1) as runtime:
        assert (await check(database, runtime, other_id, ENOUGH_S)).verdict == "clear"


async def test_without_time_the_entry_stays_unchecked(database: Database) -> None:
    same = {"name": "Weber Stahlbau", "postcode": "89073", "country": "DE"}
    await _add(database, **same)
    new = await _add(database, **same)
    async with Runtime(processes=1) as runtime:
        assert (await check(database, runtime, new, 1e-6)).verdict == "unchecked"
    row = await suppliers.get(database, new)
    assert row is not None
    assert row["duplicate_check"] == "unchecked"


async def test_a_full_lane_does_not_hold_up_who_saves(database: Database) -> None:
    same = {"name": "Weber Stahlbau", "postcode": "89073", "country": "DE"}
    await _add(database, **same)
    new = await _add(database, **same)
    async with Runtime(processes=1, lanes=["process"], grace_s=0) as runtime:
        busy = asyncio.ensure_future(runtime.run(time.sleep, 600))
        await asyncio.sleep(0)
        assert (await check(database, runtime, new, 0.2)).verdict == "unchecked"
        busy.cancel()
        with pytest.raises(asyncio.CancelledError):
            await busy


def test_the_order_and_the_figures_are_those_of_the_similarity() -> None:
    records = generate(60, seed=5, duplicate_share=0.5).records
    rows = [(one.name, one.street, one.city, one.postcode, one.address_extra) for one in records]
    found = similar_neighbours(encode_neighbours(rows[0], [rows[0], *rows]), 0.5)
    assert found[:2] == [(0, 1000), (1, 1000)]
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
