"""Suppliers of an import: which are new, which are there already, and how they are written."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from supplyr.db.database import Reader, Row, Transaction, among_texts, listed
from supplyr.imports.checking import AcceptedRow
from supplyr.jobs.run import Run
from supplyr.search import index
from supplyr.search.documents import Document
from supplyr.search.making import documents_of, encode_rows, make_documents
from supplyr.store import products, suppliers
from supplyr.store.suppliers import Draft


class Plan(NamedTuple):
    """What is to be written of a block, worked out before its transaction begins."""

    created: list[Draft]
    updated: list[tuple[int, Draft]]
    documents: bytes
    problems: list[tuple[int, str, str]]


async def _by_vat_numbers(reader: Reader, numbers: Sequence[str]) -> dict[str, int]:
    """Return the oldest active supplier of each VAT number."""
    rows = await reader.fetch_all(
        "SELECT vat_number, min(id) AS id FROM suppliers"  # noqa: S608 - constants
        f" WHERE status = 'active' AND vat_number <> '' AND"
        f" {among_texts(reader.dialect, 'vat_number')} GROUP BY vat_number",
        (listed(reader.dialect, numbers),),
    )
    return {row["vat_number"]: row["id"] for row in rows}


async def _known(reader: Reader, rows: Sequence[AcceptedRow]) -> dict[int, int]:
    """Return row number -> id of the supplier that it means: by reference, else by VAT number."""
    refs = [str(ref) for row in rows if (ref := row.values.get("external_ref"))]
    vats = [str(vat) for row in rows if (vat := row.values.get("vat_number"))]
    by_ref = await suppliers.by_external_refs(reader, refs)
    by_vat = await _by_vat_numbers(reader, vats)
    known: dict[int, int] = {}
    for row in rows:
        ref, vat = row.values.get("external_ref"), row.values.get("vat_number")
        found = by_ref.get(str(ref)) if ref else by_vat.get(str(vat)) if vat else None
        if found is not None:
            known[row.number] = found
    return known


async def _rows(reader: Reader, ids: Iterable[int]) -> dict[int, Row]:
    return {row["id"]: row for row in await suppliers.by_ids(reader, sorted(set(ids)))}


def _draft(values: dict[str, Any], before: Draft | None) -> Draft:
    """Return a row as a draft; an empty cell leaves what is there."""
    told = {name: value for name, value in values.items() if value not in (None, "", [])}
    if "codes" in told:
        told["codes"] = tuple(told["codes"])
    return Draft(**told) if before is None else before._replace(**told)


async def plan_block(
    run: Run, rows: Sequence[AcceptedRow], code_texts: bytes, *, update: bool
) -> Plan:
    """Work out what a block does, with its search documents. Reads only."""
    known = await _known(run.database, rows)
    there = await _rows(run.database, known.values())
    survivors = {at: row["merged_into"] for at, row in there.items() if row["status"] == "merged"}
    there |= await _rows(run.database, survivors.values())
    created: list[Draft] = []
    updated: dict[int, Draft] = {}
    problems: list[tuple[int, str, str]] = []
    for row in rows:
        at = known.get(row.number)
        if at in survivors:
            # The reference stays with the record that was merged.
            at, row = survivors[at], row._replace(values={**row.values, "external_ref": None})
        if at is None:
            created.append(_draft(row.values, None))
        elif at not in there or there[at]["status"] != "active":
            problems.append((row.number, "external_ref", f"supplier {at} is archived or merged"))
        elif not update:
            problems.append((row.number, "external_ref", f"supplier {at} is there already"))
        elif at in updated:
            problems.append((row.number, "vat_number", f"supplier {at} is in an earlier row too"))
        else:
            updated[at] = _draft(row.values, suppliers.draft_of(there[at]))
    texts = await products.descriptions_of(run.database, list(updated))
    documents = await run.background.run(
        make_documents,
        encode_rows(
            [(draft._asdict(), ()) for draft in created]
            + [(draft._asdict(), texts[at]) for at, draft in updated.items()]
        ),
        code_texts,
    )
    return Plan(created, list(updated.items()), documents, problems)


async def write_block(transaction: Transaction, plan: Plan) -> dict[str, int]:
    """Write what was worked out; ConflictError when the directory changed meanwhile."""
    ids = await suppliers.create_many(transaction, plan.created)
    documents: list[Document] = documents_of(
        plan.documents, [*ids, *(at for at, _ in plan.updated)]
    )
    gone: set[int] = set()
    for at, draft in plan.updated:
        if not await suppliers.update(transaction, at, draft):
            gone.add(at)
    await index.write(transaction, [one for one in documents if one.supplier_id not in gone])
    return {"created": len(ids), "updated": len(plan.updated) - len(gone)}
