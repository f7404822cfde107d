"""Bring an upload into the form that an import goes through: blocks of rows, mapped columns only.

A block is what is checked in one call and written in one transaction. Blocks are the same whenever
the same upload is staged in the same way, so an import that was interrupted goes on with the block
after the last one that it wrote.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from lanewise import task

from supplyr.generate import generate
from supplyr.imports.fields import fields_of
from supplyr.imports.mapping import check, guess
from supplyr.imports.reading import Options, Table, open_table
from supplyr.imports.values import plain
from supplyr.spreadsheet import CatalogueError

BLOCK_ROWS = 250
PREVIEW_ROWS = 12
_PREVIEW_CHARACTERS = 120


class Preview(NamedTuple):
    """The heading and first rows of an upload, a guess at its columns, and how it was read."""

    kind: str
    encoding: str
    delimiter: str
    notice: str
    heading: list[str]
    rows: list[list[str]]
    columns: dict[str, int]


class Staged(NamedTuple):
    """All rows of an upload in blocks, see `rows_of`, and the names of their cells' fields."""

    rows: int
    names: list[str]
    blocks: list[bytes]


class StagedRow(NamedTuple):
    """A row: its number in the file (the heading is 1), the earlier row with the same key or 0.

    `cells` are those of the mapped columns, in the order of the fields.
    """

    number: int
    repeats: int
    cells: list[str]


def rows_of(block: bytes) -> Iterator[StagedRow]:
    """Decode a block."""
    return (StagedRow(*row) for row in json.loads(block))


def _upload_size(data: bytes, *_: object) -> int:
    return len(data)


@lru_cache(maxsize=8)
def sample_upload(size_bytes: int) -> bytes:
    """Return a CSV of generated suppliers, cut to `size_bytes` (the last row may be damaged)."""
    heading = "Reference,Name,Street,Postcode,City,Country,Phone,E-mail,VAT number,NACE\n"
    rows = max(size_bytes // 100, 1)
    lines = [heading]
    length = len(heading)
    while length < size_bytes + 200:
        for one in generate(rows).records:
            line = (
                f'S{one.id:07d},"{one.name}","{one.street}",{one.postcode},"{one.city}",'
                f"{one.country},{one.phone},{one.email},{one.vat_number},{one.categories[0]}\n"
            )
            lines.append(line)
            length += len(line.encode())
        rows *= 2
    text = "".join(lines).encode()
    if size_bytes <= len(heading):
        return text[:size_bytes]
    cut = text[:size_bytes]
    # No cut inside a letter or a quotation: the last line is filled with plain ones.
    last = cut.rfind(b"\n") + 1
    return cut[:last] + b"x" * (size_bytes - last)


_MIN_SAMPLE_BYTES = 80


def _heading(table: Table) -> list[str]:
    heading = next(table.rows, None)
    if heading is None:
        raise CatalogueError("the file is empty; it needs a heading and rows below it")
    if not any(cell.strip() for cell in heading):
        raise CatalogueError("the first row is empty; it must name the columns")
    return heading


def _preview_inputs(size: int) -> tuple[bytes, str]:
    return sample_upload(size), "suppliers"


@task(size=_upload_size, inputs=_preview_inputs, idempotent=True)
def preview_table(data: bytes, kind: str, options: Options = Options()) -> Preview:  # noqa: B008
    """Return what a person needs to see to choose columns.

    Raises CatalogueError when the upload cannot be read, ValueError for an unknown kind.
    """
    fields_of(kind)
    table = open_table(data, options)
    heading = _heading(table)
    rows = [row for row, _ in zip(table.rows, range(PREVIEW_ROWS), strict=False)]
    shown = [[cell[:_PREVIEW_CHARACTERS] for cell in row] for row in rows]
    return Preview(
        table.kind, table.encoding, table.delimiter, table.notice,
        [cell[:_PREVIEW_CHARACTERS] for cell in heading], shown, guess(kind, heading),
    )  # fmt: skip


def _stage_inputs(size: int) -> tuple[bytes, str, dict[str, int]]:
    columns = guess("suppliers", sample_upload(4096).split(b"\n")[0].decode().split(","))
    return sample_upload(max(size, _MIN_SAMPLE_BYTES)), "suppliers", columns


@task(size=_upload_size, inputs=_stage_inputs, idempotent=True)
def stage_table(
    data: bytes,
    kind: str,
    columns: Mapping[str, int],
    options: Options = Options(),  # noqa: B008 - immutable
) -> Staged:
    """Return the rows of an upload in blocks of BLOCK_ROWS; empty rows are left out.

    A row whose key (reference, VAT number, article number) stands in an earlier row carries that
    row's number. Raises CatalogueError when the upload or the mapping cannot be used.
    """
    table = open_table(data, options)
    heading = _heading(table)
    chosen = check(kind, columns, len(heading))
    places = list(chosen.values())
    keys = [
        (field.name, chosen[field.name])
        for field in fields_of(kind)
        if field.key and field.name in chosen
    ]
    first_row: dict[tuple[str, str], int] = {}
    blocks: list[bytes] = []
    pending: list[tuple[int, int, list[str]]] = []
    total = 0
    for number, row in enumerate(table.rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        row += [""] * (len(heading) - len(row))
        repeats = _first_with_key(first_row, keys, row, number)
        pending.append((number, repeats, [row[place] for place in places]))
        total += 1
        if len(pending) == BLOCK_ROWS:
            blocks.append(_encoded(pending))
            pending = []
    if pending:
        blocks.append(_encoded(pending))
    return Staged(total, list(chosen), blocks)


def _first_with_key(
    first_row: dict[tuple[str, str], int], keys: list[tuple[str, int]], row: list[str], number: int
) -> int:
    """Return the earlier row that has one of this row's keys, or 0; note this one's."""
    repeats = 0
    for name, place in keys:
        folded = "".join(plain(row[place]).split()).casefold()
        if folded:
            earlier = first_row.setdefault((name, folded), number)
            if earlier != number:
                repeats = repeats or earlier
    return repeats


def _encoded(rows: list[tuple[int, int, list[str]]]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def _file_size(path: str, size_bytes: int, *_: object) -> int:
    return size_bytes


@task(size=_file_size, idempotent=True)
def preview_file(
    path: str,
    size_bytes: int,
    kind: str,
    options: Options = Options(),  # noqa: B008 - immutable
) -> Preview:
    """Return what preview_table does of an upload that lies in a file; it crosses to nobody."""
    return preview_table(Path(path).read_bytes(), kind, options)


@task(size=_file_size, idempotent=True)
def stage_file(
    path: str,
    size_bytes: int,
    kind: str,
    columns: Mapping[str, int],
    options: Options = Options(),  # noqa: B008 - immutable
) -> Staged:
    """Return what stage_table does of an upload that lies in a file; it crosses to nobody."""
    return stage_table(Path(path).read_bytes(), kind, columns, options)
