"""Check the rows of one block: what is right goes on as compact bytes, what is wrong is told."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lanewise import task

from supplyr.imports.fields import Field, fields_of
from supplyr.imports.staging import rows_of, sample_upload, stage_table
from supplyr.imports.values import Value


class RowProblem(NamedTuple):
    """What is wrong with a field of a row; rows are numbered as in the file, heading 1."""

    row: int
    field: str
    message: str


class Checked(NamedTuple):
    """What a block holds: rows, how many are refused, why, and the others; see accepted_rows."""

    rows: int
    rejected: int
    problems: list[RowProblem]
    accepted: bytes


class AcceptedRow(NamedTuple):
    """A row that can be written: its number in the file and its values by field."""

    number: int
    values: dict[str, Value]


def accepted_rows(checked: Checked) -> list[AcceptedRow]:
    """Decode the accepted rows of a block."""
    return [AcceptedRow(number, values) for number, values in json.loads(checked.accepted)]


def _check_row(
    number: int, cells: Sequence[str], fields: Sequence[Field]
) -> tuple[dict[str, Value], list[RowProblem]]:
    values: dict[str, Value] = {}
    problems: list[RowProblem] = []
    for field, cell in zip(fields, cells, strict=True):
        try:
            values[field.name] = field.parse(cell)
        except ValueError as error:
            problems.append(RowProblem(number, field.name, str(error)[:300]))
    return values, problems


def _block_size(block: bytes, *_: object) -> int:
    return block.count(b"]],[") + (len(block) > 2)


@lru_cache(maxsize=8)
def _sample_block(rows: int) -> tuple[bytes, tuple[str, ...]]:
    upload = sample_upload(rows * 180 + 500)
    columns = {"external_ref": 0, "name": 1, "street": 2, "postcode": 3, "city": 4, "country": 5}
    columns |= {"phone": 6, "email": 7, "vat_number": 8, "codes": 9}
    staged = stage_table(upload, "suppliers", columns)
    found = [list(row) for block in staged.blocks for row in rows_of(block)][:rows]
    order = tuple(field.name for field in fields_of("suppliers") if field.name in columns)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode(), order


def _check_inputs(size: int) -> tuple[bytes, str, tuple[str, ...]]:
    block, order = _sample_block(size)
    return block, "suppliers", order


@task(size=_block_size, inputs=_check_inputs, idempotent=True)
def check_block(block: bytes, kind: str, names: Sequence[str]) -> Checked:
    """Check every row of a block that stage_table made; `names` are the mapped fields, in order.

    Plain Python. Only bytes and the problems cross back: accepted rows as JSON.
    """
    by_name = {field.name: field for field in fields_of(kind)}
    fields = [by_name[name] for name in names]
    accepted: list[AcceptedRow] = []
    problems: list[RowProblem] = []
    rows = 0
    for row in rows_of(block):
        rows += 1
        values, found = _check_row(row.number, row.cells, fields)
        if row.repeats:
            key = next(field.name for field in fields if field.key)
            found.append(RowProblem(row.number, key, f"is already in row {row.repeats}"))
        if found:
            problems.extend(found)
        else:
            accepted.append(AcceptedRow(row.number, values))
    encoded = json.dumps(accepted, ensure_ascii=False, separators=(",", ":")).encode()
    return Checked(rows, rows - len(accepted), problems, encoded)
