"""What a misspelt word may have meant: candidates by shared trigrams, then by edit distance."""

from collections.abc import Sequence
from functools import lru_cache
from random import Random

from lanewise import task

# Imported with the module: it takes a tenth of a second, and the first call may be on the loop.
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from supplyr.db.database import Reader, among_texts, listed

# Shorter words are left as they are: everything is near to them.
MIN_CHARACTERS = 4
_MAX_CANDIDATES = 300
# Two letters swapped in a short word leave no trigram of it whole; its first letter is looked at.
_SHORT_CHARACTERS = 6
_MAX_SHORT_CANDIDATES = 2000
_BEST = 3


def allowed_edits(word: str) -> int:
    """Return how many letters of a word may be wrong."""
    return 1 if len(word) <= 5 else 2 if len(word) <= 9 else 3


def trigrams(word: str) -> list[str]:
    """Return the runs of three letters in a word."""
    return list(dict.fromkeys(word[at : at + 3] for at in range(len(word) - 2)))


async def known_words(reader: Reader, words: Sequence[str]) -> set[str]:
    """Return which of these words suppliers use, as they are written here."""
    rows = await reader.fetch_all(
        f"SELECT word FROM search_words WHERE {among_texts(reader.dialect, 'word')}",  # noqa: S608 - a constant
        (listed(reader.dialect, words),),
    )
    return {row["word"] for row in rows}


async def candidates(reader: Reader, word: str) -> list[str]:
    """Return known words that look somewhat like `word`."""
    if reader.dialect == "sqlite":
        asked = " OR ".join(f'"{part}"' for part in trigrams(word))
        rows = await reader.fetch_all(
            "SELECT word FROM search_word_trigrams WHERE search_word_trigrams MATCH ?"
            " ORDER BY rank LIMIT ?",
            (asked, _MAX_CANDIDATES),
        )
    else:
        rows = await reader.fetch_all(
            "SELECT word FROM search_words WHERE word % ?"
            " ORDER BY similarity(word, ?) DESC LIMIT ?",
            (word, word, _MAX_CANDIDATES),
        )
    found = [row["word"] for row in rows]
    if len(word) <= _SHORT_CHARACTERS:
        rows = await reader.fetch_all(
            "SELECT word FROM search_words WHERE word >= ? AND word < ?"
            " AND length(word) BETWEEN ? AND ? LIMIT ?",
            (word[0], word[0] + "\U0010ffff", len(word) - 1, len(word) + 1, _MAX_SHORT_CANDIDATES),
        )
        found += [row["word"] for row in rows]
    return list(dict.fromkeys(found))


def _size(word: str, known: Sequence[str]) -> int:
    return len(known)


@lru_cache(maxsize=8)
def _words(count: int) -> tuple[str, ...]:
    rng = Random(20250106)
    letters = "abcdefghiklmnoprstuvwz"
    return tuple(
        "".join(letters[rng.randrange(len(letters))] for _ in range(4 + rng.randrange(9)))
        for _ in range(count)
    )


def _inputs(size: int) -> tuple[str, list[str]]:
    return "stahlbau", list(_words(size))


@task(size=_size, inputs=_inputs, idempotent=True)
def closest_words(word: str, known: Sequence[str]) -> list[str]:
    """Return up to three of the known words that `word` may stand for, nearest first.

    Counted are letters that are wrong, missing, too many, or swapped with the next. A word is not
    near to itself.
    """
    limit = allowed_edits(word)
    choices = [other for other in known if other != word]
    if not choices:
        return []
    distances = cdist([word], choices, scorer=OSA.distance, score_cutoff=limit, workers=1)[0]
    near = sorted(
        (int(distance), choice)
        for distance, choice in zip(distances.tolist(), choices, strict=True)
        if distance <= limit
    )
    return [choice for _, choice in near[:_BEST]]
