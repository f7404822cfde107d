"""Rows that wait in a file: some formats can only be written when all of them are there."""

import json
from collections.abc import Iterator
from pathlib import Path

from supplyr.exports.rows import Cell

PIECE_BYTES = 64 * 1024


def spooled_rows(path: str) -> Iterator[list[Cell]]:
    """Yield the rows of a spool."""
    with Path(path).open("rb") as file:
        for line in file:
            yield json.loads(line)


def pieces_of_file(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def size_hint(path: str, rows_hint: int) -> int:
    """Return the size by which a lane is chosen: how many rows there are said to be."""
    return rows_hint
