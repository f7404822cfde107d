"""Split CSV text into rows, with the delimiter that its first lines agree on."""

import csv
import io
from collections.abc import Iterator
from itertools import islice

from supplyr.spreadsheet import CatalogueError

DELIMITERS = (",", ";", "\t", "|")
_LINES_LOOKED_AT = 50
_CHARACTERS_LOOKED_AT = 64_000


def _columns(text: str, delimiter: str) -> list[int]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [len(row) for row in islice(rows, _LINES_LOOKED_AT) if row]
    except csv.Error:
        return []


def find_delimiter(text: str) -> str:
    """Return the delimiter that gives most lines the same number of columns, above one.

    Quoted cells are taken into account. A single column gives a comma.
    """
    head = text[:_CHARACTERS_LOOKED_AT]
    if len(text) > len(head) and (end := head.rfind("\n")) > 0:
        head = head[: end + 1]  # not in the middle of a line
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = _columns(head, delimiter)
        if not widths or widths[0] < 2:
            continue
        agreeing = sum(width == widths[0] for width in widths) / len(widths)
        if (score := (agreeing, widths[0])) > best_score:
            best, best_score = delimiter, score
    return best


def csv_rows(text: str, delimiter: str = "") -> Iterator[list[str]]:
    """Yield the rows of CSV text; `delimiter` empty means: find it.

    Raises CatalogueError for malformed text (with its line) and for an unknown delimiter.
    """
    chosen = delimiter or find_delimiter(text)
    if chosen not in DELIMITERS:
        raise CatalogueError(f"{chosen!r} is not a delimiter to choose from: , ; tab |")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise CatalogueError(
            f"the CSV is malformed near line {reader.line_num:,} ({error}); check its quotation"
            " marks and the delimiter"
        ) from error
