"""Pages of many suppliers as JSON that the database writes: no Python object for a row is made.

What a heavy function reads crosses to its worker as bytes anyway, and making a hundred thousand
dictionaries first would keep the event loop from its other work.
"""

from typing import NamedTuple

from supplyr.db.database import Reader


class JsonPage(NamedTuple):
    """Rows of one page as a JSON list of lists, their ids in the same order, and the highest id."""

    rows: bytes
    ids: bytes
    size: int
    last_id: int


async def _page(reader: Reader, columns: str, after_id: int, limit: int) -> JsonPage:
    make_list, make_row = (
        ("json_group_array", "json_array")
        if reader.dialect == "sqlite"
        else ("json_agg", "json_build_array")
    )
    names = ", ".join(part.rpartition(" AS ")[2] for part in columns.split("; "))
    # Both lists are made in one walk over the same rows, so their order is the same.
    row = await reader.fetch_one(
        f"SELECT CAST({make_list}({make_row}({names})) AS TEXT) AS page,"  # noqa: S608 - constants
        f" CAST({make_list}(id) AS TEXT) AS ids, count(*) AS n, coalesce(max(id), 0) AS last_id"
        f" FROM (SELECT {columns.replace('; ', ', ')}, id FROM suppliers"
        " WHERE status = 'active' AND id > ? ORDER BY id LIMIT ?) AS chosen",
        (after_id, limit),
    )
    if row is None or row["n"] == 0:
        return JsonPage(b"[]", b"[]", 0, after_id)
    return JsonPage(row["page"].encode(), row["ids"].encode(), row["n"], row["last_id"])


async def for_comparison(reader: Reader, after_id: int, limit: int) -> JsonPage:
    """Return what duplicates are told by: name, street, city, postcode, supplement."""
    return await _page(reader, "name; street; city; postcode; address_extra", after_id, limit)


async def for_ranking(reader: Reader, after_id: int, limit: int) -> JsonPage:
    """Return what a profile's score is made of; see ranking.ProfileRow."""
    return await _page(
        reader,
        "id AS supplier_id; CASE WHEN street <> '' THEN 1 ELSE 0 END AS has_street;"
        " CASE WHEN city <> '' THEN 1 ELSE 0 END AS has_city;"
        " CASE WHEN postcode <> '' THEN 1 ELSE 0 END AS has_postcode;"
        " CASE WHEN phone <> '' THEN 1 ELSE 0 END AS has_phone;"
        " CASE WHEN email <> '' THEN 1 ELSE 0 END AS has_email;"
        " CASE WHEN website <> '' THEN 1 ELSE 0 END AS has_website;"
        " CASE WHEN vat_number <> '' THEN 1 ELSE 0 END AS has_vat_number;"
        " length(description) AS described;"
        " (SELECT count(*) FROM supplier_codes WHERE supplier_id = suppliers.id) AS code_count;"
        " (SELECT count(*) FROM supplier_certificates WHERE supplier_id = suppliers.id)"
        " AS certificate_count;"
        " (SELECT count(*) FROM images WHERE supplier_id = suppliers.id) AS image_count;"
        " coalesce(response_time_h, -1) AS answers_h; updated_day; completeness AS complete_before;"
        " ranking_score AS score_before",
        after_id,
        limit,
    )
