"""Suppliers of an import: which are new, which are there already, and how they are written."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from supplyr.db.database import ConflictError, Reader, Row, Transaction, among_texts, listed
from supplyr.imports.checking import AcceptedRow
from supplyr.jobs.run import Run
from supplyr.search import index
from supplyr.search.making import documents_of, encode_rows, make_documents
from supplyr.store import products, suppliers
from supplyr.store.suppliers import Draft

# One supplier after the other may have become part of the next; further than that nobody merges.
_MAX_MERGES = 20


class Change(NamedTuple):
    """What a supplier is to be, and the version that was read of it."""

    id: int
    version: int
    draft: Draft


class Plan(NamedTuple):
    """What is to be written of a block, worked out before its transaction begins."""

    created: list[Draft]
    updated: list[Change]
    documents: bytes
    problems: list[tuple[int, str, str]]


async def _by_vat_numbers(reader: Reader, numbers: Sequence[str]) -> dict[str, tuple[int, bool]]:
    """Return the oldest active supplier of each VAT number, and whether it has a reference."""
    rows = await reader.fetch_all(
        "SELECT vat_number, id, external_ref FROM suppliers"  # noqa: S608 - constants
        f" WHERE status = 'active' AND vat_number <> '' AND"
        f" {among_texts(reader.dialect, 'vat_number')} ORDER BY id DESC",
        (listed(reader.dialect, numbers),),
    )
    return {row["vat_number"]: (row["id"], row["external_ref"] is not None) for row in rows}


async def _known(reader: Reader, rows: Sequence[AcceptedRow]) -> dict[int, int]:
    """Return row number -> id of the supplier that it means: by reference, else by VAT number.

    A row with a reference that nobody has means no supplier that has another one.
    """
    refs = [str(ref) for row in rows if (ref := row.values.get("external_ref"))]
    vats = [str(vat) for row in rows if (vat := row.values.get("vat_number"))]
    by_ref = await suppliers.by_external_refs(reader, refs)
    by_vat = await _by_vat_numbers(reader, vats)
    known: dict[int, int] = {}
    for row in rows:
        ref, vat = row.values.get("external_ref"), row.values.get("vat_number")
        found = by_ref.get(str(ref)) if ref else None
        if found is None and vat and str(vat) in by_vat:
            at, has_reference = by_vat[str(vat)]
            found = None if ref and has_reference else at
        if found is not None:
            known[row.number] = found
    return known


async def _rows(reader: Reader, ids: Iterable[int]) -> dict[int, Row]:
    return {row["id"]: row for row in await suppliers.by_ids(reader, sorted(set(ids)))}


async def _survivors(reader: Reader, there: dict[int, Row]) -> dict[int, int]:
    """Return what the merged ones of `there` have become part of, and add those to `there`."""
    ends = {at: row["merged_into"] for at, row in there.items() if row["status"] == "merged"}
    for _ in range(_MAX_MERGES):
        there |= await _rows(reader, set(ends.values()) - set(there))
        further = {
            at: there[to]["merged_into"]
            for at, to in ends.items()
            if to in there and there[to]["status"] == "merged"
        }
        if not further:
            break
        ends |= further
    return ends


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
    survivors = await _survivors(run.database, there)
    created: list[Draft] = []
    updated: dict[int, Change] = {}
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
            draft = _draft(row.values, suppliers.draft_of(there[at]))
            updated[at] = Change(at, there[at]["version"], draft)
    # In the order of their ids, as everybody does: nobody waits for each other in turn.
    changes = [updated[at] for at in sorted(updated)]
    texts = await products.texts_of(run.database, [one.id for one in changes])
    documents = await run.background.run(
        make_documents,
        encode_rows(
            [(draft._asdict(), ()) for draft in created]
            + [(one.draft._asdict(), texts[one.id]) for one in changes]
        ),
        code_texts,
    )
    return Plan(created, changes, documents, problems)


async def write_block(transaction: Transaction, plan: Plan) -> dict[str, int]:
    """Write what was worked out; ConflictError when the directory changed meanwhile."""
    ids = await suppliers.create_many(transaction, plan.created)
    for one in plan.updated:
        if not await suppliers.update(transaction, one.id, one.draft, version=one.version):
            raise ConflictError(f"supplier {one.id} was changed meanwhile")
    documents = documents_of(plan.documents, [*ids, *(one.id for one in plan.updated)])
    await index.write(transaction, documents)
    return {"created": len(ids), "updated": len(plan.updated)}


async def write_singly(
    transaction: Transaction, plans: Sequence[tuple[int, Plan]]
) -> tuple[dict[str, int], list[tuple[int, str, str]]]:
    """Write the plans of single rows, by their numbers; (what was done, why rows were refused)."""
    counts = {"created": 0, "updated": 0}
    problems: list[tuple[int, str, str]] = []
    for number, plan in plans:
        problems += plan.problems
        await transaction.execute("SAVEPOINT of_row")
        try:
            written = await write_block(transaction, plan)
        except ConflictError:
            await transaction.execute("ROLLBACK TO SAVEPOINT of_row")
            problems.append((number, "external_ref", "does not fit what is there by now"))
        else:
            counts = {name: count + written[name] for name, count in counts.items()}
        await transaction.execute("RELEASE SAVEPOINT of_row")
    return counts, problems
