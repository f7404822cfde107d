"""Which column of a file is which field: guessed from the heading, edited by people, checked."""

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import product

from rapidfuzz.distance import JaroWinkler

from supplyr.imports.fields import Field, fields_of
from supplyr.spreadsheet import CatalogueError

# A misspelt heading ("Adress", "Telephon") is taken for the field that it is this near to.
_NEAR = 0.92

Columns = dict[str, int]  # field -> column, counted from 0


def folded_heading(heading: str) -> str:
    """Return a heading in lower case without accents and marks, words one blank apart."""
    plain = unicodedata.normalize("NFKD", heading.casefold())
    letters = "".join(char if char.isalnum() else " " for char in plain if char.isascii())
    return " ".join(letters.split())


def _nearness(field: Field, heading: str) -> float:
    return max(JaroWinkler.similarity(known, heading) for known in field.headings)


def guess(kind: str, heading: Sequence[str]) -> Columns:
    """Return the likely column of each field that has one.

    Exact headings go first; then the nearest of what is left, so that one column is never two
    fields. Raises ValueError for an unknown kind.
    """
    fields = fields_of(kind)
    folded = [folded_heading(cell) for cell in heading]
    columns: Columns = {}
    for field in fields:
        for name in (*field.headings, folded_heading(field.label), folded_heading(field.name)):
            if name in folded and (at := folded.index(name)) not in columns.values():
                columns[field.name] = at
                break
    open_fields = [field for field in fields if field.name not in columns]
    open_columns = [
        at for at, name in enumerate(folded) if len(name) > 3 and at not in columns.values()
    ]
    nearest = sorted(
        ((_nearness(field, folded[at]), -at, field.name) for field, at in
         product(open_fields, open_columns)),
        reverse=True,
    )  # fmt: skip
    for near, minus_at, name in nearest:
        if near >= _NEAR and name not in columns and -minus_at not in columns.values():
            columns[name] = -minus_at
    return columns


def check(kind: str, columns: Mapping[str, int], width: int) -> Columns:
    """Return `columns` in the order of the fields, checked against a file of `width` columns.

    Raises CatalogueError for an unknown field, a column that is not there or used twice, and when a
    required field has none.
    """
    fields = fields_of(kind)
    known = {field.name for field in fields}
    for name, at in columns.items():
        if name not in known:
            raise CatalogueError(f"{name!r} is not a field of {kind}: {', '.join(sorted(known))}")
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < width:
            raise CatalogueError(
                f"{name} is mapped to column {at!r}; the file has 0 to {width - 1}"
            )
    twice = [at for at in set(columns.values()) if list(columns.values()).count(at) > 1]
    if twice:
        raise CatalogueError(f"column {twice[0] + 1} is mapped to more than one field; choose one")
    missing = [field.label for field in fields if field.required and field.name not in columns]
    if missing:
        raise CatalogueError(
            f"no column is chosen for {', '.join(missing)}; every row needs {kind} to have them"
        )
    return {field.name: columns[field.name] for field in fields if field.name in columns}
