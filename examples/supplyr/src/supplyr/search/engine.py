"""Answer a question: a page of suppliers, how many there are, and what they have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from lanewise import OverloadedError, Runtime, WorkerDiedError

from supplyr.auth.signing import Signer
from supplyr.db.database import Database, Row
from supplyr.kept import Kept
from supplyr.search import statements
from supplyr.search.cursor import Cursor, parsed, written
from supplyr.search.question import Near, Question, Term
from supplyr.search.typos import MIN_CHARACTERS, candidates, closest_words, known_words
from supplyr.sphere import distance_of_chord_km
from supplyr.store import suppliers

# Fewer finds than this, and the words are looked at for mistakes.
_FEW = 5
# Counting goes no further: nobody looks at more, and everybody would wait for it.
COUNTED_AT_MOST = 10_000
_FACETS_KEPT_S = 60.0
_FACETS_KEPT = 500
_NEIGHBOURS_KM = 100.0
_NEIGHBOURS_KEPT_S = 300.0
_NEIGHBOURS_KEPT = 2000


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
        self._neighbours: Kept[dict[int, float]] = Kept(_NEIGHBOURS_KEPT_S, _NEIGHBOURS_KEPT)
        self._overviews: Kept[Overview] = Kept(
            _FACETS_KEPT_S, _FACETS_KEPT, old_for_s=_FACETS_KEPT_S
        )

    async def close(self) -> None:
        """Give up what is being counted."""
        await self._overviews.close()
        await self._neighbours.close()

    async def page(self, question: Question, limit: int, cursor: str | None = None) -> Page:
        """Return a page of what a question finds.

        Raises CursorError for a cursor that is none, or of another question.
        """
        if question.finds_nothing:
            return Page([], None, {})
        if cursor is not None:
            after = parsed(self._signer, cursor, question.fingerprint)
            rows = await self._rows(question, after.near_words, after, limit)
            return await self._filled(question, rows, after.near_words, limit)
        rows = await self._rows(question, {}, None, limit)
        near: Mapping[str, tuple[str, ...]] = {}
        # A full page may well be short: only where there is no next one are there few.
        if len(rows) <= limit and len(rows) < _FEW:
            rows, near = await self._forgiven(question, rows, limit)
        return await self._filled(question, rows, near, limit)

    async def _forgiven(
        self, question: Question, rows: list[Row], limit: int
    ) -> tuple[list[Row], Mapping[str, tuple[str, ...]]]:
        """Return what is found when mistakes are forgiven, and what words were taken for.

        First of words that no supplier uses: a whole name finds one supplier, and nothing is wrong
        with it. Where that finds nobody, of the others as well.
        """
        words = [
            word
            for word in question.words
            if len(word) >= MIN_CHARACTERS and not any(char.isdigit() for char in word)
        ]
        used = await known_words(self._database, words) if words else set()
        near: dict[str, tuple[str, ...]] = {}
        for asked in ([word for word in words if word not in used], sorted(used)):
            if found := await self._near_words(asked):
                near |= found
                rows = await self._rows(question, near, None, limit)
            if rows:
                break
        return rows, near

    async def overview(
        self, question: Question, near: Mapping[str, tuple[str, ...]] | None = None
    ) -> Overview:
        """Return how many a question finds and their facets; what was counted is kept a minute."""
        if question.finds_nothing:
            return Overview(0, dict.fromkeys(_facets(question), ()))
        key = replace(question, sort="ranking").fingerprint + repr(sorted((near or {}).items()))
        terms = _terms(question, near or {})
        # An empty directory is about to be filled: who does that wants to see it.
        worth = None if question.narrows else _found_any
        return await self._overviews.get(key, lambda: self._counted(question, terms), worth=worth)

    async def neighbours(self, row: Row, most: int) -> list[Hit]:
        """Return the nearest suppliers that do what one (a row of `suppliers.get`) does first.

        Who they are is kept for some minutes; what is said of them is not.
        """
        if row["latitude_deg"] is None or not row["codes"]:
            return []
        found = await self._neighbours.get(
            f"{row['id']} {row['version']} {most}", lambda: self._nearest(row, most)
        )
        rows = await suppliers.by_ids(self._database, list(found))
        return [Hit(one, found[one["id"]]) for one in rows if one["status"] == "active"]

    async def _nearest(self, row: Row, most: int) -> dict[int, float]:
        near = Near(row["latitude_deg"], row["longitude_deg"], _NEIGHBOURS_KM)
        question = Question(code=row["codes"][0], near=near, sort="distance")
        found = {
            one["id"]: distance_of_chord_km(one["squared"])
            for one in await self._rows(question, {}, None, most)
            if one["id"] != row["id"]
        }
        return dict(list(found.items())[:most])

    async def finds_more_than(self, question: Question, most: int) -> bool:
        """Return whether a question finds more suppliers than that; counts no further."""
        if question.finds_nothing:
            return False
        statement = statements.overview(
            self._database.dialect, question, _terms(question, {}), (), most + 1
        )
        rows = await self._database.fetch_all(*statement)
        return bool(rows[0]["n"] > most)

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

    async def _near_words(self, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for word in words:
            choices = await candidates(self._database, word)
            near = await self._closest(word, choices) if choices else []
            if near:
                found[word] = tuple(near)
        return found

    async def _closest(self, word: str, choices: list[str]) -> list[str]:
        try:
            return await self._runtime.run(closest_words, word, choices)
        except (OverloadedError, WorkerDiedError):
            # A help, not the answer: what was found is told all the same.
            return []

    async def _counted(self, question: Question, terms: tuple[Term, ...]) -> Overview:
        names = _facets(question)
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


def _found_any(overview: Overview) -> bool:
    return overview.suppliers > 0


def _facets(question: Question) -> list[str]:
    return [name for name in statements.FACETS if name != "regions" or question.country]


def _terms(question: Question, near: Mapping[str, tuple[str, ...]]) -> tuple[Term, ...]:
    return tuple(Term((word, *near.get(word, ()))) for word in question.words)
