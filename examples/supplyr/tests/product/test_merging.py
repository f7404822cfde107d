"""Merges and their undoing: what moved goes back, and what came meanwhile stays."""

import asyncio

import pytest

from supplyr import merging
from supplyr.db.database import Database, Transaction
from supplyr.merging import MergeError
from supplyr.records import PriceRow
from supplyr.store import duplicates, images, products, suppliers
from supplyr.store.duplicates import NewCluster
from supplyr.store.images import NewImage
from supplyr.store.suppliers import Draft


async def _two(transaction: Transaction) -> list[int]:
    return [await suppliers.create(transaction, Draft(f"Weber {n}")) for n in range(2)]


async def _merged(transaction: Transaction, survivor: int, other: int) -> int:
    (cluster,) = await duplicates.add_clusters(
        transaction, [NewCluster([(survivor, 990), (other, 990)], 990)], None
    )
    return await merging.merge(transaction, cluster, survivor, [other], None)


async def _logo(transaction: Transaction, supplier: int, sha256: str) -> int:
    image, _ = await images.add(
        transaction, NewImage(supplier, "logo", sha256, "image/png", 1, 1, {"small": b"s"})
    )
    return image


async def _shown(database: Database, supplier: int) -> list[str]:
    return [row["sha256"] for row in await images.of_supplier(database, supplier)]


async def test_a_new_logo_of_the_survivor_stays_with_it(database: Database) -> None:
    async with database.transaction() as transaction:
        survivor, other = await _two(transaction)
        await _logo(transaction, other, "old")
        merge = await _merged(transaction, survivor, other)
    async with database.transaction() as transaction:
        await _logo(transaction, survivor, "new")
    assert (await _shown(database, survivor))[0] == "new"
    async with database.transaction() as transaction:
        await merging.undo(transaction, merge, None)
    assert await _shown(database, survivor) == ["new"]
    assert await _shown(database, other) == ["old"]


async def test_a_logo_replaces_the_suppliers_own(database: Database) -> None:
    async with database.transaction() as transaction:
        (supplier, _) = await _two(transaction)
        await _logo(transaction, supplier, "a")
        await _logo(transaction, supplier, "b")
    assert await _shown(database, supplier) == ["b"]


async def test_no_number_of_a_picture_or_product_comes_again(database: Database) -> None:
    row = PriceRow("A-1", "Bar", "pcs", 5, "EUR", 1)
    async with database.transaction() as transaction:
        (supplier, other) = await _two(transaction)
        first = await _logo(transaction, supplier, "a")
        await images.remove(transaction, supplier, first)
        assert await _logo(transaction, other, "b") > first
        await products.put_many(transaction, [(supplier, row)])
        (sold,) = await products.page_of(transaction, supplier, "", 10)
        await products.remove(transaction, supplier, sold["id"])
        await products.put_many(transaction, [(other, row)])
        (new,) = await products.page_of(transaction, other, "", 10)
    assert new["id"] > sold["id"]


async def test_what_was_moved_on_is_not_taken_from_others(database: Database) -> None:
    row = PriceRow("A-1", "Bar", "pcs", 5, "EUR", 1)
    async with database.transaction() as transaction:
        survivor, other = await _two(transaction)
        third = await suppliers.create(transaction, Draft("Rossi"))
        await products.put_many(transaction, [(other, row)])
        merge = await _merged(transaction, survivor, other)
        # As if another merge had moved it on.
        await transaction.execute("UPDATE products SET supplier_id = ?", (third,))
        await merging.undo(transaction, merge, None)
    assert await products.count_of(database, third) == 1


async def test_two_merges_both_ways_leave_one_supplier(database: Database) -> None:
    async with database.transaction() as transaction:
        one, other = await _two(transaction)
        members = [NewCluster([(one, 990), (other, 990)], 990)] * 2
        clusters = await duplicates.add_clusters(transaction, members, None)

    async def merge(cluster: int, survivor: int, gone: int) -> bool:
        try:
            async with database.transaction() as transaction:
                await merging.merge(transaction, cluster, survivor, [gone], None)
        except MergeError:
            return False
        return True

    done = await asyncio.gather(merge(clusters[0], one, other), merge(clusters[1], other, one))
    assert sorted(done) == [False, True]
    rows = await suppliers.by_ids(database, [one, other])
    assert sorted(row["status"] for row in rows) == ["active", "merged"]


async def test_a_merge_waits_for_who_holds_one_of_its_suppliers(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("there is one writer")
    async with database.transaction() as transaction:
        one, other = await _two(transaction)
        members = [NewCluster([(one, 990), (other, 990)], 990)] * 2
        first, second = await duplicates.add_clusters(transaction, members, None)

    async def merge() -> None:
        async with database.transaction() as transaction:
            await merging.merge(transaction, second, other, [one], None)

    async with database.transaction() as transaction:
        await merging.merge(transaction, first, one, [other], None)
        waiting = asyncio.create_task(merge())
        blocked = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while True:
            row = await database.fetch_one(blocked)
            assert row is not None
            if row["n"]:
                break
            await asyncio.sleep(0.01)
    with pytest.raises(MergeError):
        await waiting
