"""Suppliers: rows of the directory, their codes and certificates."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from supplyr.db.database import Reader, Row, Transaction, among, among_texts, listed
from supplyr.normalise import fold
from supplyr.profile_score import ProfileRow, completeness, score
from supplyr.records import Supplier
from supplyr.sphere import on_sphere


class Draft(NamedTuple):
    """What a writer says of a supplier; every text may be empty but the name."""

    name: str
    description: str = ""
    street: str = ""
    address_extra: str = ""
    city: str = ""
    postcode: str = ""
    region: str = ""
    country: str = ""
    phone: str = ""
    email: str = ""
    website: str = ""
    vat_number: str = ""
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    employees: int | None = None
    founded_year: int | None = None
    response_time_h: int | None = None
    external_ref: str | None = None
    codes: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()


# Of a Draft, what has a column of its own in `suppliers`.
FIELDS: tuple[str, ...] = Draft._fields[:-2]
_DERIVED = (
    "name_folded", "sphere_x", "sphere_y", "sphere_z", "completeness", "ranking_score",
    "updated_day", "updated_at_s",
)  # fmt: skip
_WRITTEN = (*FIELDS, *_DERIVED)
_TOLD_OR_NOT = ("street", "city", "postcode", "phone", "email", "website", "vat_number")


def profile_of(draft: Draft, pictures: int, day: int) -> ProfileRow:
    """Return what a draft's score is made of, as `store.pages.for_ranking` reads it of a row."""
    return ProfileRow._make(
        [
            0,
            *(int(getattr(draft, name) != "") for name in _TOLD_OR_NOT),
            len(draft.description),
            len(set(draft.codes)),
            len(set(draft.certificates)),
            pictures,
            -1 if draft.response_time_h is None else draft.response_time_h,
            day,
            0.0,
            0.0,
        ]
    )


def _derived(draft: Draft, now_s: float, pictures: int | None = None) -> tuple[Any, ...]:
    """Return what follows from a draft, in the order of _DERIVED.

    Without `pictures` the supplier is new, and its score a first guess, by completeness alone; the
    ranking job replaces it. Else it is the one that the ranking job would give it today: whoever
    corrects a telephone number keeps their place.
    """
    place: tuple[float | None, ...] = (None, None, None)
    if draft.latitude_deg is not None and draft.longitude_deg is not None:
        place = on_sphere(draft.latitude_deg, draft.longitude_deg)
    today = datetime.fromtimestamp(now_s, UTC).date().toordinal()
    profile = profile_of(draft, pictures or 0, today)
    complete = completeness(profile)
    # Half of a full score: nothing is known yet of how it answers.
    ranked = round(complete / 2, 6) if pictures is None else score(profile, today)
    return (fold(draft.name), *place, complete, ranked, today, now_s)


def as_record(supplier_id: int, draft: Draft, updated_day: int = 0) -> Supplier:
    """Return a draft as the record that tasks work on."""
    return Supplier(
        id=supplier_id,
        name=draft.name,
        street=draft.street,
        address_extra=draft.address_extra,
        city=draft.city,
        postcode=draft.postcode,
        region=draft.region,
        country=draft.country,
        phone=draft.phone,
        email=draft.email,
        website=draft.website,
        vat_number=draft.vat_number,
        categories=draft.codes,
        latitude_deg=draft.latitude_deg or 0.0,
        longitude_deg=draft.longitude_deg or 0.0,
        updated_day=updated_day,
        response_time_h=draft.response_time_h or 0,
    )


async def reserve_ids(transaction: Transaction, count: int) -> list[int]:
    """Return ids for new suppliers that nobody else gets."""
    if transaction.dialect == "postgresql":
        rows = await transaction.fetch_all(
            "SELECT nextval(pg_get_serial_sequence('suppliers', 'id')) AS id"
            " FROM generate_series(1, CAST(? AS INTEGER))",
            (count,),
        )
        return [row["id"] for row in rows]
    row = await transaction.fetch_one("SELECT coalesce(max(id), 0) AS last FROM suppliers")
    first = 1 if row is None else row["last"] + 1
    return list(range(first, first + count))


async def create(transaction: Transaction, draft: Draft, now_s: float | None = None) -> int:
    """Insert one supplier and return its id. The caller refreshes the search index."""
    return (await create_many(transaction, [draft], now_s))[0]


async def create_many(
    transaction: Transaction, drafts: Sequence[Draft], now_s: float | None = None
) -> list[int]:
    """Insert many suppliers and return their ids. The caller writes their search documents."""
    if not drafts:
        return []
    moment_s = time.time() if now_s is None else now_s
    ids = await reserve_ids(transaction, len(drafts))
    columns = ("id", "created_at_s", *_WRITTEN)
    marks = ", ".join("?" * len(columns))
    await transaction.execute_many(
        f"INSERT INTO suppliers ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608 - constants
        [
            (supplier_id, moment_s, *draft[: len(FIELDS)], *_derived(draft, moment_s))
            for supplier_id, draft in zip(ids, drafts, strict=True)
        ],
    )
    await _insert_belongings(transaction, zip(ids, drafts, strict=True))
    return ids


async def update(
    transaction: Transaction,
    supplier_id: int,
    draft: Draft,
    *,
    version: int | None = None,
    now_s: float | None = None,
) -> bool:
    """Replace what is said of a supplier; False where it is gone, or of another version.

    Its duplicate check is undone. The caller refreshes the search index.
    """
    moment_s = time.time() if now_s is None else now_s
    pictures = await transaction.fetch_one(
        "SELECT count(*) AS n FROM images WHERE supplier_id = ?", (supplier_id,)
    )
    sets = ", ".join(f"{column} = ?" for column in _WRITTEN)
    guard = "" if version is None else " AND version = ?"
    changed = await transaction.execute(
        f"UPDATE suppliers SET {sets}, version = version + 1, duplicate_check = 'unchecked'"  # noqa: S608 - constants
        f" WHERE id = ? AND status = 'active'{guard}",
        (
            *draft[: len(FIELDS)],
            *_derived(draft, moment_s, 0 if pictures is None else pictures["n"]),
            supplier_id,
            *(() if version is None else (version,)),
        ),
    )
    if changed:
        for table in ("supplier_codes", "supplier_certificates"):
            await transaction.execute(
                f"DELETE FROM {table} WHERE supplier_id = ?",  # noqa: S608 - constants
                (supplier_id,),
            )
        await _insert_belongings(transaction, [(supplier_id, draft)])
    return changed > 0


async def _insert_belongings(transaction: Transaction, drafts: Iterable[tuple[int, Draft]]) -> None:
    every = list(drafts)
    await transaction.execute_many(
        "INSERT INTO supplier_codes (supplier_id, code) VALUES (?, ?)",
        [(at, code) for at, draft in every for code in sorted(set(draft.codes))],
    )
    await transaction.execute_many(
        "INSERT INTO supplier_certificates (supplier_id, certificate) VALUES (?, ?)",
        [(at, name) for at, draft in every for name in sorted(set(draft.certificates))],
    )


async def set_status(transaction: Transaction, supplier_id: int, status: str) -> bool:
    """Archive a supplier or bring it back ('archived', 'active'); False where it is not there."""
    changed = await transaction.execute(
        "UPDATE suppliers SET status = ?, version = version + 1, updated_at_s = ?"
        " WHERE id = ? AND status <> 'merged'",
        (status, time.time(), supplier_id),
    )
    return changed > 0


async def is_still(transaction: Transaction, supplier_id: int, version: int) -> bool:
    """Return whether a supplier is active and of a version; it stays so in this transaction."""
    lock = " FOR UPDATE" if transaction.dialect == "postgresql" else ""
    row = await transaction.fetch_one(
        f"SELECT id FROM suppliers WHERE id = ? AND version = ? AND status = 'active'{lock}",  # noqa: S608 - constants
        (supplier_id, version),
    )
    return row is not None


async def lock(transaction: Transaction, ids: Iterable[int]) -> None:
    """Let nobody else change these suppliers until the transaction ends.

    Always in the order of their ids, so that two who lock the same do not wait for each other in
    turn. SQLite has one writer: nobody else changes anything.
    """
    if transaction.dialect == "postgresql":
        await transaction.fetch_all(
            f"SELECT id FROM suppliers WHERE {among('postgresql', 'id')} ORDER BY id FOR UPDATE",  # noqa: S608 - constants
            (listed("postgresql", sorted(set(ids))),),
        )


async def get(reader: Reader, supplier_id: int) -> Row | None:
    """Return a supplier's row with `codes` and `certificates`, of any status, or None."""
    found = await by_ids(reader, [supplier_id])
    return found[0] if found else None


async def by_ids(reader: Reader, ids: Sequence[int]) -> list[Row]:
    """Return rows with `codes` and `certificates` in the order of `ids`, without unknown ones."""
    if not ids:
        return []
    wanted = listed(reader.dialect, ids)
    rows = await reader.fetch_all(
        f"SELECT * FROM suppliers WHERE {among(reader.dialect, 'id')}",  # noqa: S608 - constants
        (wanted,),
    )
    known = {row["id"]: {**row, "codes": [], "certificates": []} for row in rows}
    for name, table, column in (
        ("codes", "supplier_codes", "code"),
        ("certificates", "supplier_certificates", "certificate"),
    ):
        belongings = await reader.fetch_all(
            f"SELECT supplier_id, {column} AS value FROM {table}"  # noqa: S608 - constants
            f" WHERE {among(reader.dialect, 'supplier_id')} ORDER BY {column}",
            (wanted,),
        )
        for belonging in belongings:
            if belonging["supplier_id"] in known:
                known[belonging["supplier_id"]][name].append(belonging["value"])
    return [known[at] for at in ids if at in known]


async def by_external_refs(reader: Reader, refs: Sequence[str]) -> dict[str, int]:
    """Return the ids of suppliers that were imported under these names."""
    rows = await reader.fetch_all(
        "SELECT external_ref, id FROM suppliers"  # noqa: S608 - constants
        f" WHERE external_ref IS NOT NULL AND {among_texts(reader.dialect, 'external_ref')}",
        (listed(reader.dialect, refs),),
    )
    return {row["external_ref"]: row["id"] for row in rows}


def draft_of(row: Mapping[str, Any]) -> Draft:
    """Return a row (of `get` or `by_ids`) as the draft that would make it."""
    values = {name: row[name] for name in FIELDS}
    return Draft(**values, codes=tuple(row["codes"]), certificates=tuple(row["certificates"]))


def record_of(row: Mapping[str, Any]) -> Supplier:
    """Return a row (of `get` or `by_ids`) as the record that tasks work on."""
    return as_record(row["id"], draft_of(row), row["updated_day"])


async def active_after(reader: Reader, after_id: int, limit: int) -> list[Row]:
    """Return active suppliers with codes and certificates by id: a page of a walk over all."""
    rows = await reader.fetch_all(
        "SELECT id FROM suppliers WHERE status = 'active' AND id > ? ORDER BY id LIMIT ?",
        (after_id, limit),
    )
    return await by_ids(reader, [row["id"] for row in rows])


async def middle_of_city(reader: Reader, city: str) -> tuple[float, float] | None:
    """Return where the suppliers of a city are on average (degrees), or None if there are none."""
    row = await reader.fetch_one(
        "SELECT avg(latitude_deg) AS latitude, avg(longitude_deg) AS longitude FROM suppliers"
        " WHERE status = 'active' AND city = ? AND latitude_deg IS NOT NULL",
        (city,),
    )
    return None if row is None or row["latitude"] is None else (row["latitude"], row["longitude"])


async def count_active(reader: Reader) -> int:
    """Return how many suppliers the directory shows."""
    row = await reader.fetch_one("SELECT count(*) AS n FROM suppliers WHERE status = 'active'")
    return 0 if row is None else int(row["n"])
