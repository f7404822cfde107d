"""Answer a question: a page of suppliers, how many there are, and what they have in common."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from lanewise import Runtime

from supplyr.auth.signing import Signer
from supplyr.db.database import Database, Row
from supplyr.kept import Kept
from supplyr.search import statements
from supplyr.search.cursor import Cursor, parsed, written
from supplyr.search.question import Question, Term
from supplyr.search.typos import MIN_CHARACTERS, candidates, closest_words
from supplyr.sphere import distance_of_chord_km
from supplyr.store import suppliers

# Fewer finds than this, and the words are looked at for mistakes.
_FEW = 5
# Counting goes no further: nobody looks at more, and everybody would wait for it.
COUNTED_AT_MOST = 10_000
_FACETS_KEPT_S = 60.0
_FACETS_KEPT = 500


class Hit(NamedTuple):
    """A supplier that was found, with its distance in kilometres where a place was asked for."""

    row: Row
    distance_km: float | None


class Page(NamedTuple):
    """Part of an answer.

    Attributes:
        hits: In order.
        next_cursor: For the next page; None where this is the last one.
        near_words: What words of the question were taken for as well.
    """

    hits: list[Hit]
    next_cursor: str | None
    near_words: Mapping[str, tuple[str, ...]]


class FacetValue(NamedTuple):
    """A value that suppliers have in common, and how many have it."""

    value: str
    suppliers: int


class Overview(NamedTuple):
    """How many were found (no further than COUNTED_AT_MOST), and the facets of as many."""

    suppliers: int
    facets: Mapping[str, tuple[FacetValue, ...]]


class Engine:
    """Searches one database. owner: the app's event loop."""

    def __init__(self, database: Database, runtime: Runtime, signer: Signer) -> None:
        self._database = database
        self._runtime = runtime
        self._signer = signer
        self._overviews: Kept[Overview] = Kept(_FACETS_KEPT_S, _FACETS_KEPT)

    async def close(self) -> None:
        """Give up what is being counted."""
        await self._overviews.close()

    async def page(self, question: Question, limit: int, cursor: str | None = None) -> Page:
        """Return a page of what a question finds.

        Raises CursorError for a cursor that is none, or of another question.
        """
        if question.text.strip() and not question.words:
            return Page([], None, {})
        if cursor is not None:
            after = parsed(self._signer, cursor, question.fingerprint)
            rows = await self._rows(question, after.near_words, after, limit)
            return await self._filled(question, rows, after.near_words, limit)
        rows = await self._rows(question, {}, None, limit)
        near: Mapping[str, tuple[str, ...]] = {}
        if len(rows) < _FEW and question.words:
            near = await self._near_words(question.words)
            if near:
                rows = await self._rows(question, near, None, limit)
        return await self._filled(question, rows, near, limit)

    async def overview(
        self, question: Question, near: Mapping[str, tuple[str, ...]] | None = None
    ) -> Overview:
        """Return how many a question finds and their facets; what was counted is kept a minute."""
        key = replace(question, sort="ranking").fingerprint + repr(sorted((near or {}).items()))
        terms = _terms(question, near or {})
        return await self._overviews.get(key, lambda: self._counted(question, terms))

    async def _rows(
        self,
        question: Question,
        near: Mapping[str, tuple[str, ...]],
        after: Cursor | None,
        limit: int,
    ) -> list[Row]:
        # One more than asked for tells whether there is a next page.
        statement = statements.page(
            self._database.dialect, question, _terms(question, near), after, limit + 1
        )
        return await self._database.fetch_all(*statement)

    async def _filled(
        self,
        question: Question,
        rows: list[Row],
        near: Mapping[str, tuple[str, ...]],
        limit: int,
    ) -> Page:
        shown = rows[:limit]
        found = await suppliers.by_ids(self._database, [row["id"] for row in shown])
        squared = {row["id"]: row["squared"] for row in shown}
        hits = [
            Hit(
                row,
                None if squared[row["id"]] is None else distance_of_chord_km(squared[row["id"]]),
            )
            for row in found
        ]
        following = None
        if len(rows) > limit:
            last = shown[-1]
            following = written(
                self._signer, Cursor(question.fingerprint, last["sort_key"], last["id"], near)
            )
        return Page(hits, following, near)

    async def _near_words(self, words: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for word in words:
            if len(word) < MIN_CHARACTERS or any(char.isdigit() for char in word):
                continue
            known = await candidates(self._database, word)
            near = await self._runtime.run(closest_words, word, known) if known else []
            if near:
                found[word] = tuple(near)
        return found

    async def _counted(self, question: Question, terms: tuple[Term, ...]) -> Overview:
        names = [name for name in statements.FACETS if name != "regions" or question.country]
        statement = statements.overview(
            self._database.dialect, question, terms, names, COUNTED_AT_MOST
        )
        found: dict[str, list[FacetValue]] = {name: [] for name in ["", *names]}
        for row in await self._database.fetch_all(*statement):
            found[row["facet"]].append(FacetValue(row["value"], row["n"]))
        (every,) = found.pop("")
        for values in found.values():
            values.sort(key=lambda one: (-one.suppliers, one.value))
        return Overview(every.suppliers, {name: tuple(values) for name, values in found.items()})


def _terms(question: Question, near: Mapping[str, tuple[str, ...]]) -> tuple[Term, ...]:
    return tuple(Term((word, *near.get(word, ()))) for word in question.words)
