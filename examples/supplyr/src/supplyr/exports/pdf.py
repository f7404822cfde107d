"""Write a spool as a PDF list of suppliers, and hand it over piece by piece."""

import io
from collections.abc import Iterator
from typing import NamedTuple

from lanewise import task
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfgen.canvas import Canvas

from supplyr.exports.rows import COLUMNS, Cell
from supplyr.exports.spool import PIECE_BYTES, size_hint, spooled_rows

MAX_ROWS = 20_000
_ROW_HEIGHT_PT = 13
_MARGIN_PT = 36
_PAGE = landscape(A4)


class _Column(NamedTuple):
    field: str
    heading: str
    edge_pt: float
    max_characters: int


_SHOWN = (
    _Column("name", "Name", 36, 44),
    _Column("street", "Street", 240, 28),
    _Column("postcode", "Postcode", 380, 9),
    _Column("city", "City", 430, 20),
    _Column("country", "", 530, 2),
    _Column("phone", "Telephone", 550, 18),
    _Column("email", "E-mail", 645, 32),
)
_PLACES = [[column.field for column in COLUMNS].index(one.field) for one in _SHOWN]


def printable(cell: Cell, max_characters: int) -> str:
    """Return a cell as the built-in fonts print it: Latin-1, other characters become "?"."""
    text = "" if cell is None else " ".join(str(cell).split())
    shown = text if len(text) <= max_characters else text[: max_characters - 1] + "~"
    return shown.encode("latin-1", "replace").decode("latin-1")


def _start_page(canvas: Canvas, number: int, top_pt: float) -> None:
    canvas.setFont("Helvetica-Bold", 8)
    for column in _SHOWN:
        canvas.drawString(column.edge_pt, top_pt, column.heading)
    canvas.setFont("Helvetica", 8)
    canvas.drawRightString(_PAGE[0] - _MARGIN_PT, _MARGIN_PT / 2, f"Page {number}")


@task(size=size_hint, idempotent=True)
def stream_pdf(path: str, rows_hint: int) -> Iterator[bytes]:
    """Yield the PDF of the rows that wait in `path`. Raises ValueError above MAX_ROWS.

    `rows_hint` is only the size by which the lane is chosen.
    """
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=_PAGE, invariant=1, pageCompression=1)
    canvas.setTitle("Suppliers")
    top_pt = _PAGE[1] - _MARGIN_PT
    rows_per_page = int((top_pt - _MARGIN_PT) // _ROW_HEIGHT_PT) - 1
    number = -1
    for number, row in enumerate(spooled_rows(path)):
        if number >= MAX_ROWS:
            raise ValueError(f"a PDF holds at most {MAX_ROWS:,} suppliers; narrow the search")
        place = number % rows_per_page
        if place == 0:
            if number:
                canvas.showPage()
            _start_page(canvas, number // rows_per_page + 1, top_pt)
        height_pt = top_pt - (place + 1) * _ROW_HEIGHT_PT
        for column, at in zip(_SHOWN, _PLACES, strict=True):
            canvas.drawString(column.edge_pt, height_pt, printable(row[at], column.max_characters))
    if number < 0:
        _start_page(canvas, 1, top_pt)
    canvas.showPage()
    canvas.save()
    content = buffer.getbuffer()
    for start in range(0, len(content), PIECE_BYTES):
        yield bytes(content[start : start + PIECE_BYTES])
