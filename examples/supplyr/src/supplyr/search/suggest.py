"""What somebody may be about to type: names that begin so, codes, words."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from supplyr.db.database import Database, Reader, Row, among, listed
from supplyr.search import statements
from supplyr.search.documents import words_of
from supplyr.search.question import Question, Term

MIN_CHARACTERS = 2
MAX_CHARACTERS = 80
_NAMES = 6
_CODES = 2
_LAST = "\U0010ffff"


class Suggestion(NamedTuple):
    """One line below the field: a supplier to open, or a code to search by."""

    kind: Literal["supplier", "code"]
    text: str
    detail: str
    key: str


async def suggest(database: Database, typed: str) -> list[Suggestion]:
    """Return up to eight suggestions; none for less than two letters."""
    words = words_of(typed[:MAX_CHARACTERS])
    prefix = " ".join(words)
    if len(prefix) < MIN_CHARACTERS:
        return []
    # A range of the names' index: as quick for one letter as for twenty.
    rows = await database.fetch_all(
        "SELECT id, name, city FROM suppliers WHERE status = 'active'"
        " AND name_folded >= ? AND name_folded < ? ORDER BY name_folded, id LIMIT ?",
        (prefix, prefix + _LAST, _NAMES * 2),
    )
    if len(rows) < _NAMES and len(prefix) >= 3:
        rows += await _anywhere(database, words)
    return [*await _codes(database, prefix), *_suppliers(rows)]


async def _anywhere(database: Database, words: list[str]) -> list[Row]:
    question = Question(text=" ".join(words), sort="ranking")
    terms = tuple(Term((word,)) for word in question.words)
    found = await database.fetch_all(
        *statements.page(database.dialect, question, terms, None, _NAMES)
    )
    ids = [hit["id"] for hit in found]
    rows = await database.fetch_all(
        f"SELECT id, name, city FROM suppliers WHERE {among(database.dialect, 'id')}",  # noqa: S608 - a constant
        (listed(database.dialect, ids),),
    )
    return sorted(rows, key=lambda row: ids.index(row["id"]))


def _suppliers(rows: Iterable[Row]) -> list[Suggestion]:
    seen: dict[int, Suggestion] = {}
    for row in rows:
        seen.setdefault(row["id"], Suggestion("supplier", row["name"], row["city"], str(row["id"])))
    return list(seen.values())[:_NAMES]


async def _codes(reader: Reader, prefix: str) -> list[Suggestion]:
    rows = await reader.fetch_all(
        "SELECT code, title FROM codes"
        " WHERE lower(title) LIKE ? OR code LIKE ? OR search_text LIKE ?"
        " ORDER BY code LIMIT ?",
        # Folded words hold no wildcards.
        (f"{prefix}%", f"{prefix.replace(' ', '.')}%", f"%|{prefix}%", _CODES),
    )
    return [Suggestion("code", row["title"], row["code"], row["code"]) for row in rows]
