"""Which formats there are."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from lanewise import Task

from supplyr.exports import pdf, xlsx

FormatName = Literal["csv", "xlsx", "pdf"]


class Format(NamedTuple):
    """A format: its media type, how many rows it holds, and what writes a spool (not for CSV)."""

    media_type: str
    max_rows: int
    writer: Task[[str, int], Iterator[bytes]] | None


FORMATS: dict[FormatName, Format] = {
    "csv": Format("text/csv; charset=utf-8", 5_000_000, None),
    "xlsx": Format(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        xlsx.MAX_ROWS,
        xlsx.stream_xlsx,
    ),
    "pdf": Format("application/pdf", pdf.MAX_ROWS, pdf.stream_pdf),
}
