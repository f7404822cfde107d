"""What may be asked of the directory, and what the words of it mean."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from supplyr.search.documents import code_word, words_of

Sort = Literal["relevance", "ranking", "name", "distance", "newest"]
MAX_TEXT_CHARACTERS = 200
# More words than this narrow nothing down any further, and each of them costs.
MAX_WORDS = 8
MAX_RADIUS_KM = 500.0
MAX_PAGE = 100
# From so many letters on a word also stands for those that begin so: "druck" finds "Druckerei".
_PREFIX_FROM = 3


class Near(NamedTuple):
    """Only within so many kilometres of a place."""

    latitude_deg: float
    longitude_deg: float
    radius_km: float


@dataclass(frozen=True, slots=True)
class Question:
    """One search. Empty texts narrow nothing down.

    Attributes:
        text: What somebody typed: words of names, products, places, descriptions; codes.
        country: ISO 3166-1 alpha-2.
        region: As suppliers write it; goes with a country.
        code: A code or the beginning of one: "25", "25.6", "25.62".
        certificate: That they must have.
        near: Only around a place.
        sort: In which order; "distance" needs `near`, "relevance" needs words.
        words: The words to look for; codes among them in their indexed form.
    """

    text: str = ""
    country: str = ""
    region: str = ""
    code: str = ""
    certificate: str = ""
    near: Near | None = None
    sort: Sort = "relevance"
    words: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take the text apart, once: a search asks for its words some twenty times."""
        found: list[str] = []
        for part in self.text[:MAX_TEXT_CHARACTERS].split():
            code = code_word(part)
            found += [code] if code else words_of(part)
        object.__setattr__(self, "words", tuple(dict.fromkeys(found))[:MAX_WORDS])

    @property
    def order(self) -> Sort:
        """The order that is used: what cannot be sorted as asked goes by ranking."""
        if self.sort == "relevance" and not self.words:
            return "ranking"
        if self.sort == "distance" and self.near is None:
            return "ranking"
        return self.sort

    @property
    def finds_nothing(self) -> bool:
        """Whether something was typed that holds no word: it stands in nobody's entry."""
        return bool(self.text.strip()) and not self.words

    @property
    def narrows(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(
            self.words
            or self.country
            or self.region
            or self.code
            or self.certificate
            or self.near is not None
        )

    @property
    def fingerprint(self) -> str:
        """The same for equal questions: a cursor of one is worth nothing for another."""
        told = [
            self.words, self.country, self.region, self.code, self.certificate, self.near,
            self.order,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


class Term(NamedTuple):
    """One thing to look for: any of these words, each as it is or as a beginning."""

    words: tuple[str, ...]

    @staticmethod
    def begins(word: str) -> bool:
        """Whether a word also stands for those that begin with it."""
        return len(word) >= _PREFIX_FROM


def fts5(terms: tuple[Term, ...]) -> str:
    """Return terms in SQLite's FTS5 language. Folded words hold no quotation marks."""
    return " AND ".join(
        "(" + " OR ".join(f'"{w}"*' if Term.begins(w) else f'"{w}"' for w in term.words) + ")"
        for term in terms
    )


def tsquery(terms: tuple[Term, ...]) -> str:
    """Return terms in PostgreSQL's tsquery language. Folded words hold no quotation marks."""
    return " & ".join(
        "(" + " | ".join(f"'{w}':*" if Term.begins(w) else f"'{w}'" for w in term.words) + ")"
        for term in terms
    )
