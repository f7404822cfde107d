"""Fill a directory with generated suppliers: names, places, codes, products, known duplicates.

Equal arguments make equal suppliers. Which of them are the same is returned, so that a detector can
be judged (`generate --truth` writes it to a file).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import NamedTuple

from supplyr.classification import every_code
from supplyr.db.database import Database
from supplyr.generate import DEFAULT_SEED, LAST_UPDATE_DAY, generate
from supplyr.goods import CERTIFICATES, goods_of, openings, strengths
from supplyr.profile_score import score
from supplyr.records import PriceRow, Supplier
from supplyr.search.documents import document_of
from supplyr.search.index import write
from supplyr.store import audit, codes, products, suppliers
from supplyr.store.suppliers import Draft

_BATCH = 1000
_DAY_S = 86400.0
_UNITS = ("pcs", "pcs", "pcs", "kg", "m", "box")
_MAX_PRODUCTS = 7


class Seeded(NamedTuple):
    """What was put in: ids in the order of the generator, and pairs of ids that are the same."""

    ids: list[int]
    duplicate_pairs: list[tuple[int, int]]
    products: int


class _Detailed(NamedTuple):
    draft: Draft
    products: tuple[PriceRow, ...]
    days_old: int


def _description(rng: Random, record: Supplier, year: int, people: int) -> str:
    opening = openings()[rng.randrange(len(openings()))]
    told = [opening.format(year=year, people=people, city=record.city)]
    first = rng.randrange(len(strengths()))
    told.append(strengths()[first])
    if rng.randrange(3):
        second = (first + 1 + rng.randrange(len(strengths()) - 1)) % len(strengths())
        told.append(strengths()[second])
    return " ".join(told)


def _products(rng: Random, record: Supplier) -> tuple[PriceRow, ...]:
    goods = goods_of(record.categories)
    made: list[PriceRow] = []
    for number in range(rng.randrange(_MAX_PRODUCTS + 1) if goods else 0):
        good = goods[rng.randrange(len(goods))].format(5 * (1 + rng.randrange(120)))
        made.append(
            PriceRow(
                sku=f"{record.categories[0].replace('.', '')}-{1 + rng.randrange(900):03d}{number}",
                description=good,
                unit=_UNITS[rng.randrange(len(_UNITS))],
                price_cents=50 + rng.randrange(900) ** 2,
                currency="EUR",
                min_quantity=1 + rng.randrange(20),
            )
        )
    return tuple(made)


def _detailed(seed: int, record: Supplier) -> _Detailed:
    # By the record's number: a directory of 1,000 begins like one of 100,000 would not, but each
    # supplier of one directory is the same however it is put in.
    rng = Random(seed * 1_000_003 + record.id)
    year, people = 1898 + rng.randrange(124), int(4 + rng.random() ** 4 * 900)
    certificates = tuple(name for name in CERTIFICATES if rng.random() < 0.14)
    draft = Draft(
        name=record.name,
        description=_description(rng, record, year, people) if rng.randrange(10) else "",
        street=record.street,
        address_extra=record.address_extra,
        city=record.city,
        postcode=record.postcode,
        region=record.region,
        country=record.country,
        phone=record.phone,
        email=record.email,
        website=record.website,
        vat_number=record.vat_number,
        latitude_deg=record.latitude_deg,
        longitude_deg=record.longitude_deg,
        employees=people,
        founded_year=year,
        response_time_h=record.response_time_h,
        external_ref=f"GEN-{seed}-{record.id:07d}",
        codes=record.categories,
        certificates=certificates,
    )
    return _Detailed(draft, _products(rng, record), LAST_UPDATE_DAY - record.updated_day)


def _batches(items: Sequence[Supplier]) -> Iterator[list[Supplier]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


async def put_codes(database: Database) -> None:
    """Put the classification into a database; nothing changes where it is there already."""
    async with database.transaction() as transaction:
        await codes.put_all(transaction, every_code())


async def seed_directory(
    database: Database,
    count: int,
    *,
    seed: int = DEFAULT_SEED,
    duplicate_share: float = 0.05,
    progress: Callable[[int], None] | None = None,
) -> Seeded:
    """Add generated suppliers to a database, a thousand in each transaction.

    Raises ConflictError when suppliers of this seed are there already.
    """
    made = generate(count, seed, duplicate_share)
    await put_codes(database)
    texts = {code: f"{title} {words}" for code, _, title, words in every_code()}
    ids: list[int] = []
    total = 0
    now = time.time()
    for batch in _batches(made.records):
        detailed = [_detailed(seed, record) for record in batch]
        async with database.transaction() as transaction:
            drafts = [one.draft for one in detailed]
            new = await suppliers.create_many(transaction, drafts, now)
            await products.put_many(
                transaction,
                [(at, row) for at, one in zip(new, detailed, strict=True) for row in one.products],
                now,
            )
            await transaction.execute_many(
                "UPDATE suppliers SET ranking_score = ?, updated_day = ?, updated_at_s = ?"
                " WHERE id = ?",
                [
                    (*_ranked(one, now), now - one.days_old * _DAY_S, at)
                    for at, one in zip(new, detailed, strict=True)
                ],
            )
            documents = [
                document_of(
                    {**one.draft._asdict(), "id": at},
                    [row.description for row in one.products],
                    texts,
                )
                for at, one in zip(new, detailed, strict=True)
            ]
            await write(transaction, documents)
        ids += new
        total += sum(len(one.products) for one in detailed)
        if progress is not None:
            progress(len(ids))
    async with database.transaction() as transaction:
        detail = {"count": count, "seed": seed, "duplicate_share": duplicate_share}
        await audit.append(transaction, "system", "directory.generate", "directory", detail)
    pairs = [(ids[first], ids[second]) for first, second in made.duplicate_pairs]
    return Seeded(ids, pairs, total)


def _ranked(one: _Detailed, now_s: float) -> tuple[float, int]:
    """Return the score that the ranking job would give a supplier today, and its last day."""
    today = datetime.fromtimestamp(now_s, UTC).date().toordinal()
    last = datetime.fromtimestamp(now_s - one.days_old * _DAY_S, UTC).date().toordinal()
    return score(suppliers.profile_of(one.draft, 0, last), today), last
