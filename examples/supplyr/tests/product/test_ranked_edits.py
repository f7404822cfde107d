"""An edit leaves a supplier where the ranking puts it: nothing is left for the next run to do."""

from datetime import UTC, datetime

from supplyr.db.database import Database
from supplyr.profile_score import score_page
from supplyr.seeding import seed_directory
from supplyr.store import images, pages, suppliers
from supplyr.store.images import NewImage
from supplyr.store.suppliers import Draft

_GOOD = Draft(
    "Weber Stahlbau GmbH", description="Balconies and staircases. " * 20, street="Hauptstraße 5",
    city="Ulm", postcode="89073", country="DE", phone="+49 731 1", email="a@weber.example",
    website="https://weber.example/", vat_number="DE136695976", response_time_h=2,
    codes=("25.11", "25.62"), certificates=("ISO 9001", "ISO 14001", "EN 1090"),
)  # fmt: skip


async def _rank(database: Database) -> int:
    """Do what a ranking run does, and return how many figures it changed."""
    page = await pages.for_ranking(database, 0, 1000)
    scored = score_page(page.rows, datetime.now(UTC).date().toordinal())
    async with database.transaction() as transaction:
        await transaction.execute_many(
            "UPDATE suppliers SET completeness = ?, ranking_score = ? WHERE id = ?",
            [(one.completeness, one.score, one.supplier_id) for one in scored],
        )
    return len(scored)


async def _codes(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_many(
            "INSERT INTO codes (code, title) VALUES (?, 't')", [("25.11",), ("25.62",)]
        )


async def test_who_corrects_a_number_keeps_the_place(database: Database) -> None:
    await _codes(database)
    async with database.transaction() as transaction:
        at = await suppliers.create(transaction, _GOOD)
        await images.add(transaction, NewImage(at, "logo", "h", "image/png", 1, 1, {"small": b"s"}))
    assert await _rank(database) == 1
    before = await suppliers.get(database, at)
    assert before is not None
    assert before["completeness"] == 1.0
    async with database.transaction() as transaction:
        assert await suppliers.update(transaction, at, _GOOD._replace(phone="+49 731 2"))
    now = await suppliers.get(database, at)
    assert now is not None
    assert now["ranking_score"] == before["ranking_score"]
    assert now["completeness"] == before["completeness"]
    assert await _rank(database) == 0


async def test_what_is_left_out_counts_at_once(database: Database) -> None:
    await _codes(database)
    async with database.transaction() as transaction:
        at = await suppliers.create(transaction, _GOOD)
    await _rank(database)
    async with database.transaction() as transaction:
        await suppliers.update(transaction, at, Draft("Weber", response_time_h=70))
    assert await _rank(database) == 0


async def test_a_generated_directory_is_ranked(database: Database) -> None:
    await seed_directory(database, 60, seed=3)
    assert await _rank(database) == 0
