"""Write a page of rows as CSV."""

import csv
import io
import json

from lanewise import task

from supplyr.exports.rows import HEADING, neutral, sample_rows

# Tells spreadsheet programs that what follows is UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def csv_heading() -> bytes:
    """Return the beginning of a CSV export: the byte-order mark and the heading."""
    return BYTE_ORDER_MARK + ",".join(HEADING).encode() + b"\r\n"


def _lines(rows: bytes) -> int:
    return rows.count(b"\n")


def _csv_inputs(size: int) -> tuple[bytes]:
    return (sample_rows(size),)


@task(size=_lines, inputs=_csv_inputs, idempotent=True)
def csv_page(rows: bytes) -> bytes:
    """Return rows (lines of JSON) as CSV in UTF-8, texts that look like formulas neutralised."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for line in rows.splitlines():
        writer.writerow(
            [neutral(cell) if isinstance(cell, str) else cell for cell in json.loads(line)]
        )
    return buffer.getvalue().encode()
